"""loop.exact_repeat: the same call with the same result, over and over.

Law of this file: a result that changes is progress, and so is a write by another call. A name alone, or
arguments alone, say nothing: every repeated successful call with equal arguments that was measured on
TRAIL returned something new (pagination without a page argument).
"""

from typing import Final

from otel_ext.signals.findings.episodes import add, advance, again, claimed, close, find, forget
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.hears import DONE, KEYED, POLLS, TOLD, Hears
from otel_ext.signals.lane.periods import CYCLE, under_way
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Effect

STRICT: Final = "OTX-L001/strict"
"""Table: equal arguments, equal result."""

RELAXED: Final = "OTX-L001/relaxed"
"""Table: arguments equal but for free-text labels (rule 11), equal result."""

VOLATILE: Final = "OTX-L001/volatile"
"""Table: the result is equal but for times, ids and durations (rule 1)."""


_POLL = Effect.POLL


class ExactRepeatLimits(Limits, frozen=True):
    """When an equal result of an equal call is a loop.

    Attributes:
        rounds: rounds with the same call and the same result.
    """

    rounds: Levels = Levels(notice=3, warning=5, error=10, critical=20)


class ExactRepeat(Rule[ExactRepeatLimits]):
    """The same (tool, arguments, result) in several rounds of a lane, no write by another call between.

    Three views, the surest first; a span that a surer view owns is left alone by the others.
    Polls and calls that report a waiting state are `loop.poll_stalled`'s (precision rule 6).
    """

    id = "OTX-L001"
    signal = "loop.exact_repeat"
    react = (
        "Look at what the agent does with the result: it has it already. Give the result a clearer end "
        '("this is all there is"), or stop the run at the severity that you can afford.'
    )
    guards = (
        "a result that changes is progress",
        "a write by another call begins anew, and so does a person's next turn",
        "calls of one model response count once",
        "polls and waiting results are loop.poll_stalled's",
        "without captured arguments or result it is silent",
        "results that differ only in times, ids or durations make a candidate, never an alarm",
    )
    origin = (
        "Every agent with a loop guard counts equal calls; crush, OpenClaw, Stella, zeroclaw and tracelint "
        "look at results as well. Ours also sees it with other reads between, over model turns, by "
        "canonical arguments, and knows writes."
    )
    hears = Hears(DONE | KEYED | TOLD, skips=POLLS)

    def call(self, context: Context, call: Call) -> None:
        """Count a successful call in each view."""
        step = call.step
        if step.error or not call.key or step.result_hash is None or is_poll(call):
            return
        self._view(context, STRICT, call.key, call, value=step.result_hash, confidence="confirmed")
        if call.relaxed != call.key:
            self._view(context, RELAXED, call.relaxed, call, value=step.result_hash, confidence="probable")
        if step.result_relaxed is not None:
            self._view(
                context, VOLATILE, call.relaxed, call, value=step.result_relaxed, confidence="candidate"
            )

    def wrote(self, context: Context, call: Call) -> None:
        """Forget what other calls returned: after a write it is worth asking again (rule 4)."""
        forget(self, context, STRICT, RELAXED, VOLATILE, but=(call.key, call.relaxed))

    def _view(
        self, context: Context, table: str, key: bytes, call: Call, *, value: bytes, confidence: Confidence
    ) -> None:
        if table != STRICT and claimed(context, call.step.span_id):
            track = find(context, table, key)
            if track is not None and track.value != value:
                close(self, context, table, key, "recovered")
            return
        track = again(self, context, table, key, call, value=value)
        if track is None or not add(context, table, key, track, call):
            return
        levels = self.limits.rounds
        severity = levels.severity(track.count)
        if severity is None:
            return
        if table == VOLATILE:
            severity = "notice"
        if track.episode is None and under_way(context.lane.rings.get(CYCLE)):
            return  # part of a longer sequence, which `loop.cycle` tells as one
        free = sum(not claimed(context, mark.span_id) for mark in track.marks)
        if table == STRICT or track.episode is not None or levels.severity(free) is not None:
            advance(self, context, table, key, track, severity=severity, confidence=confidence)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Rounds per severity."""
        return self.limits.rounds.as_dict()

    def missing(self, context: Context, track: Track) -> list[str]:
        """Say which of the weaker views spoke."""
        if track.episode is not None and track.episode.confidence == "candidate":
            return ["exact_result"]
        if track.episode is not None and track.episode.confidence == "probable":
            return ["exact_arguments"]
        return []

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        confidence = track.episode.confidence if track.episode else "confirmed"
        same = {
            "confirmed": "the same arguments and got the same result each time",
            "probable": "arguments that differ only in free text and got the same result each time",
            "candidate": "the same arguments and got results that differ only in times or ids",
        }[confidence]
        return (
            f"{track.tool} was called {track.count} times{over(track.end - track.start)} with {same}; "
            "nothing changed between the calls, so let the agent use the result it has, or stop it"
        )


def is_poll(call: Call) -> bool:
    """Whether repeating this call is its purpose, by its class or by what it returned."""
    return call.step.effect is _POLL or call.step.waiting
