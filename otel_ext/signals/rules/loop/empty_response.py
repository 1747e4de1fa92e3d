"""loop.empty_response: the model answers nothing, and is asked again.

Law of this file: empty is an answer whose text was captured and has no word, that asks for no call, that no
call followed, and that cost next to no output tokens: thoughts and calls that were not captured cost some.
"""

from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, close, find, keep
from otel_ext.signals.findings.explain import over
from otel_ext.signals.findings.finding import Confidence
from otel_ext.signals.hears import ANSWERED, DONE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.rule import Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

EMPTY: Final = "OTX-L020/empty"
"""Table: empty answers in a row; one key a lane."""

_KEY: Final = b"empty"


class EmptyResponseLimits(Limits, frozen=True):
    """From how many empty answers on it is a loop.

    Attributes:
        answers: empty answers in a row.
        tokens: output tokens that an empty answer has at most (an end mark is counted by some).
    """

    answers: Levels = Levels(warning=2, error=5)
    tokens: int = 2


class EmptyResponse(Rule[EmptyResponseLimits]):
    """Several answers in a row of one lane are empty."""

    id = "OTX-L020"
    signal = "loop.empty_response"
    react: ClassVar[str] = (
        "Look at what the model is given: an empty user message, a stop sequence in its own instructions "
        "or a "
        "filter upstream. Asking again unchanged gives nothing again."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "an answer of tool calls alone is not empty, whether its calls are listed, seen or paid for",
        "answers whose text was not captured are unknown",
        "failed model calls do not count",
    )
    origin: ClassVar[str] = "Several agents retry on empty answers; none of them says that it did."
    hears_model = Hears(ANSWERED | DONE)

    def model(self, context: Context, step: Step) -> None:
        """Judge an answer."""
        said = step.said
        if said is None or not said.captured or step.error:
            return
        calls = context.lane.calls
        track = find(context, EMPTY, _KEY)
        made = step.output_tokens
        empty = not (said.words or step.issued or (made is not None and made > self.limits.tokens))
        if track is not None and (not empty or track.epoch != calls):
            close(self, context, EMPTY, _KEY, "recovered")
            track = None
        if not empty:
            return
        if track is None:
            track = keep(self, context, EMPTY, _KEY, Track(tool="", epoch=calls))
        track.score += made is None
        if add(context, EMPTY, _KEY, track, evidence(context, step)):
            confidence: Confidence = "candidate" if track.score else "confirmed"
            severity = self.limits.answers.severity(track.count)
            advance(self, context, EMPTY, _KEY, track, severity=severity, confidence=confidence)

    def thresholds(self, track: Track) -> dict[str, int]:
        """Answers per severity, and what one may cost."""
        return {**self.limits.answers.as_dict(), "tokens": self.limits.tokens}

    def missing(self, context: Context, track: Track) -> list[str]:
        """Output tokens, by which an answer of calls alone is told from an empty one."""
        return ["output_tokens"] if track.score else []

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The model answered nothing {track.count} times in a row{over(track.end - track.start)}; look "
            "at what it is given, asking again unchanged does not help"
        )
