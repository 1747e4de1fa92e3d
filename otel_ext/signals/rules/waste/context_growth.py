"""waste.context_growth: the context grows, and not by what the agent learned.

Law of this file: growth by results, answers and a person's words is what contexts are for. Only growth that
none of them explains is told, and only where all of them were captured.
"""

from typing import Final

import msgspec

from otel_ext.signals.findings.episodes import advance, find, keep, put
from otel_ext.signals.hears import DONE, USED, Hears
from otel_ext.signals.lane.tracks import Track
from otel_ext.signals.lane.usage import reported
from otel_ext.signals.lane.waste import BYTES_PER_TOKEN, Mark
from otel_ext.signals.rule import Call, Context, Limits, Rule
from otel_ext.signals.settings import Levels
from otel_ext.step import Step

GROWTH: Final = "OTX-W013/growth"
"""Table: one model's context since the turn began."""

STATE: Final = "OTX-W013/state"
"""Ring: one packed `_State`."""


class ContextGrowthLimits(Limits, frozen=True):
    """When growth is told.

    Attributes:
        factor: tokens in, as a multiple of the first call's.
        calls: model calls at least.
        least: tokens of growth that nothing explains.
        explained: per cent of the growth; where results and answers make up more, it is not told.
    """

    factor: int = 3
    calls: int = 5
    least: int = 8_000
    explained: int = 40


class _State(msgspec.Struct, array_like=True, gc=False):
    model: str
    first: int
    since: int
    calls: int = 1
    learned: int = 0
    blind: bool = False
    asked: int = 0


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_State)


class ContextGrowth(Rule[ContextGrowthLimits]):
    """Tokens in grow to a multiple of the turn's first call, mostly by neither results nor answers."""

    id = "OTX-W013"
    signal = "waste.context_growth"
    costs = "this"
    react = (
        "See what the framework adds to each call: whole files, tool descriptions or reminders that it "
        "repeats; "
        "send them once."
    )
    guards = (
        "results, answers and user turns explain growth",
        "silent where a result was not captured, or where turns pass without a call",
        "a compaction or another model starts anew",
        "a result's tokens are estimated, so what they explain is counted generously",
    )
    origin = (
        "OBEY divides growth by new information, tangle asks for three times the input; ours tells only "
        "growth that no captured result or answer explains."
    )
    hears_model = Hears(DONE | USED)

    def call(self, context: Context, call: Call) -> None:
        """Count what the agent learned."""
        state = self._state(context) if STATE in context.lane.rings else None
        if state is None:
            return
        step = call.step
        state.learned += step.result_size // (BYTES_PER_TOKEN - 1)
        state.blind = state.blind or (not step.error and not step.result_size)
        state.asked = call.round.number
        self._save(context, state)

    def model(self, context: Context, step: Step) -> None:
        """Compare the context with the first one."""
        given, made = reported(step.input_tokens), reported(step.output_tokens)
        if given <= 0 or step.error:
            return
        state, number = self._state(context), context.lane.rounds.recent[-1].number
        if state is None or self._anew(context, state, step, given):
            state = _State(step.name, given, number)
        else:
            # What a turn without calls brought in was told by nobody: a person, or code that the model wrote.
            state.blind = state.blind or state.asked < number - 1
            state.calls += 1
            self._judge(context, state, step, given)
        state.learned += max(0, made)
        self._save(context, state)

    def _anew(self, context: Context, state: _State, step: Step, given: int) -> bool:
        if state.model != step.name or context.lane.contexts.compacted > state.since:
            return True
        # The first call of all is often a small one aside: a title, a classification.
        return state.calls == 1 and given > 2 * (state.first + state.learned)

    def _judge(self, context: Context, state: _State, step: Step, given: int) -> None:
        limits, grown = self.limits, given - state.first
        unexplained = grown - state.learned
        if state.blind or state.calls < limits.calls or not 0 < limits.factor * state.first <= given:
            return
        if unexplained < limits.least or state.learned * 100 > grown * limits.explained:
            return
        key = step.name.encode("utf-8", "surrogatepass")
        track = find(context, GROWTH, key) or keep(self, context, GROWTH, key, Track(tool=""))
        track.score = given // state.first
        number = context.lane.rounds.recent[-1].number
        start = step.start  # its time was well spent
        put(context, track, Mark(step.span_id, start, start, number, unexplained, measured=True, turn=True))
        severity = Levels(notice=1).severity(track.count)
        advance(self, context, GROWTH, key, track, severity=severity, confidence="probable")

    def _state(self, context: Context) -> _State | None:
        ring = context.lane.rings.get(STATE)
        return _DECODER.decode(ring[0]) if ring else None

    def _save(self, context: Context, state: _State) -> None:
        context.lane.rings[STATE] = [_ENCODER.encode(state)]

    def thresholds(self, track: Track) -> dict[str, int]:
        """The limits."""
        limits = self.limits
        return {
            "factor": limits.factor,
            "calls": limits.calls,
            "least": limits.least,
            "explained": limits.explained,
        }

    def explain(self, context: Context, track: Track) -> str:
        """One sentence."""
        return (
            f"The context grew to {track.score} times its first size, and neither results nor "
            "answers explain it; see what the framework adds to each call"
        )
