"""loop.reasoning_repeat: the model argues the same again.

Law of this file: likeness of words is weak evidence, since one agent writes alike from step to step. Alone it
is a candidate; beside an open loop of calls it says that the model does not see it.
"""

from typing import ClassVar, Final

from otel_ext.signals.calls.said import likeness
from otel_ext.signals.findings.episodes import add, advance, close, find, held, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.hears import ANSWERED, Hears
from otel_ext.signals.lane.lanes import Lane
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

ALIKE: Final = "OTX-L018/alike"
"""Table: answers in a row that are alike; one key a lane."""

_KEY: Final = b"alike"
_LOOPS: Final = ("OTX-L001/", "OTX-L003/", "OTX-L004/", "OTX-L005/")


class ReasoningRepeatLimits(Limits, frozen=True):
    """When answers are alike.

    Attributes:
        answers: answers in a row, each like the one before.
        percent: how alike two answers' sketches are at least, in percent of their bits.
    """

    answers: Levels = Levels(notice=3)
    percent: int = 85


class ReasoningRepeat(Rule[ReasoningRepeatLimits]):
    """Several answers in a row are nearly the same text; equal ones without a call are `loop.text_streak`."""

    id = "OTX-L018"
    signal = "loop.reasoning_repeat"
    react: ClassVar[str] = "Tell the agent what it has tried already, or let another model look at it."
    guards: ClassVar[tuple[str, ...]] = (
        "answers of less than 20 words are not compared",
        "a candidate unless a loop of calls is open in the same lane",
    )
    origin: ClassVar[str] = (
        "qwen-code compares the newest thoughts for equality, runcap prompts by likeness; both alarm on it."
    )
    hears_model = Hears(ANSWERED)

    def model(self, context: Context, step: Step) -> None:
        """Compare an answer with the one before."""
        said = step.said
        if said is None or not said.captured:
            return
        if not said.sketch and said.words == 0:
            return  # calls alone: what was argued before still stands
        track = find(context, ALIKE, _KEY)
        if track is not None:
            before = int.from_bytes(track.value, "big")
            if not said.sketch or 100 * likeness(before, said.sketch) < self.limits.percent:
                close(self, context, ALIKE, _KEY, "recovered")
                track = None
        if not said.sketch:
            return
        if track is None:
            track = keep(self, context, ALIKE, _KEY, Track(tool=""))
        track.value = said.sketch.to_bytes(8, "big")
        if add(context, ALIKE, _KEY, track, evidence(context, step)):
            confidence: Confidence = "probable" if _loops(context.lane) else "candidate"
            severity = self.limits.answers.severity(track.count)
            if track.episode is not None and confidence == "probable":
                track.episode.confidence = confidence  # the loop began after the first equal answers
            advance(self, context, ALIKE, _KEY, track, severity=severity, confidence=confidence)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Answers per severity, and their likeness."""
        return {**self.limits.answers.as_dict(), "percent": self.limits.percent}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"{track.count} answers of the model in a row{over(track.end - track.start)} were nearly the "
            "same text; tell it what it has tried already"
        )


def _loops(lane: Lane) -> bool:
    """Whether a loop of calls is open."""
    return any(
        track.episode is not None
        for name in lane.tables
        if name.startswith(_LOOPS)
        for _, track in held(lane, name)
    )
