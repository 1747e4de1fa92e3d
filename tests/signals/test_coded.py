"""Calls of agents that act by code, read from their model's answers and inputs."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.signals import Settings, Signals
from otel_ext.step import Kind, Said, Step
from tests.signals.builders import Run, digest, final, play, play_ended

CODE = Step(kind=Kind.TOOL, trace_id=b"", span_id=b"", parent_id=b"", start=0, end=0, name="python")


def code(run: Run, number: int, told: Step | None = None, **fields: Any) -> Step:
    """A model step that asks to run code, and is told what came of the code before."""
    said = Said(hash=digest(number), words=9, captured=True, code=digest("code", number))
    step = run.think(said=said, ran=told, **fields)
    run.wait(1)  # while the code runs
    return step


def outcome(number: int, **fields: Any) -> Step:
    """What came of a piece of code."""
    known = {"arguments_hash": digest("code", number), "result_hash": digest("same"), "result_size": 4}
    return msgspec.structs.replace(CODE, **{**known, **fields})


FAILED = {"error": True, "error_hash": digest("e"), "error_text": "NameError", "result_hash": None}


def test_the_evidence_is_the_answer_that_asked() -> None:
    """A call's span is that of the model step that held the code, in either order of arrival."""
    run = Run(wrapped=True)
    asking = [code(run, 1, None if n == 0 else outcome(1, **FAILED)) for n in range(4)]
    for found in (play(run), play_ended(run)):
        (told,) = [one for one in final(found).values() if one.signal == "loop.error_repeat"]
        assert (told.count, told.tool, told.severity) == (3, "python", "warning")
        assert told.evidence == [step.span_id for step in asking[:3]]


def test_an_outcome_of_other_code_is_none() -> None:
    """The outcome must be that of the code that was asked for; it is taken once."""
    run = Run()
    code(run, 1)
    for number in range(2, 8):
        code(run, number, outcome(1, **FAILED))
    assert [(one.signal, one.count) for one in final(play(run)).values()] == [("waste.failed_call", 1)]


def test_a_plan_between_is_passed_over() -> None:
    """A model step that tells nothing (a plan) does not part code and outcome."""
    run = Run()
    for number in range(4):
        code(run, 1, outcome(1, **FAILED) if number else None)
        run.think()
    assert [one.count for one in final(play(run)).values() if one.signal == "loop.error_repeat"] == [3]


def test_calls_with_spans_are_not_told_twice() -> None:
    """Where a tool's span came between, the code is no call of its own."""
    run = Run()
    for number in range(6):
        code(run, 1, outcome(1) if number else None)
        run.more("fetch", number, number)
    assert final(play(run)) == {}


told = st.none() | st.builds(
    outcome,
    st.integers(0, 3),
    error=st.booleans(),
    error_hash=st.none() | st.just(digest("e")),
    result_hash=st.none() | st.just(digest("r")),
    own_words=st.integers(-1, 60),
    waiting=st.booleans(),
)


@given(st.lists(st.tuples(st.integers(0, 3), told, st.booleans()), max_size=40), st.integers(0, 40))
def test_a_restart_between_code_and_outcome_changes_nothing(
    turns: list[tuple[int, Step | None, bool]], cut: int
) -> None:
    """What was asked is dumped with the lane; whatever is told, the findings are the same."""
    run = Run()
    for number, step, call in turns:
        code(run, number, step)
        if call:
            run.more()

    def found(restart: int) -> list[object]:
        signals, said = Signals(Settings()), []
        for index, step in enumerate([run.agent_step(), *run.steps]):
            if index == restart:
                saved, signals = signals.dump(), Signals(Settings())
                signals.load(saved)
            said += signals.open(step, step.start)
        assert "otel_ext.detector.errors" not in signals.counters
        return [*said, *signals.end_trace(run.trace, "persisted", run.time)]

    assert found(cut) == found(-1)
