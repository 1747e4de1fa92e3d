"""Masks: they spare calls of hooks, and no finding hangs on one."""

import random
from typing import Any

import pytest

from otel_ext.signals import RULES, Call, Context, Limits, Rule, Settings, Signals
from otel_ext.signals.hears import (
    ABOUT,
    DONE,
    ERROR,
    EXEMPT,
    KEYED,
    POLLS,
    TOLD,
    UNTOLD,
    Hears,
    of_call,
    of_model,
)
from otel_ext.signals.settings import SECOND
from otel_ext.step import Effect, Step, Subject
from otel_ext.testing.arbitrary import any_steps, busy_steps
from tests.signals.builders import Run, play

WIDE = [type(kind.__name__, (kind,), {"hears": Hears(), "hears_model": Hears()}) for kind in RULES]
"""The rules, each called for every step."""


def everything(rules: list[type[Rule[Any]]], steps: list[Step]) -> list[object]:
    """All that comes out of a run: findings, and what is dumped."""
    signals, out = Signals(Settings(budget=0), rules), list[object]()
    for number, step in enumerate(steps):
        out += [found.as_json() for found in signals.open(step, number * SECOND)]
        if number % 50 == 0:
            out += sorted(signals.dump().items())
    for trace_id in dict.fromkeys(step.trace_id for step in steps):
        out += [found.as_json() for found in signals.end_trace(trace_id, "persisted", len(steps) * SECOND)]
    assert not signals.watch.errors
    return out


@pytest.mark.parametrize("seed", range(8))
def test_no_finding_hangs_on_a_mask(seed: int) -> None:
    """Called for every step, the rules find and remember the same."""
    steps = (any_steps if seed % 2 else busy_steps)(random.Random(seed), 250)
    assert everything(WIDE, steps) == everything(list(RULES), steps)


class Failures(Rule[Limits]):
    """Hears failures of calls, no polls."""

    id = "TEST-1"
    signal = "loop.failures"
    hears = Hears(ERROR, skips=POLLS)
    heard: list[str] = []  # noqa: RUF012 - of the class on purpose

    def call(self, context: Context, call: Call) -> None:
        """Note it."""
        self.heard.append(call.step.error_text)


def test_a_hook_is_called_for_what_its_rule_hears() -> None:
    """Neither for a success nor for what the mask skips."""
    Failures.heard.clear()
    run = Run()
    run.call()
    run.fail(error="one")
    run.fail(error="two", effect=Effect.POLL)
    run.fail(error="three", effect=Effect.EXEMPT)  # repeating it says nothing
    play(run, signals=Signals(rules=[Failures]))
    assert Failures.heard == ["one"]


class Alert(Failures):
    """Hears everything once something has failed."""

    signal = "loop.alert"
    hears = Hears(after=ERROR)


def test_a_rule_may_wait_for_the_first_step_of_a_kind() -> None:
    """That one it hears, too, and whatever comes later; another lane's steps are none of its."""
    Failures.heard.clear()
    run = Run()
    run.call()
    run.fail(error="one")
    run.call()
    play(run, signals=Signals(rules=[Alert]))
    assert Failures.heard == ["one", ""]
    assert not Hears(after=ERROR).takes(DONE, DONE)


def test_what_a_step_is() -> None:
    """A call is what was captured of it; what waits is a poll whatever its class."""
    run = Run()
    run.call()
    step = run.steps[-1]
    step.arguments_hash, step.result_hash, step.subject, step.waiting = b"a", None, Subject(), True
    step.effect = Effect.EXEMPT
    assert of_call(step) == DONE | KEYED | POLLS | ABOUT | EXEMPT | UNTOLD
    step.error, step.result_hash, step.waiting = True, b"r", False
    assert of_call(step) == ERROR | KEYED | TOLD | ABOUT | EXEMPT
    step.input_tokens = 0
    assert of_model(step) == ERROR
