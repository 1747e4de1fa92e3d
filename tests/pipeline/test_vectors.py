"""Acceptance vectors through the real hashes and classes: spans in, findings out."""

import json
from typing import Any

import msgspec

from otel_ext.conventions import session_of
from otel_ext.pipeline.meaning import step_of
from otel_ext.signals import Finding, Signals
from otel_ext.span import STATUS_ERROR, Span
from otel_ext.step import Step
from tests.conventions.spans import make
from tests.signals.builders import alarms, final

SECOND = 1_000_000_000
ROOT = b"root-spn"


class Session:
    """An agent's spans, one second apart, each call in a round of its own."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def span(self, attributes: dict[str, Any], **fields: Any) -> Step:
        """Any child of the agent."""
        serial = len(self.steps) + 1
        span: Span = make(
            attributes,
            trace_id=b"t" * 16,
            span_id=serial.to_bytes(8, "big"),
            parent_id=ROOT,
            start=serial * SECOND,
            end=serial * SECOND + SECOND // 2,
            **fields,
        )
        self.steps.append(step_of(span, "s", {}))
        return self.steps[-1]

    def user(self, text: str, turns: int) -> None:
        """A model call whose newest message is a user's."""
        messages = [{"role": "user", "parts": [{"type": "text", "content": text}]}] * turns
        self.span({"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(messages)})

    def call(self, tool: str, arguments: Any, result: Any = None, failure: str | None = None) -> Step:
        """A tool call; `failure` is its status message."""
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.call.arguments": json.dumps(arguments),
        }
        if result is not None:
            attributes["gen_ai.tool.call.result"] = result
        self.span({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1000})
        if failure is None:
            return self.span(attributes)
        return self.span(attributes, status_code=STATUS_ERROR, status_message=failure)

    def findings(self) -> list[Finding]:
        """What the detectors say of it."""
        signals = Signals()
        root = make(trace_id=b"t" * 16, span_id=ROOT, attributes={"gen_ai.operation.name": "invoke_agent"})
        found: list[Finding] = []
        for step in [step_of(root, "s", {}), *self.steps]:
            found += signals.open(step, step.start)
        assert not signals.counters.get("otel_ext.detector.errors")
        return found + signals.end_trace(b"t" * 16, "persisted", len(self.steps) * SECOND)

    def alarms(self) -> list[tuple[str, int]]:
        """Signal and count of each alarm."""
        return sorted((finding.signal, finding.count) for finding in alarms(self.findings()))


def test_a_changing_report_of_a_failing_build_is_progress() -> None:
    """The status message is the same each time, the result is not."""
    session = Session()
    for failures in range(9, 4, -1):
        session.call("edit", {"path": "a.py", "text": failures}, "ok")
        session.call("bash", {"command": "pytest"}, f"FAILED {failures} tests", "Exit code 1")
    assert session.alarms() == []


def test_the_same_report_after_each_edit_is_a_loop() -> None:
    """Edit, the same failing test, three times: the edits are what is repeated in vain."""
    session = Session()
    for number in range(3):
        session.call("edit", {"path": "a.py", "text": number}, "ok")
        session.call("bash", {"command": "pytest"}, "FAILED test_a: 1 != 2", "Exit code 1")
    assert session.alarms() == [("loop.edit_test_thrash", 3)]


def test_failures_that_say_nothing_accuse_only_the_identical_call() -> None:
    """Six searches without a hit are no loop; six times the same failing call are one, edits aside."""
    session = Session()
    for name in "abcdef":
        session.call("grep", {"file": name}, "", "Exit code 1")
    assert session.alarms() == []
    session = Session()
    for name in "abcdef":
        session.call("grep", {"file": f"{name}.txt"}, None, f"Error: '{name}.txt' failed")
    assert session.alarms() == []
    session = Session()
    for _ in range(6):
        session.call("grep", {"file": "a"}, "", "Exit code 1")
    assert session.alarms() == [("loop.error_repeat", 6)]
    session = Session()
    for number in range(6):
        session.call("edit", {"path": "a.py", "text": number}, "ok")
        session.call("bash", {"command": "make"}, None, "Exit code 1")
    assert session.alarms() == []


def test_one_missing_file_after_another_is_exploration() -> None:
    """Different paths that are not there are at most a notice, the same path in many ways is a loop."""
    session = Session()
    for name in range(12):
        session.call("read", {"path": f"/src/{name}.py"}, None, f"File '/src/{name}.py' not found")
    assert session.alarms() == []
    session = Session()
    for line in range(4):
        session.call("read", {"path": "/a.py", "line": line}, None, "File '/a.py' not found")
    assert session.alarms() == [("loop.error_variants", 4)]


def test_one_failure_over_several_tools() -> None:
    """The tool is no part of a failure's fingerprint."""
    session = Session()
    for number, tool in enumerate(["alpha", "beta", "gamma"] * 2):
        session.call(tool, {"n": number}, None, "Error: the database user has no permission")
    assert session.alarms() == [("loop.error_variants", 6)]


def test_alternating_writes_are_a_loop() -> None:
    """Two writes with equal arguments and results do not hide one another, and are told as one sequence."""
    session = Session()
    for _ in range(6):
        session.call("set_flag", {"on": True}, "ok")
        session.call("update_row", {"id": 1}, "ok")
    assert session.alarms() == [("loop.cycle", 12)]


def test_a_user_turn_does_not_mend_a_failure() -> None:
    """The user complains, the same failure goes on."""
    session = Session()
    for turn, ticket in enumerate(["a", "b", "c", "c"], 1):
        session.user("try again, this goes in circles" + "!" * turn, turn)
        session.call("update_booking", {"ticket": ticket}, None, "Error: payment amount does not add up")
    assert session.alarms() == [("loop.error_variants", 4)]
    session = Session()
    for turn in range(1, 7):
        session.user("what is the weather", turn)
        session.call("get_weather", {}, "sunny")
    assert session.alarms() == []


def test_a_failure_left_over_by_a_loop_costs_nothing() -> None:
    """What another finding owns has been priced there; equal silent failures are one finding."""
    session = Session()
    for arguments in ({"a": 1}, {"b": 2}, {"c": 3}):
        session.call("page", arguments, None, "Error: no such page")
    for _ in range(2):
        session.call("page", {"a": 1}, "fine")
    session.call("page", {"d": 4}, None, "Error: no such page")
    found = [one for one in final(session.findings()).values() if one.signal == "waste.failed_call"]
    assert [(one.count, one.waste.input_tokens, "costing" in one.explanation) for one in found] == [
        (1, 0, False)
    ]
    session = Session()
    for _ in range(4):
        session.call("page", {"a": 1}, None, "")
    found = [one for one in final(session.findings()).values() if one.signal == "waste.failed_call"]
    assert [one.count for one in found] == [4]


def test_a_sentence_tells_the_cost_of_all_that_it_counts() -> None:
    """The finding's waste is only what it owns, so that sums stay true."""
    session = Session()
    for number in (1, 1, 2, 3, 3):
        text = f"TypeError: unexpected keyword argument '{number}'"
        session.call("page", {str(number): 0}, None, text)
    found = {one.signal: one for one in final(session.findings()).values()}
    variants = found["loop.error_variants"]
    assert variants.waste.input_tokens < 4_000
    assert "repeats costing 4,000 tokens" in variants.explanation
    assert (
        """the same error (the last "TypeError: unexpected keyword argument '3'")""" in variants.explanation
    )


def test_a_stalled_status_by_name_is_a_poll() -> None:
    """Nine unchanged polls are patience."""
    session = Session()
    for _ in range(9):
        session.call("order_status", {"id": 7}, "shipped")
    assert session.alarms() == []


def test_a_programming_error_that_mentions_a_timeout_is_a_loop() -> None:
    """It does not pass by waiting."""
    session = Session()
    for _ in range(4):
        text = "TypeError: get() got an unexpected keyword argument 'timeout'"
        session.call("get", {"timeout": 3}, None, text)
    assert session.alarms() == [("loop.error_repeat", 4)]


def test_lone_surrogates_can_be_stored() -> None:
    """JSON can spell what no encoder takes."""
    bad, good = "caf\u00e9 \ud800", "caf\u00e9 \\ud800"
    session = Session()
    step = session.span(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": bad,
            "gen_ai.tool.call.id": bad,
            "gen_ai.agent.name": bad,
            "gen_ai.agent.id": bad,
            "gen_ai.tool.call.arguments": json.dumps({"x": bad}),
            "gen_ai.tool.call.result": json.dumps({"x": bad}),
        },
        status_code=STATUS_ERROR,
        status_message=bad,
        resource={"service.name": bad},
    )
    texts = (step.name, step.call_id, step.agent_name, step.agent_id, step.error_text, step.service)
    assert set(texts) == {good}
    model = session.span(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": bad,
            "gen_ai.response.id": bad,
            "gen_ai.completion.0.tool_calls.0.id": bad,
        }
    )
    assert (model.name, model.response_id, model.issued) == (good, good, (good,))
    assert step_of(make({}), bad, {}).session_id == good
    assert session_of({"session.id": bad}) == session_of({"metadata": {"thread_id": bad}}) == good
    for one in session.steps:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Step) == one
