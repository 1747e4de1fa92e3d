"""One lane, one step: rounds, turns, writes, then every rule in order of precedence.

Law of this file: a rule that raises is counted and left out for that step, and the fold goes on (L10). A
step without arguments runs no repetition rule (each rule asks for the key), and exempt tools meet only the
rules that do not count repetition.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from otel_ext.signals import episodes
from otel_ext.signals.failed import FailedCall
from otel_ext.signals.failures import ErrorRepeat
from otel_ext.signals.finding import Status
from otel_ext.signals.polls import PollStalled
from otel_ext.signals.repeats import ExactRepeat
from otel_ext.signals.rounds import Round
from otel_ext.signals.rule import LONGEST_NAME, Call, Context, Rule, call_of
from otel_ext.signals.variants import ErrorVariants
from otel_ext.step import Effect, Kind, Step

RULES: Final[tuple[Rule, ...]] = (ErrorRepeat(), ErrorVariants(), ExactRepeat(), PollStalled(), FailedCall())
"""The built-in rules by precedence (rule 14): who comes first owns the span."""

ERRORS: Final = "otel_ext.detector.errors"
"""Counter of rules that raised."""

WRITERS: Final = 8
"""Newest writes of a lane that are remembered."""

LATE: Final = "otel_ext.detector.late"
"""Counter of steps that started before one that their lane had seen already."""


def run(rules: Sequence[Rule], context: Context, steps: Iterable[Step]) -> None:
    """Fold steps into a lane, in the order given."""
    for step in steps:
        _remember(context, step)
        if step.kind is Kind.LLM:
            _model(rules, context, step)
        else:
            _call(rules, context, step)


def end(rules: Sequence[Rule], context: Context, status: Status) -> None:
    """Close everything that a lane has open; those that claim spans first speak first."""
    recent = context.lane.rounds.recent
    _settle(context, recent[-1] if recent else None)
    for rule in rules:
        _close_all(rule, context, status)


def _remember(context: Context, step: Step) -> None:
    lane = context.lane
    lane.session_id = step.session_id or lane.session_id
    lane.service = step.service or lane.service
    lane.agent = step.agent_name[:LONGEST_NAME] or lane.agent
    if step.start < lane.last_start:
        context.count(LATE)
    lane.last_start = max(lane.last_start, step.start)


def _model(rules: Sequence[Rule], context: Context, step: Step) -> None:
    rounds = context.lane.rounds
    if rounds.new_turn(step):
        # The turn's answer went back to a person: what was open lasted until the end of its turn.
        _settle(context, rounds.recent[-1] if rounds.recent else None)
        for rule in rules:
            if rule.per_turn:
                _close_all(rule, context, "persisted")
    _settle(context, rounds.model(step))
    for rule in rules:
        _guarded(context, rule.model, context, step)


def _call(rules: Sequence[Rule], context: Context, step: Step) -> None:
    at, ended = context.lane.rounds.call(step)
    _settle(context, ended)
    call = call_of(step, at)
    if step.effect is Effect.WRITE and not step.error:
        _write(rules, context, call)
    exempt = step.effect is Effect.EXEMPT
    for rule in rules:
        if not (exempt and rule.counts):
            _guarded(context, rule.call, context, call)


def _write(rules: Sequence[Rule], context: Context, call: Call) -> None:
    # Doing the very same write again, with the same result, is not news: it must not hide the loop that
    # it is part of, be it a loop of several writes.
    lane = context.lane
    if call.key:
        writer = call.key + (call.step.result_hash or b"")
        if writer in lane.writers:
            return
        lane.writers = [*lane.writers[-WRITERS + 1 :], writer]
    lane.epoch += 1
    for rule in rules:
        _guarded(context, rule.wrote, context, call)


def _settle(context: Context, ended: Round | None) -> None:
    if ended is not None:
        episodes.settle(context.lane, ended)


def _close_all(rule: Rule, context: Context, status: Status) -> None:
    for table, key, _ in episodes.tracks_of(rule, context.lane):
        _guarded(context, episodes.close, rule, context, table, key, status)
    for name in [name for name in context.lane.rings if name.split("/")[0] == rule.id]:
        del context.lane.rings[name]


def _guarded(context: Context, hook: Callable[..., None], *args: object) -> None:
    try:
        hook(*args)
    except Exception:  # noqa: BLE001 - a detector never raises into the pipeline
        context.count(ERRORS)
