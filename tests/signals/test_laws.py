"""What each rule stands on: taken away, it is silent; whatever else is changed, it says the same.

Every story about which a rule must speak is told again with something changed in its steps, the rule alone.
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import count
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ext.pipeline.reorder import CLOSE
from otel_ext.signals import RULES, Finding, Rule, Settings, Signals
from otel_ext.signals.settings import MINUTE
from otel_ext.step import Effect, Kind, Step
from otel_ext.testing import AgentRun
from otel_ext.testing.arrivals import detect, in_order
from tests.signals.vectors import CONFIGURED, must

Change: TypeAlias = Callable[[Step], Step]
replace = msgspec.structs.replace


def _deep(change: Change) -> Change:
    """A change that also takes the code which a model step says was run."""

    def whole(step: Step) -> Step:
        return change(step if step.ran is None else replace(step, ran=change(step.ran)))

    return whole


def _fresh() -> Callable[[], bytes]:
    numbers = count()
    return lambda: blake2b(b"%d" % next(numbers), digest_size=16).digest()


def _results(step: Step) -> Step:
    subject = step.subject and replace(step.subject, result_words=b"")
    return replace(
        step, result_hash=step.result_hash and NEW(), result_relaxed=None, waiting=False, subject=subject
    )


def _arguments(step: Step) -> Step:
    return replace(step, arguments_hash=step.arguments_hash and NEW(), relaxed_hash=None)


def _failures(step: Step) -> Step:
    return replace(step, error=False, error_hash=None, transient=False, invalid=False, unmarked=False)


def _usage(step: Step) -> Step:
    return replace(
        step, input_tokens=None, output_tokens=None, cached_tokens=None, created_tokens=None, cost=None
    )


def _tasks(step: Step) -> Step:
    said = step.said and replace(step.said, hash=NEW())
    return replace(_arguments(step), task=step.task and NEW(), said=said)


NEW = _fresh()
TAKEN: dict[str, Change] = {
    "equal results": _deep(_results),
    "equal arguments": _deep(_arguments),
    "known arguments": _deep(lambda step: replace(step, arguments_hash=None, relaxed_hash=None)),
    "equal failures": _deep(lambda step: replace(step, error_hash=step.error_hash and NEW())),
    "failures": _deep(_failures),
    "lasting failures": _deep(lambda step: replace(step, transient=step.error)),
    "passing failures": lambda step: replace(step, transient=False),
    "usage": _usage,
    "answers": lambda step: replace(step, said=None),
    "subjects": lambda step: replace(step, subject=None),
    "states": lambda step: replace(step, state=step.state and NEW()),
    "tasks": _tasks,
    "news of code": _deep(lambda step: replace(step, own_words=-1)),
    "agents": lambda step: replace(step, kind=Kind.OTHER) if step.kind is Kind.AGENT else step,
    "known parents": lambda step: replace(step, parent_id=b""),
    "polls": lambda step: replace(step, effect=Effect.UNKNOWN, waiting=False, name="look"),
    "reads": lambda step: replace(step, effect=Effect.WRITE) if step.effect is Effect.READ else step,
    "writes": lambda step: replace(step, effect=Effect.READ) if step.effect is Effect.WRITE else step,
    "the tool's name": lambda step: replace(step, name="tool") if step.kind is Kind.TOOL else step,
    "model steps": lambda step: replace(step, kind=Kind.OTHER) if step.kind is Kind.LLM else step,
    "sizes": _deep(lambda step: replace(step, result_size=min(step.result_size, 400))),
    "times": lambda step: replace(step, end=step.start + 1, first_token=None),
}
"""What a step tells, and the same step without it."""

GROUNDS = {
    "risk.duplicate_side_effect": "equal arguments, writes, subjects",
    "loop.edit_test_thrash": "equal failures, failures, writes, subjects, known arguments",
    "loop.error_repeat": "equal arguments, known arguments, equal failures, failures",
    "loop.error_variants": "known arguments, equal failures, failures, lasting failures",
    "loop.error_streak": "known arguments, failures, lasting failures",
    "loop.invalid_tool": "failures",
    "loop.handoff_ping_pong": "",
    "loop.compaction_persisted": "equal results, equal arguments, known arguments, usage",
    "loop.cycle": "equal arguments, known arguments",
    "loop.exact_repeat": "equal results, equal arguments, known arguments",
    "loop.poll_stalled": "equal results, known arguments, polls",
    "loop.noop_edit": "writes, subjects",
    "loop.state_oscillation": "writes, subjects",
    "loop.state_stagnation": "states",
    "loop.nothing_new": "news of code",
    "loop.near_duplicate": "equal results, known arguments, subjects",
    "loop.same_result": "equal results, known arguments, subjects",
    "loop.cycle_unverified": "equal arguments, known arguments",
    "loop.repeat_unverified": "equal arguments, known arguments",
    "loop.low_novelty": "equal arguments, known arguments",
    "loop.tool_streak": "equal results, known arguments",
    "loop.text_chant": "answers, model steps",
    "loop.text_streak": "answers, model steps",
    "loop.empty_response": "answers, model steps",
    "loop.reasoning_repeat": "answers, model steps",
    "loop.monologue": "answers, model steps, agents",
    "loop.delegation_recursion": "tasks, agents, known parents, model steps",
    "loop.replan_stall": "equal arguments, known arguments, the tool's name",
    "loop.compaction_thrash": "usage, model steps",
    "waste.retry_amplification": "failures, passing failures, known parents",
    "waste.retry_storm": "failures, passing failures",
    "waste.cross_agent_duplicate": "equal arguments, known arguments, agents",
    "waste.retry_no_backoff": "equal arguments, known arguments, passing failures",
    "waste.compaction_reread": "equal results, equal arguments, known arguments, usage, reads",
    "waste.redundant_read": "equal results, equal arguments, known arguments, reads",
    "waste.subsumed_read": "known arguments, subjects, reads",
    "waste.duplicate_fanout": "equal results, equal arguments, known arguments",
    "waste.post_completion": "the tool's name, agents",
    "waste.shadowed_write": "writes, subjects",
    "waste.cache_bust": "usage, model steps",
    "waste.cache_write_unread": "usage, model steps",
    "waste.truncated_output": "usage, answers, model steps",
    "waste.context_growth": "usage, model steps",
    "waste.oversized_result": "sizes",
    "waste.sleep_poll": "polls",
    "waste.no_batch": "known arguments, model steps, reads",
    "waste.abandoned_subagent": "agents",
    "waste.over_delegation": "agents, model steps",
    "waste.cost_spike": "usage, agents, model steps",
    "waste.cost_velocity": "usage, model steps",
    "waste.failed_call": "failures, lasting failures",
    "latency.model_slowdown": "times, model steps",
    "termination.premature": "failures, subjects",
    "termination.dead_end": "failures, model steps",
    "termination.limit_hit": "",
    "termination.silent_tool_error": "failures",
    "behavior.no_verification": "writes, subjects",
    "behavior.blind_edit": "writes, subjects",
    "behavior.single_tool_dependency": "",
    "behavior.output_decay": "usage, model steps",
    "behavior.input_growth": "usage, model steps",
}
"""Without any one of these the rule has nothing to say, whichever of its stories is told.

A rule with none has stories of several kinds: an agent that failed or an answer cut off, tasks known or not.
"""


def _stories(rule: type[Rule[Any]]) -> list[list[Step]]:
    told = []
    for vector in must():
        if vector.signal == rule.signal:
            run = AgentRun(vector.story.__name__)
            vector.story(run)
            told.append(list(run.steps()))
    return told


def _signals(rule: type[Rule[Any]]) -> Signals:
    ruled = {name: one for name, one in CONFIGURED.items() if name == rule.signal}
    return Signals(Settings(rules=ruled), [rule])


def _found(rule: type[Rule[Any]], steps: Iterable[Step]) -> list[Finding]:
    found = detect(steps, _signals(rule))
    return list({one.id: one for one in found}.values())


def _shown(found: Iterable[Finding]) -> list[tuple[Any, ...]]:
    return sorted((one.count, one.status, one.severity, one.confidence, one.evidence_count) for one in found)


def _named(rule: type[Rule[Any]]) -> str:
    return rule.signal


def test_every_rule_says_what_it_stands_on() -> None:
    """No rule is left out, and nothing is there that no rule needs."""
    assert GROUNDS.keys() == {rule.signal for rule in RULES}
    assert {name for grounds in GROUNDS.values() for name in grounds.split(", ") if name} == TAKEN.keys()


@pytest.mark.parametrize("rule", RULES, ids=_named)
def test_without_its_grounds_a_rule_is_silent(rule: type[Rule[Any]]) -> None:
    """A result that changes, arguments that differ, a call that works: each ends what rests on it."""
    for name in filter(None, GROUNDS[rule.signal].split(", ")):
        for steps in _stories(rule):
            found = _found(rule, map(TAKEN[name], steps))
            assert found == [], f"without {name}: {found[-1].explanation}"


@pytest.mark.parametrize("rule", RULES, ids=_named)
@settings(max_examples=3, deadline=None)
@given(salt=st.binary(min_size=1, max_size=4), minutes=st.integers(-10_000, 10_000))
def test_names_of_things_and_the_hour_mean_nothing(rule: type[Rule[Any]], salt: bytes, minutes: int) -> None:
    """Other digests and span ids for the same things, and another hour: the same findings."""

    def other(digest: bytes | None, size: int = 16) -> bytes | None:
        return digest and blake2b(digest, digest_size=size, key=salt).digest()

    def renamed(step: Step) -> Step:
        return replace(
            step,
            span_id=other(step.span_id, 8) or b"",
            parent_id=other(step.parent_id, 8) or b"",
            start=step.start and step.start + minutes * MINUTE,
            end=step.end and step.end + minutes * MINUTE,
            arguments_hash=other(step.arguments_hash),
            relaxed_hash=other(step.relaxed_hash),
            result_hash=other(step.result_hash),
            result_relaxed=other(step.result_relaxed),
            error_hash=other(step.error_hash),
            absent=other(step.absent),
            state=other(step.state),
            task=other(step.task),
            user_turn=other(step.user_turn),
            said=step.said and replace(step.said, code=other(step.said.code)),
        )

    for steps in _stories(rule):
        assert _shown(_found(rule, map(_deep(renamed), steps))) == _shown(_found(rule, steps))


@pytest.mark.parametrize("rule", RULES, ids=_named)
def test_a_span_that_comes_twice_is_one(rule: type[Rule[Any]]) -> None:
    """Every step told once more right after itself changes nothing."""
    for steps in _stories(rule):
        once, twice = _signals(rule), _signals(rule)
        expected, found = list[Finding](), list[Finding]()
        for one in in_order(steps):
            if one.phase == CLOSE:
                expected += once.close(one.step, one.time)
                found += twice.close(one.step, one.time)
            else:
                expected += once.open(one.step, one.time)
                found += twice.open(one.step, one.time) + twice.open(one.step, one.time)
        for trace_id in {step.trace_id: None for step in steps}:
            expected += once.end_trace(trace_id, "persisted", 0)
            found += twice.end_trace(trace_id, "persisted", 0)
        assert found == expected != []
