"""waste.sleep_poll: waiting inside of a tool, or at a fixed pace for long.

Law of this file: it is told as time. A wait may be right, so this is a notice; what makes it waste is that
the agent holds its context, and its user, while nothing happens.
"""

from typing import Final

from otel_ext.signals.calls.classify import own_name
from otel_ext.signals.calls.words import SHELLS, words
from otel_ext.signals.findings.episodes import add, find, keep, put
from otel_ext.signals.findings.explain import lasting
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.findings.last import speak_last
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import MINUTE, SECOND
from otel_ext.step import Effect

SLEEP: Final = "OTX-W016/sleep"
"""Table: one tool that sleeps."""

PACE: Final = "OTX-W016/pace"
"""Table: one poll."""

SLEEPS: Final = words("sleep wait wait_for wait_seconds pause delay")
"""Whole names of tools that only wait."""

_POLL = Effect.POLL


class SleepPollLimits(Limits, frozen=True):
    """When waiting is told.

    Attributes:
        asleep: ns that a tool slept in all.
        polling: ns from the first to the last of polls at a fixed pace.
        polls: polls at least.
    """

    asleep: int = 30 * SECOND
    polling: int = 5 * MINUTE
    polls: int = 5


class SleepPoll(Rule[SleepPollLimits]):
    """Sleeping calls of 30 seconds in all, or polls that go on for five minutes and never slow down."""

    id = "OTX-W016"
    signal = "waste.sleep_poll"
    costs = "this"
    react = (
        "Let the runtime wait without the model: a callback, a tool that returns when it is done, or waits "
        "that "
        "grow."
    )
    guards = (
        "polls whose intervals grow are well behaved",
        "a shell command that polls counts as sleep only as a candidate",
        "a poll that never changes is loop.poll_stalled's",
    )
    origin = "No product in our comparison measures it; poll guards elsewhere only keep loop rules silent."
    counts = False

    def call(self, context: Context, call: Call) -> None:
        """Add up what was slept; watch the pace of polls."""
        step, name = call.step, own_name(call.tool)
        if name in SLEEPS or (step.effect is _POLL and name in SHELLS):
            self._slept(context, call)
        if step.effect is _POLL and call.key and not step.error:
            self._polled(context, call)

    def _slept(self, context: Context, call: Call) -> None:
        step, key = call.step, call.tool.encode("utf-8", "surrogatepass")
        track = find(context, SLEEP, key) or keep(self, context, SLEEP, key, Track(tool=call.tool))
        track.score += step.end - step.start if 0 < step.start < step.end else 0
        number = call.round.number
        put(context, track, Mark(step.span_id, step.start, step.end, number, measured=True, turn=True))

    def _polled(self, context: Context, call: Call) -> None:
        key = call.relaxed
        track = find(context, PACE, key) or keep(self, context, PACE, key, Track(tool=call.tool))
        add(context, PACE, key, track, call)

    def closing(self, context: Context, table: str, key: bytes, track: Track) -> None:
        """Speak for what no loop owns."""
        if table == SLEEP:
            sure: Confidence = "probable" if own_name(track.tool) in SLEEPS else "candidate"
            if track.score >= self.limits.asleep > 0:
                speak_last(context, table, key, track, first=False, confidence=sure)
            return
        long = track.end - track.start >= self.limits.polling > 0
        if long and track.count >= max(3, self.limits.polls) and track.grew * 3 <= track.count:
            speak_last(context, table, key, track, least=self.limits.polls - 1, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Times in ns, and polls."""
        return {"asleep": self.limits.asleep, "polling": self.limits.polling, "polls": self.limits.polls}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        if track.score:
            return (
                f"{track.tool} slept {lasting(track.score)} in {track.count} calls while the agent held its "
                "context; let the runtime wait without the model"
            )
        return (
            f"{track.tool} was polled {track.count} times in {lasting(track.end - track.start)} and "
            "hardly ever more slowly; let the waits grow, or have the runtime call back"
        )
