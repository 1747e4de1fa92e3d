"""latency.model_slowdown: a model answers much more slowly than it did.

A family of its own: nothing is repeated and no token is spent for nothing, so it is neither `loop` nor
`waste`, and no agent can mend it; "latency" is what every operator calls it.

Law of this file: a model is compared with itself as the same service sees it. Compared are the time to the
first token and the time for each token after it, never whole durations, which grow with what was asked. One
slow call is weather; only a row of them is told.
"""

from operator import itemgetter
from typing import Final, TypeAlias

from otel_ext.signals.findings.episodes import advance, close, find, keep, put
from otel_ext.signals.findings.explain import lasting
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import reported
from otel_ext.signals.lane.waste import Mark
from otel_ext.signals.rule import Context, Limits, Rule
from otel_ext.signals.settings import SECOND, Levels
from otel_ext.step import Step

SLOW: Final = "OTX-P001/slow"
"""Table: one model's slow calls in a row."""

_PICO: Final = 1000  # a pace is kept in thousandths of a ns a token


class ModelSlowdownLimits(Limits, frozen=True):
    """When a model has become slow.

    Attributes:
        calls: slow calls of a lane in a row.
        samples: calls of the model by the service that must be known.
        factor: per cent of the median from which a call may be slow.
        spread: so many times the median distance from the median it must be away as well.
        excess: ns that the call must have taken longer than usual.
        tokens: tokens out below which the pace of a call is not looked at.
    """

    calls: Levels = Levels(notice=3, warning=8)
    samples: int = 20
    factor: int = 250
    spread: int = 6
    excess: int = 3 * SECOND
    tokens: int = 32


_Measure: TypeAlias = tuple[str, int, int, int]
"""One pace of a call: of what, its value, and what makes it ns: tokens / scale."""


class ModelSlowdown(Rule[ModelSlowdownLimits]):
    """Calls of one model whose first token, or whose pace after it, comes far later than usual, in a row."""

    id = "OTX-P001"
    signal = "latency.model_slowdown"
    costs = "the delay"
    react = "Look at the provider's status, switch to another model or region, or raise time limits for now."
    guards = (
        "20 calls of the same model by the same service must be known",
        "two and a half times the median, six times the usual spread and three seconds more, all of them",
        "of calls at the same time only the first is judged: the others may wait for it",
        "failed calls are left out",
        "durations without tokens or a first token say nothing",
    )
    origin = (
        "Latency alerts elsewhere look at averages over all calls; ours divides by tokens, asks for a "
        "row, and leaves out calls that queue."
    )
    per_turn = False

    def model(self, context: Context, step: Step) -> None:
        """Judge a call, once; count a row of slow ones."""
        judged = context.trace.paces.judged.get(step.span_id)
        if judged is None:
            judged = self._judge(context, step)
            context.trace.paces.judge(step.span_id, *judged)
        late, usual = judged
        if late > 0:
            self._tell(context, step, late, usual)
        elif late == 0 and SLOW in context.lane.tables:
            key = step.name.encode("utf-8", "surrogatepass")
            if find(context, SLOW, key) is not None:
                close(self, context, SLOW, key, "recovered")

    def _judge(self, context: Context, step: Step) -> tuple[int, int]:
        """(ns more than usual, the usual ns), after which the call is part of what is usual."""
        took = step.end - step.start
        if step.error or step.start <= 0 or took <= 0 or not step.name:
            return -1, 0
        if not context.trace.paces.alone(step.name, step.start, step.end):
            return -1, 0
        measures = self._measures(f"{context.lane.service}:{step.name}", step, took)
        slow = [late for measure in measures if (late := self._late(context, measure)) is not None]
        for pace, value, _, _ in measures:
            context.baselines.add(pace, value)
        if not slow:
            return (0 if measures else -1), 0
        excess, usual = max(slow, key=itemgetter(0))
        return min(excess, 1 << 62), min(usual, 1 << 62)

    def _measures(self, of: str, step: Step, took: int) -> list[_Measure]:
        found: list[_Measure] = []
        first, made = step.first_token or 0, reported(step.output_tokens)
        if 0 < first <= took:
            found.append((f"first:{of}", first, 1, 1))
        if made >= max(1, self.limits.tokens):
            pace = (took - min(first, took)) * _PICO // made
            found.append((f"pace:{of}" if first else f"whole:{of}", pace, made, _PICO))
        return found

    def _late(self, context: Context, measure: _Measure) -> tuple[int, int] | None:
        """(ns more than usual, the usual ns) of a slow call; None of any other."""
        name, value, tokens, scale = measure
        known, limits = context.baselines.get(name), self.limits
        if known is None or known.known < max(2, limits.samples):
            return None
        usual, more = known.usual, value - known.usual
        if value * 100 < usual * limits.factor or more < known.spread * limits.spread:
            return None
        excess = more * tokens // scale
        return (excess, usual * tokens // scale) if excess >= limits.excess > 0 else None

    def _tell(self, context: Context, step: Step, late: int, usual: int) -> None:
        key = step.name.encode("utf-8", "surrogatepass")
        track = find(context, SLOW, key)
        if track is None:
            track = keep(self, context, SLOW, key, Track(tool=""))
            track.notes = [key]
        number = context.lane.rounds.recent[-1].number
        # The time lost is the call's tail; its tokens are what was asked for.
        put(
            context,
            track,
            Mark(
                step.span_id,
                max(step.start, step.end - late),
                step.end,
                number,
                measured=True,
                turn=True,
            ),
        )
        track.start = min(track.start, step.start)
        track.gap = late + usual
        track.score = max(1, usual)
        severity = self.limits.calls.severity(track.count)
        advance(self, context, SLOW, key, track, severity=severity, confidence="probable")

    def thresholds(self, track: Track) -> dict[str, int]:
        """All of them; times in ns."""
        limits = self.limits
        return {
            **limits.calls.as_dict(),
            "samples": limits.samples,
            "factor": limits.factor,
            "spread": limits.spread,
            "excess": limits.excess,
        }

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        model = track.notes[0].decode("utf-8", "replace") if track.notes else "the model"
        return (
            f"{track.count} calls of {model} in a row were slow, the last took {lasting(track.gap)} for what "
            f"usually takes {lasting(track.score)}; look at the provider's status, or switch"
        )
