"""loop.error_repeat: the same call failing in the same way.

Law of this file: empty arguments are arguments (all 22 exact repeats with equal outcome measured on TRAIL
are failing calls with none), and a failure that waiting mends is not a loop before its sixth attempt.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep, tracks_of
from otel_ext.signals.findings.explain import over, quoted
from otel_ext.signals.hears import ERROR, KEYED, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import MINUTE, Levels

SAME: Final = "OTX-L003/same"
"""Table: one call's newest failure."""

TRANSIENT: Final = "OTX-L003/transient"
"""Table: the same for failures that waiting mends."""

FEWEST_TRANSIENT: Final = 3
"""Attempts that the rule of duration needs."""


class ErrorRepeatLimits(Limits, frozen=True):
    """When the same failure of the same call is a loop.

    Attributes:
        rounds: rounds with the same call and the same failure.
        transient: the same for failures that waiting mends (precision rule 5).
        transient_after: ns; so long a row of them (3 or more) is a loop as well.
    """

    rounds: Levels = Levels(notice=2, warning=3, error=4)
    transient: Levels = Levels(warning=6, error=12)
    transient_after: int = 5 * MINUTE


class ErrorRepeat(Rule[ErrorRepeatLimits]):
    """The same (tool, arguments, failure); success of the same call clears it, another failure too.

    A user who speaks does not mend it, so turns do not end it. A write by another call does not either, as
    long as the failure stays what it was: only after one that says nothing is the next try a fresh one. A
    test, build or linter is run again after a write to see what has changed; that is told by
    `loop.edit_test_thrash`.
    """

    id = "OTX-L003"
    signal = "loop.error_repeat"
    react = (
        "Show the agent what the call takes, or take the tool away. Where the failure may pass (it is then "
        "probable, not confirmed), let it wait longer between the attempts."
    )
    guards = (
        "failures that waiting mends need six attempts or five minutes",
        "a success of the same call clears it, another failure begins anew",
        "after a failure that says nothing, a write makes the next try a fresh one",
        "calls of one model response count once",
        "without captured arguments or failure text it is silent",
    )
    origin = (
        "OpenHands, Roo Code, StuckGuard and SpanProof count failures that follow one another. Ours keeps "
        "count over other calls, compares a fingerprint of the failure, and tells transient failures apart."
    )
    version = 2
    per_turn = False
    hears = Hears(KEYED, after=ERROR)

    def call(self, context: Context, call: Call) -> None:
        """Count a failure, or clear the call's own key on success."""
        step = call.step
        if not call.key:
            return
        table, other = (TRANSIENT, SAME) if step.transient else (SAME, TRANSIENT)
        if not step.error:
            if SAME in context.lane.tables or TRANSIENT in context.lane.tables:
                self._clear(context, table, call.key)
                self._clear(context, other, call.key)
            return
        if step.error_hash is None:
            return
        self._clear(context, other, call.key)
        track = find(context, table, call.key)
        if track is not None and track.value != step.error_hash:
            self._clear(context, table, call.key)
            track = None
        if track is None:
            track = keep(self, context, table, call.key, self._track(call, step.error_hash))
        if not add(context, table, call.key, track, call):
            return
        if table == SAME:
            severity = self.limits.rounds.severity(track.count)
            advance(self, context, table, call.key, track, severity=severity, confidence="confirmed")
            return
        severity = self.limits.transient.severity(track.count)
        long = track.end - track.start >= self.limits.transient_after and track.count >= FEWEST_TRANSIENT
        if severity is None and long:
            severity = "notice"
        # Waiting may still mend it, so this is never confirmed.
        advance(self, context, table, call.key, track, severity=severity, confidence="probable")

    def wrote(self, context: Context, call: Call) -> None:
        """Forget failures that said nothing, and checks: a write is what they are run again for."""
        tables = context.lane.tables
        if not (tables.get(SAME) or tables.get(TRANSIENT)):
            return
        for table, key, track in tracks_of(self, context.lane):
            if (track.vague or track.notes) and key != call.key:
                close(self, context, table, key, "recovered")

    def _track(self, call: Call, failure: bytes) -> Track:
        checks = call.step.subject is not None and call.step.subject.verifies
        return Track(
            tool=call.tool, value=failure, vague=call.step.vague, notes=[b"verifies"] if checks else []
        )

    def _clear(self, context: Context, table: str, key: bytes) -> None:
        if find(context, table, key) is not None:
            close(self, context, table, key, "recovered")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity; for transient failures the duration in ns as well."""
        if track.episode is not None and track.episode.confidence == "probable":
            return {**self.limits.transient.as_dict(), "after": self.limits.transient_after}
        return self.limits.rounds.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        advice = "repeating it unchanged does not help, so show the agent what the call takes, or stop it"
        if track.episode is not None and track.episode.confidence == "probable":
            advice = "the failure may pass, so wait longer between the attempts, or stop the agent"
        return (
            f"{track.tool} failed {track.count} times{over(track.end - track.start)} with the same arguments "
            f"and the same error{quoted(track.error_text)}; {advice}"
        )
