"""One lane, one step: rounds, turns, writes, then every rule in order of precedence.

Law of this file: a rule that raises is counted (`watch`), and the fold goes on (L10). A
step without arguments runs no repetition rule (each rule asks for the key), and exempt tools meet only the
rules that do not count repetition.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, Final, TypeAlias

from otel_ext.signals.findings import episodes, marks
from otel_ext.signals.findings.finding import Status
from otel_ext.signals.hears import BITS, EXEMPT, of_call, of_model
from otel_ext.signals.lane.coded import asked, happened
from otel_ext.signals.lane.lanes import Lane
from otel_ext.signals.lane.rounds import Round
from otel_ext.signals.lane.usage import carry_rate, cost_of
from otel_ext.signals.rule import LONGEST_NAME, Call, Context, Rule, call_of
from otel_ext.step import Effect, Kind, Step

WRITERS: Final = 8
"""Newest writes of a lane that are remembered."""

LATE: Final = "otel_ext.detector.late"
"""Counter of steps that started before one that their lane had seen already."""


_LLM, _WRITE = Kind.LLM, Effect.WRITE  # looked up once: a member costs a call


MOST_KINDS: Final = 1024
"""Kinds of steps whose hooks are remembered."""

Hook: TypeAlias = Callable[[Context, Any], None]


class Hooks:
    """Rules by what they listen to, so that a step meets only those that it can concern.

    Args:
        rules: all of them, by precedence.
        off: signals of which only what is open is closed.

    Attributes:
        rules: as given.
        wrote, ended, agent_ended: the hooks that were overridden, by precedence.
    """

    def __init__(self, rules: Sequence[Rule[Any]], off: Container[str] = ()) -> None:
        self.rules = rules
        self._at_work = [rule for rule in rules if rule.signal not in off]
        self.wrote: list[Hook] = [rule.wrote for rule in self._having("wrote")]
        self.ended: list[Hook] = [rule.ended for rule in self._having("ended")]
        self.agent_ended: list[Hook] = [rule.agent_ended for rule in self._having("agent_ended")]
        self._for_calls: list[tuple[Rule[Any], Hook]] = [(rule, rule.call) for rule in self._having("call")]
        self._for_models: list[tuple[Rule[Any], Hook]] = [
            (rule, rule.model) for rule in self._having("model")
        ]
        self._calls = dict[int, list[Hook]]()
        self._models = dict[int, list[Hook]]()

    def call(self, step: Step, lane: Lane) -> list[Hook]:
        """The hooks for a tool call, made once for all calls alike in lanes that have seen the same."""
        traits = of_call(step)
        seen = lane.seen = lane.seen | traits
        if (hooks := self._calls.get(seen << BITS | traits)) is None:
            counted = not traits & EXEMPT
            hooks = [
                hook
                for rule, hook in self._for_calls
                if (counted or not rule.counts) and rule.hears.takes(traits, seen)
            ]
            _remember_hooks(self._calls, seen << BITS | traits, hooks)
        return hooks

    def model(self, step: Step, lane: Lane) -> list[Hook]:
        """The hooks for a call of a model."""
        traits = of_model(step)
        seen = lane.seen = lane.seen | traits
        if (hooks := self._models.get(seen << BITS | traits)) is None:
            hooks = [hook for rule, hook in self._for_models if rule.hears_model.takes(traits, seen)]
            _remember_hooks(self._models, seen << BITS | traits, hooks)
        return hooks

    def _having(self, hook: str) -> list[Rule[Any]]:
        return [rule for rule in self._at_work if _overrides(rule, hook) and not rule.deaf]


def _remember_hooks(table: dict[int, list[Hook]], kind: int, hooks: list[Hook]) -> None:
    if len(table) >= MOST_KINDS:
        table.clear()
    table[kind] = hooks


def _overrides(rule: Rule[Any], hook: str) -> bool:
    return getattr(getattr(rule, hook), "__func__", None) is not getattr(Rule, hook)


def run(hooks: Hooks, context: Context, steps: Iterable[Step]) -> None:
    """Fold steps into a lane, in the order given."""
    for step in steps:
        _remember(context, step)
        if step.kind is _LLM:
            _model(hooks, context, step)
        else:
            _call(hooks, context, step)


def end(hooks: Hooks, context: Context, status: Status) -> None:
    """Close everything that a lane has open; those that claim spans first speak first."""
    recent = context.lane.rounds.recent
    _settle(context, recent[-1] if recent else None)
    context.watch.each(hooks.ended, context, status)
    if busy := _busy(context.lane):
        for rule in hooks.rules:
            if rule.id in busy:
                _close_all(rule, context, status)


def agent_ended(hooks: Hooks, context: Context, step: Step) -> None:
    """Tell the rules that compare agents; the context's lane is the trace's own."""
    lane = context.lane
    lane.session_id, lane.service = step.session_id or lane.session_id, step.service or lane.service
    context.watch.each(hooks.agent_ended, context, step)


def _remember(context: Context, step: Step) -> None:
    lane = context.lane
    lane.session_id = step.session_id or lane.session_id
    lane.service = step.service or lane.service
    if step.agent_name:
        lane.agent = step.agent_name[:LONGEST_NAME]
    lane.began = lane.began or step.start
    if step.start < lane.last_start:
        context.count(LATE)
    else:
        lane.last_start = step.start


def _model(hooks: Hooks, context: Context, step: Step) -> None:
    lane = context.lane
    if step.ran is not None and (ran := happened(lane.asked, step, lane.calls)) is not None:
        lane.asked = None
        _call(hooks, context, ran)
    rounds = context.lane.rounds
    if rounds.new_turn(step):
        # The turn's answer went back to a person: what was open lasted until the end of its turn.
        _settle(context, rounds.recent[-1] if rounds.recent else None)
        busy = _busy(lane)
        for rule in hooks.rules if busy else ():
            if rule.per_turn and rule.id in busy:
                _close_all(rule, context, "persisted")
    _settle(context, rounds.model(step))
    now, cost = rounds.recent[-1], cost_of(context.settings, step)
    now.cost, now.rate = cost, carry_rate(context.settings, step)
    context.lane.usage.add(step, cost)
    context.lane.contexts.model(step, now.number)
    context.watch.each(hooks.model(step, lane), context, step)
    lane.asked = asked(step, lane.calls) or lane.asked


def _call(hooks: Hooks, context: Context, step: Step) -> None:
    at, ended = context.lane.rounds.call(step)
    _settle(context, ended)
    call = call_of(step, at)
    context.lane.calls += 1
    if step.effect is _WRITE and not step.error:
        _write(hooks, context, call)
    context.watch.each(hooks.call(step, context.lane), context, call)


def _write(hooks: Hooks, context: Context, call: Call) -> None:
    # Doing the very same write again, with the same result, is not news: it must not hide the loop that
    # it is part of, be it a loop of several writes.
    lane = context.lane
    if call.key:
        writer = call.key + (call.step.result_hash or b"")
        if writer in lane.writers:
            return
        lane.writers = [*lane.writers[-WRITERS + 1 :], writer]
    lane.epoch += 1
    context.watch.each(hooks.wrote, context, call)


def _settle(context: Context, ended: Round | None) -> None:
    if ended is not None:
        marks.settle(context.lane, ended)


def _busy(lane: Lane) -> set[str]:
    """Ids of the rules that remember anything of a lane: most remember nothing of most."""
    names = [*(name for name, tracks in lane.tables.items() if tracks), *lane.rings, *lane.numbers]
    return {name.partition("/")[0] for name in names}


def _close_all(rule: Rule[Any], context: Context, status: Status) -> None:
    for table, key, _ in episodes.tracks_of(rule, context.lane):
        context.watch.one(rule, episodes.close, rule, context, table, key, status)
    mine = f"{rule.id}/"
    for name, tracks in context.lane.tables.items():
        if name.startswith(mine):
            tracks.clear()  # what was met once goes in silence
    for short in (context.lane.rings, context.lane.numbers):
        for name in [name for name in short if name.startswith(mine)]:
            short.pop(name)
