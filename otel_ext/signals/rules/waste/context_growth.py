"""waste.context_growth: the context grows, and not by what the agent learned.

Law of this file: growth by results, answers and a person's words is what contexts are for. Only growth that
none of them explains is told, and only where all of them were captured.
"""

from typing import Final

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
"""Numbers: tokens of the first input, its round, model calls since, tokens learned since, whether something
came in that nobody told, the newest round with a call."""

MODEL: Final = "OTX-W013/model"
"""Ring: the model that they are of."""

_CALLS, _LEARNED, _BLIND, _ASKED = 2, 3, 4, 5


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
        state = context.lane.numbers.get(STATE)
        if state is None:
            return
        step = call.step
        state[_LEARNED] += step.result_size // (BYTES_PER_TOKEN - 1)
        if not step.error and not step.result_size:
            state[_BLIND] = 1
        state[_ASKED] = call.round.number

    def model(self, context: Context, step: Step) -> None:
        """Compare the context with the first one."""
        given, made = reported(step.input_tokens), reported(step.output_tokens)
        if given <= 0 or step.error:
            return
        lane = context.lane
        state, number = lane.numbers.get(STATE), lane.rounds.recent[-1].number
        name = step.name.encode("utf-8", "surrogatepass")
        if state is None or lane.rings.get(MODEL) != [name] or self._anew(context, state, given):
            lane.rings[MODEL] = [name]
            state = lane.numbers[STATE] = [given, number, 1, 0, 0, 0]
        else:
            # What a turn without calls brought in was told by nobody: a person, or code that the model wrote.
            if state[_ASKED] < number - 1:
                state[_BLIND] = 1
            state[_CALLS] += 1
            self._judge(context, state, step, given)
        state[_LEARNED] += max(0, made)

    def _anew(self, context: Context, state: list[int], given: int) -> bool:
        first, since, calls, learned, _, _ = state
        if context.lane.contexts.compacted > since:
            return True
        # The first call of all is often a small one aside: a title, a classification.
        return calls == 1 and given > 2 * (first + learned)

    def _judge(self, context: Context, state: list[int], step: Step, given: int) -> None:
        limits, (first, _, calls, learned, blind, _) = self.limits, state
        grown = given - first
        unexplained = grown - learned
        if blind or calls < limits.calls or not 0 < limits.factor * first <= given:
            return
        if unexplained < limits.least or learned * 100 > grown * limits.explained:
            return
        key = step.name.encode("utf-8", "surrogatepass")
        track = find(context, GROWTH, key) or keep(self, context, GROWTH, key, Track(tool=""))
        track.score = given // first
        number = context.lane.rounds.recent[-1].number
        start = step.start  # its time was well spent
        put(context, track, Mark(step.span_id, start, start, number, unexplained, measured=True, turn=True))
        severity = Levels(notice=1).severity(track.count)
        advance(self, context, GROWTH, key, track, severity=severity, confidence="probable")

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
