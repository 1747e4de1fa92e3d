"""waste.truncated_output: an answer cut at its limit, thrown away and generated again.

Law of this file: usage tells a new attempt from a continuation: who continues sends what was generated back
in. Where usage is missing nothing is said.
"""

from typing import Final

import msgspec

from otel_ext.signals.findings.episodes import advance, find, keep, put
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import cost_of, reported
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

CUT: Final = "OTX-W015/cut"
"""Table: one model's thrown away answers; the ring of the same name holds the newest one that was cut."""

LENGTH: Final = frozenset(("length", "max_tokens", "max_output_tokens", "model_length", "token_limit"))
"""Reasons to stop that mean: at the limit, in lower case."""


class TruncatedOutputLimits(Limits, frozen=True):
    """When cut answers are told.

    Attributes:
        answers: answers of one model that were cut and generated again.
        least: tokens out that a cut answer must have had.
    """

    answers: Levels = Levels(notice=1)
    least: int = 64


class _Cut(msgspec.Struct, array_like=True, gc=False):
    model: str
    input: int
    output: int
    mark: Mark


class TruncatedOutput(Rule[TruncatedOutputLimits]):
    """A model stops at its output limit, and the next call of the lane asks for the same again."""

    id = "OTX-W015"
    signal = "waste.truncated_output"
    costs = "the cut answers"
    react = (
        "Raise the output limit, ask for less at a time, or continue the cut answer instead of starting anew."
    )
    guards = (
        "a next input that holds the answer is a continuation",
        "a tool call or a user turn in between shows that the answer was used",
        "needs the finish reason and usage",
    )
    origin = "SpanProof tells a truncated answer; ours asks whether it was thrown away, which usage shows."

    def call(self, context: Context, call: Call) -> None:
        """A call means that the answer was used."""
        context.lane.rings.pop(CUT, None)

    def model(self, context: Context, step: Step) -> None:
        """Compare with the cut answer before; remember this one when it is cut."""
        given, made = reported(step.input_tokens), reported(step.output_tokens)
        ring = context.lane.rings.pop(CUT, None)
        if ring and given > 0:
            cut = msgspec.msgpack.decode(ring[0], type=_Cut)
            if cut.model == step.name and cut.input * 8 <= given * 10 and given < cut.input + cut.output // 2:
                self._tell(context, step, cut)
        said = step.said
        if said is not None and said.finish.lower() in LENGTH and given > 0 and made >= self.limits.least:
            now = context.lane.rounds.recent[-1]
            mark = Mark(
                step.span_id,
                max(0, step.start),
                max(0, step.start, step.end),
                now.number,
                given,
                made,
                max(0, reported(step.cached_tokens)),
                cost=cost_of(context.settings, step),
                measured=True,
                turn=True,
            )
            context.lane.rings[CUT] = [msgspec.msgpack.encode(_Cut(step.name, given, made, mark))]

    def _tell(self, context: Context, step: Step, cut: _Cut) -> None:
        key = step.name.encode("utf-8", "surrogatepass")
        track = find(context, CUT, key) or keep(self, context, CUT, key, Track(tool=""))
        put(context, track, cut.mark)
        severity = self.limits.answers.severity(track.count)
        advance(self, context, CUT, key, track, severity=severity, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """Answers, and the least tokens of one."""
        return {**self.limits.answers.as_dict(), "least": self.limits.least}

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        what = "An answer was" if track.count == 1 else f"{track.count} answers were"
        return (
            f"{what} cut at the output limit and generated anew; raise the limit, ask for less at a time, "
            "or let the model continue"
        )
