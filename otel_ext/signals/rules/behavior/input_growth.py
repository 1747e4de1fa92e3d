"""behavior.input_growth: what the model is given grows and grows.

Law of this file: growth goes on. From nothing counts too (where the first step reports 0 tokens nothing is
divided by it), but one jump is not growth: it is one large result, or a first count that was not reported.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, held, keep
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import reported
from otel_ext.signals.rule import LONGEST_NAME, Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

GROWTH: Final = "OTX-B005/growth"
"""Table: a model; numbers: tokens of its first and its newest input, and the largest rise between two."""


class InputGrowthLimits(Limits, frozen=True):
    """When inputs have grown much.

    Attributes:
        steps: steps of one model in a run that are looked at at least.
        times: how many times as large as the first the last input is, at least.
        tokens: tokens that the last input has at least.
        jump: percent of the growth that the largest single rise makes up at most; 100 to allow one jump.
    """

    steps: Levels = Levels(notice=5)
    times: int = 3
    tokens: int = 8_000
    jump: int = 50


class InputGrowth(Rule[InputGrowthLimits]):
    """The last input of a model in an agent's run was several times as large as its first, be that 0.

    It got there by and by: no single rise makes up more than half of the growth.
    """

    id = "OTX-B005"
    signal = "behavior.input_growth"
    react: ClassVar[str] = "Look at what is carried along: old results can be left out or summarised."
    guards: ClassVar[tuple[str, ...]] = (
        "each model of a lane is compared with itself",
        "an input that fell to half or less (a compaction) begins anew",
        "small inputs may grow as they like",
        "one jump is no growth: one large result, or a first input whose tokens were not reported",
    )
    origin: ClassVar[str] = "A ratio to the first input misses growth from 0, which some producers report."
    per_turn = False
    owns = False

    def model(self, context: Context, step: Step) -> None:
        """Note an input's size."""
        given = reported(step.input_tokens)
        if given < 0:
            return
        key = step.name[:LONGEST_NAME].encode("utf-8", "surrogatepass")
        track = find(context, GROWTH, key)
        if track is not None and 2 * given <= track.numbers[1]:
            close(self, context, GROWTH, key, "recovered")
            track = None
        if track is None:
            fresh = Track(tool="", numbers=[given, given, 0])
            track = keep(self, context, GROWTH, key, fresh)
        first, last, rise = track.numbers
        track.numbers = [first, given, max(rise, given - last)]
        add(context, GROWTH, key, track, evidence(context, step))

    def ended(self, context: Context, status: Status) -> None:
        """Compare the last input with the first."""
        if status == "evicted":
            return
        for key, track in held(context.lane, GROWTH):
            first, last, rise = track.numbers
            steady = 100 * rise <= self.limits.jump * (last - first)
            if steady and last >= self.limits.tokens and last >= self.limits.times * first:
                severity = self.limits.steps.severity(track.count)
                advance(self, context, GROWTH, key, track, severity=severity, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Steps per severity, the ratio and the least size."""
        bounds = {"times": self.limits.times, "tokens": self.limits.tokens, "jump": self.limits.jump}
        return {**self.limits.steps.as_dict(), **bounds}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        first, last, _ = track.numbers
        return (
            f"Over {track.count} model steps the input grew by and by from {first:,} to {last:,} tokens; "
            "leave out or summarise old results that are carried along"
        )
