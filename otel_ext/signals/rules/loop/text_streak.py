"""loop.text_streak: the model says the same again, and does nothing between.

Law of this file: equal but for blanks and letter case, in answers next to each other, without any call
between them; an answer that asks for a call does something.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.hears import ANSWERED, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

STREAK: Final = "OTX-L017/streak"
"""Table: the newest answer and how often it was given; one key a lane."""

_KEY: Final = b"streak"


class TextStreakLimits(Limits, frozen=True):
    """From how many equal answers on it is a loop.

    Attributes:
        answers: equal answers in a row.
        words: words that an answer has at least: "Done." is soon said again.
    """

    answers: Levels = Levels(warning=3, error=6)
    words: int = 20


class TextStreak(Rule[TextStreakLimits]):
    """Several answers in a row of one lane are equal, and no call was made between them."""

    id = "OTX-L017"
    signal = "loop.text_streak"
    react: ClassVar[str] = "Stop the agent or change what it is given: the same input gives the same answer."
    guards: ClassVar[tuple[str, ...]] = (
        "a call between two answers parts them",
        "a genuine user turn parts them",
        "a replayed attempt (the same response id) counts once",
        "short answers do not count",
    )
    origin: ClassVar[str] = (
        "OpenHands' monologue rule compares the newest messages as well; it counts answers between which the "
        "agent has acted."
    )
    hears_model = Hears(ANSWERED)

    def model(self, context: Context, step: Step) -> None:
        """Compare an answer with the one before."""
        said = step.said
        if said is None or not said.captured:
            return
        calls = context.lane.calls
        track = find(context, STREAK, _KEY)
        if track is not None and (track.value != said.hash or track.epoch != calls or step.issued):
            close(self, context, STREAK, _KEY, "recovered")
            track = None
        if said.hash is None or said.words < self.limits.words or step.issued:
            return
        if track is None:
            track = keep(self, context, STREAK, _KEY, Track(tool="", value=said.hash, epoch=calls))
        if add(context, STREAK, _KEY, track, evidence(context, step)):
            severity = self.limits.answers.severity(track.count)
            advance(self, context, STREAK, _KEY, track, severity=severity, confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Answers per severity, and their least length."""
        return {**self.limits.answers.as_dict(), "words": self.limits.words}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The model gave the same answer {track.count} times in a row{over(track.end - track.start)} "
            "without calling a tool; stop it, or change what it is given"
        )
