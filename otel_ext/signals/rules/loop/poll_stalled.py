"""loop.poll_stalled: waiting for something that does not move.

Law of this file: polling is legitimate until its answer has been the same for long; any change starts
anew, and an agent that waits longer and longer between polls gets twice the patience.
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, claimed, close, find, keep
from otel_ext.signals.findings.explain import lasting, over
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.hears import DONE, KEYED, POLLS, TOLD, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.rules.loop.exact_repeat import is_poll
from otel_ext.signals.settings import MINUTE, Levels, Severity

STRICT: Final = "OTX-L015/strict"
"""Table: the answer is equal."""

VOLATILE: Final = "OTX-L015/volatile"
"""Table: the answer is equal but for times, ids and durations."""

FEWEST: Final = 3
"""Polls that the rule of duration needs, so that two distant ones are not "stalled"."""


class PollStalledLimits(Limits, frozen=True):
    """When a poll's unchanged answer is a stall; all doubled where the intervals grow.

    Attributes:
        polls: unchanged answers.
        after: ns; so long without a change (3 polls or more) is stalled as well.
    """

    polls: Levels = Levels(notice=10, warning=20, error=30)
    after: int = 10 * MINUTE


class PollStalled(Rule[PollStalledLimits]):
    """A poll-class call, or one that reports a waiting state, whose answer stays the same."""

    id = "OTX-L015"
    signal = "loop.poll_stalled"
    react = (
        "Check whether what it waits for is still alive; if it is, let the agent wait longer between polls."
    )
    guards = (
        "any change of the answer begins anew",
        "thresholds double where the intervals grow",
        "answers that differ only in times or ids make a candidate, never an alarm",
        "without captured arguments or result it is silent",
    )
    origin = (
        "crush, OpenClaw and browser-use leave polls out; nobody follows them. Ours knows a poll by its "
        "name, by its declared class or by a result that says that it waits."
    )
    hears = Hears(DONE | KEYED | TOLD, after=POLLS)

    def call(self, context: Context, call: Call) -> None:
        """Count a successful poll; a call that waits no longer ends its own track."""
        step = call.step
        if step.error or not call.key or step.result_hash is None:
            return
        if not is_poll(call):
            if STRICT not in context.lane.tables:
                return
            for table in (STRICT, VOLATILE):
                if find(context, table, call.relaxed) is not None:
                    close(self, context, table, call.relaxed, "recovered")
            return
        self._view(context, STRICT, call, step.result_hash, "confirmed")
        if step.result_relaxed is not None:
            self._view(context, VOLATILE, call, step.result_relaxed, "candidate")

    def _view(self, context: Context, table: str, call: Call, value: bytes, confidence: Confidence) -> None:
        key = call.relaxed  # a poll's timeout or label does not make it another poll
        track = find(context, table, key)
        if track is not None and track.value != value:
            close(self, context, table, key, "recovered")
            track = None
        if table == VOLATILE and claimed(context, call.step.span_id):
            return
        if track is None:
            track = keep(self, context, table, key, Track(tool=call.tool, value=value))
        if not add(context, table, key, track, call):
            return
        severity = self._severity(track)
        if severity is not None and table == VOLATILE:
            severity = "notice"
        free = any(not claimed(context, mark.span_id) for mark in track.marks)
        if table == STRICT or free:
            advance(self, context, table, key, track, severity=severity, confidence=confidence)

    def _severity(self, track: Track) -> Severity | None:
        factor = patience(track)
        by_count = self.limits.polls.severity(track.count, factor)
        waited = track.end - track.start >= self.limits.after * factor and track.count >= FEWEST
        return by_count or ("notice" if waited else None)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Polls per severity, already doubled where the interval grows, and the duration in ns."""
        factor = patience(track)
        counts = {name: least * factor for name, least in self.limits.polls.as_dict().items()}
        return {**counts, "after": self.limits.after * factor}

    def missing(self, context: Context, track: Track) -> list[str]:
        """Say when only the weaker view spoke."""
        candidate = track.episode is not None and track.episode.confidence == "candidate"
        return ["exact_result"] if candidate else []

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        every = lasting((track.end - track.start) // max(1, track.count - 1))
        pace = f", about every {every}" if every else ""
        return (
            f"{track.tool} polled {track.count} times{over(track.end - track.start)}{pace} and the answer "
            "never changed; check whether what it waits for is still alive, or let it wait longer"
        )


def patience(track: Track) -> int:
    """2 when most intervals grew, else 1 (precision rule 6)."""
    return 2 if track.count > FEWEST and track.grew * 2 > track.count - 2 else 1
