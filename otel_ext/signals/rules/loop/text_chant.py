"""loop.text_chant: one answer that repeats one passage to its end.

Law of this file: the passage and its repeats are found in `signals.calls.said`, which knows what repeats by
its form (code, tables, lists, headings); here it is only decided from how many repeats on that is a loop.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.hears import ANSWERED, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

CHANT: Final = "OTX-L016/chant"
"""Table: answers in a row that chant; one key a lane."""

_KEY: Final = b"chant"


class TextChantLimits(Limits, frozen=True):
    """From how many repeats of one passage on an answer chants.

    Attributes:
        repeats: times that the passage at an answer's end stands there in a row (12 words at least in all).
    """

    repeats: Levels = Levels(notice=4, warning=8, error=50)


class TextChant(Rule[TextChantLimits]):
    """A model's answer ends in one passage over and over, as a degenerated generation does."""

    id = "OTX-L016"
    signal = "loop.text_chant"
    react: ClassVar[str] = (
        "Cut the generation off: a frequency penalty, a stop sequence or a lower limit of output tokens. The "
        "answer is of no use; what comes after it starts from a spoilt history."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "code, tables, lists, headings and dividers repeat by nature and are left out",
        "at least 12 words, of which some have letters",
        "below eight repeats a notice: a rhyme is no loop",
    )
    origin: ClassVar[str] = (
        "gemini-cli and qwen-code look for chants while the answer streams; from a span the whole answer is "
        "known, so only its end is asked, where a chant that nobody stopped must be."
    )
    hears_model = Hears(ANSWERED)

    def model(self, context: Context, step: Step) -> None:
        """Judge an answer."""
        said = step.said
        if said is None or not said.captured:
            return
        track = find(context, CHANT, _KEY)
        if not said.repeats:
            if track is not None:
                close(self, context, CHANT, _KEY, "recovered")
            return
        if track is None:
            track = keep(self, context, CHANT, _KEY, Track(tool=""))
        track.score = max(track.score, said.repeats)
        if add(context, CHANT, _KEY, track, evidence(context, step)):
            severity = self.limits.repeats.severity(said.repeats)
            advance(self, context, CHANT, _KEY, track, severity=severity, confidence="confirmed")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Repeats per severity."""
        return self.limits.repeats.as_dict()

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        answers = "An answer" if track.count == 1 else f"{track.count} answers in a row"
        return (
            f"{answers} of the model ended in one passage that is repeated {track.score} times; cut such an "
            "answer off"
        )
