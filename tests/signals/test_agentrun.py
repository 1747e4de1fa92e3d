"""The builder of agent runs: what it says is what the engine sees."""

import pytest

from otel_ext.step import Effect, Kind
from otel_ext.testing import AgentRun
from otel_ext.testing.arrivals import Order


def story(run: AgentRun) -> None:
    """Everything that a run can hold."""
    run.user("mend it")
    run.call("read_file", {"path": "a"}, "content")
    run.more("read_file", {"path": "b"}, {"lines": 3}, at_once=True)
    run.fail("bash", {"command": "make"}, "Exit code 2", result="no rule")
    run.write({"path": "a", "text": "x"})
    with run.agent("reviewer", task="look", answer="fine", via="delegate") as reviewer:
        reviewer.think("fine", usage=(10, 2), finish="length")
    run.think("done")


def test_a_run_says_what_the_story_says() -> None:
    """Kinds, names, effects, failures, rounds and usage, read by the real conventions."""
    run = AgentRun("x", task="t")
    story(run)
    steps = run.steps()
    assert [(step.kind, step.name) for step in steps] == [
        (Kind.AGENT, "solver"),
        (Kind.LLM, "model"),
        (Kind.TOOL, "read_file"),
        (Kind.TOOL, "read_file"),
        (Kind.LLM, "model"),
        (Kind.TOOL, "bash"),
        (Kind.LLM, "model"),
        (Kind.TOOL, "edit_file"),
        (Kind.LLM, "model"),
        (Kind.TOOL, "delegate"),
        (Kind.AGENT, "reviewer"),
        (Kind.LLM, "model"),
        (Kind.LLM, "model"),
    ]
    first, second, failed, written = steps[2], steps[3], steps[5], steps[7]
    assert steps[1].issued == (first.call_id, second.call_id)
    assert (first.effect, written.effect) == (Effect.READ, Effect.WRITE)
    assert (failed.error, failed.error_text) == (True, "Exit code 2")
    assert failed.result_hash is not None
    assert {step.user_turns for step in steps if step.kind is Kind.LLM and step.parent_id == run.span_id} == {
        1
    }
    assert (steps[11].input_tokens, steps[11].output_tokens) == (10, 2)
    assert steps[10].parent_id == steps[9].span_id
    assert steps[9].end == steps[10].end <= steps[12].start
    assert {step.session_id for step in steps} == {"session of x"}


@pytest.mark.parametrize("wrapped", [False, True], ids=["flat", "step spans"])
def test_time_is_told_once(wrapped: bool) -> None:
    """Spans have ids of their own, lie within their parents, and a second run is equal to the byte."""
    runs = [AgentRun("x", wrapped=wrapped) for _ in range(2)]
    for run in runs:
        story(run)
    one, two = (run.spans() for run in runs)
    assert [span.SerializeToString() for span in one] == [span.SerializeToString() for span in two]
    known = {span.span_id: span for span in one}
    assert len(known) == len(one)
    for span in one:
        assert span.start_time_unix_nano < span.end_time_unix_nano
        if span.parent_span_id:
            parent = known[span.parent_span_id]
            assert parent.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= parent.end_time_unix_nano


@pytest.mark.parametrize("order", ["ended", "late", "reversed", "shuffled"])
def test_every_order_brings_every_span(order: Order) -> None:
    """The same requests, at times that never run back, none earlier than its span's end."""
    run = AgentRun("x")
    story(run)
    arrivals = run.requests(order, seed=3)
    assert sorted(one.body for one in arrivals) == sorted(one.body for one in run.requests())
    assert [one.at for one in arrivals] == sorted(one.at for one in arrivals)
    assert order == "ended" or [one.body for one in arrivals] != [one.body for one in run.requests()]
