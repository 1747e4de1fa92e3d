"""risk.duplicate_side_effect: something was sent, paid or created twice.

Law of this file: this is about harm, not about waste, so two are enough and parallel calls count; for the
same reason it speaks only where doing it twice does it twice, by the plain meaning of the tool's verb.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.hears import ABOUT, DONE, KEYED, POLLS, WRITE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

SAME: Final = "OTX-R001/same"
"""Table: one call."""

_WRITE = Effect.WRITE


class DuplicateSideEffectLimits(Limits, frozen=True):
    """When doing the same again is a danger.

    Attributes:
        calls: successful calls with the same arguments in one user turn.
    """

    calls: Levels = Levels(error=2)


class DuplicateSideEffect(Rule[DuplicateSideEffectLimits]):
    """The same call of a tool that sends, pays, books or creates succeeded more than once."""

    id = "OTX-R001"
    signal = "risk.duplicate_side_effect"
    react = "Check whether it took effect twice and undo one; give the call an idempotency key."
    guards = (
        "only verbs that add (send, pay, book, create, ...), not to a file",
        "exempt with an idempotency key among the arguments",
        "a result that says nothing was changed does not count",
        "a user turn between may have asked for it again",
        "one call told by two spans counts once",
    )
    origin = "xagent suppresses a same-turn duplicate write in the agent; no observer reports it."
    hears = Hears(ABOUT | DONE | KEYED | WRITE, skips=POLLS)

    def call(self, context: Context, call: Call) -> None:
        """Count a successful call that adds."""
        step, subject = call.step, call.step.subject
        if step.effect is not _WRITE or subject is None or not subject.adds:
            return
        if step.error or subject.unchanged or step.waiting or not call.key:
            return
        track = find(context, SAME, call.key)
        if track is None:
            track = keep(self, context, SAME, call.key, Track(tool=call.tool))
        track.vague = track.vague or step.result_hash is None
        add(context, SAME, call.key, track, call, each=True)
        severity = self.limits.calls.severity(track.count)
        confidence: Confidence = "probable" if track.vague else "confirmed"
        advance(self, context, SAME, call.key, track, severity=severity, confidence=confidence)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Calls per severity."""
        return self.limits.calls.as_dict()

    def missing(self, context: Context, track: Track) -> list[str]:
        """Results, where one of them was not captured."""
        return ["result"] if track.vague else []

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.tool} succeeded {track.count} times{over(track.end - track.start)} with the same "
            "arguments; check whether it took effect each time, and give the call an idempotency key"
        )
