"""behavior.input_growth: what the model is given grows and grows.

Law of this file: growth from nothing is growth: where the first steps report 0 tokens, the last are held
against the least that counts, not divided by zero.
"""

from typing import ClassVar, Final

from otel_ext.signals.episodes import add, advance, close, find, keep
from otel_ext.signals.finding import Status
from otel_ext.signals.lanes import Track
from otel_ext.signals.rule import LONGEST_NAME, Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.signals.usage import reported
from otel_ext.step import Step

GROWTH: Final = "OTX-B005/growth"
"""Table: a model; notes: tokens of its first and its newest input."""


class InputGrowthLimits(Limits, frozen=True):
    """When inputs have grown much.

    Attributes:
        steps: steps of one model in a run that are looked at at least.
        times: how many times as large as the first the last input is, at least.
        tokens: tokens that the last input has at least.
    """

    steps: Levels = Levels(notice=5)
    times: int = 3
    tokens: int = 8_000


class InputGrowth(Rule[InputGrowthLimits]):
    """The last input of a model in an agent's run was several times as large as its first, be that 0."""

    id = "OTX-B005"
    signal = "behavior.input_growth"
    react: ClassVar[str] = "Look at what is carried along: old results can be left out or summarised."
    guards: ClassVar[tuple[str, ...]] = (
        "each model of a lane is compared with itself",
        "an input that fell to half or less (a compaction) begins anew",
        "small inputs may grow as they like",
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
        if track is not None and 2 * given <= int(track.notes[1]):
            close(self, context, GROWTH, key, "recovered")
            track = None
        if track is None:
            track = keep(self, context, GROWTH, key, Track(tool="", notes=[b"%d" % given, b"0"]))
        track.notes[1] = b"%d" % given
        add(context, GROWTH, key, track, evidence(context, step))

    def ended(self, context: Context, status: Status) -> None:
        """Compare the last input with the first."""
        if status == "evicted":
            return
        for key, track in list(context.lane.tables.get(GROWTH, {}).items()):
            first, last = map(int, track.notes)
            if last >= self.limits.tokens and last >= self.limits.times * first:
                severity = self.limits.steps.severity(track.count)
                advance(self, context, GROWTH, key, track, severity=severity, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Steps per severity, the ratio and the least size."""
        bounds = {"times": self.limits.times, "tokens": self.limits.tokens}
        return {**self.limits.steps.as_dict(), **bounds}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        first, last = map(int, track.notes)
        return (
            f"over {track.count} steps the model's input grew from {first:,} to {last:,} tokens; look at "
            "what is carried along"
        )
