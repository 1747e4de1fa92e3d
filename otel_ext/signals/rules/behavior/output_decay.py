"""behavior.output_decay: the answers get shorter and shorter.

Law of this file: medians of the first and the last three answers are compared, so one long or short answer
says nothing; and only answers that did the same kind of thing (none, or all, asked for calls).
"""

from statistics import median
from typing import ClassVar, Final

from otel_ext.signals.findings.episodes import add, advance, find, held, keep
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.hears import MADE, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import reported
from otel_ext.signals.rule import Context, Limits, Rule, evidence
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

DECAY: Final = "OTX-B004/decay"
"""Table: answers with calls, answers without; numbers: output tokens of the first and the last three."""


class OutputDecayLimits(Limits, frozen=True):
    """When answers have become short.

    Attributes:
        answers: answers that are compared at least.
        percent: of the first answers' length that the last ones have at most.
        tokens: output tokens that the first answers have at least.
    """

    answers: Levels = Levels(notice=6)
    percent: int = 60
    tokens: int = 100


class OutputDecay(Rule[OutputDecayLimits]):
    """The last three answers of an agent were much shorter than its first three (medians, output tokens)."""

    id = "OTX-B004"
    signal = "behavior.output_decay"
    react: ClassVar[str] = (
        "Look at the last answers: an agent near the end of its context says less and less."
    )
    guards: ClassVar[tuple[str, ...]] = (
        "answers with calls and answers without are compared among themselves",
        "short first answers cannot decay",
        "told at the agent's end only",
    )
    origin: ClassVar[str] = "AgentDiet and others measure it over runs; as a signal it is a hint, no finding."
    per_turn = False
    owns = False
    hears_model = Hears(MADE)

    def model(self, context: Context, step: Step) -> None:
        """Note an answer's length."""
        made = reported(step.output_tokens)
        if made <= 0:
            return
        key = b"calls" if step.issued else b"text"
        track = find(context, DECAY, key) or keep(self, context, DECAY, key, Track(tool=""))
        if add(context, DECAY, key, track, evidence(context, step)):
            track.numbers.append(made)
            del track.numbers[3:-3]

    def ended(self, context: Context, status: Status) -> None:
        """Compare the last answers with the first."""
        if status == "evicted":
            return
        for key, track in held(context.lane, DECAY):
            lengths = track.numbers
            if len(lengths) < 6:
                continue
            first, last = median(lengths[:3]), median(lengths[3:])
            if first >= self.limits.tokens and 100 * last <= self.limits.percent * first:
                track.score = int(100 * last / first)
                severity = self.limits.answers.severity(track.count)
                advance(self, context, DECAY, key, track, severity=severity, confidence="candidate")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Answers per severity, the share and the least length."""
        bounds = {"percent": self.limits.percent, "tokens": self.limits.tokens}
        return {**self.limits.answers.as_dict(), **bounds}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"Over {track.count} answers the model's output fell to {track.score} % of the tokens that it "
            "began with; look whether its last answers still do the work"
        )
