"""Which dialect reads a span, and what it reads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.conventions import hints, observe
from otel_ext.conventions.reading import OWN_SCOPE
from otel_ext.span import Event, Span
from otel_ext.step import NOT_CAPTURED, Kind
from tests.conventions.spans import make

KIND, OPERATION = "openinference.span.kind", "gen_ai.operation.name"


@pytest.mark.parametrize(
    ("attributes", "kind", "dialect"),
    [
        ({OPERATION: "chat"}, Kind.LLM, "otel_genai"),
        ({OPERATION: "text_completion"}, Kind.LLM, "otel_genai"),
        ({OPERATION: "generate_content"}, Kind.LLM, "otel_genai"),
        ({OPERATION: "execute_tool"}, Kind.TOOL, "otel_genai"),
        ({OPERATION: "invoke_agent"}, Kind.AGENT, "otel_genai"),
        ({OPERATION: "create_agent"}, Kind.AGENT, "otel_genai"),
        ({OPERATION: "invoke_workflow"}, Kind.AGENT, "otel_genai"),
        ({OPERATION: "embeddings"}, Kind.OTHER, "otel_genai"),
        ({"mcp.method.name": "tools/call"}, Kind.TOOL, "otel_genai"),
        ({"mcp.method.name": "tools/list"}, Kind.OTHER, "otel_genai"),
        ({KIND: "LLM"}, Kind.LLM, "openinference"),
        ({KIND: "tool"}, Kind.TOOL, "openinference"),
        ({KIND: "AGENT"}, Kind.AGENT, "openinference"),
        ({KIND: "CHAIN", OPERATION: "execute_tool"}, Kind.OTHER, "openinference"),
        ({KIND: "TOOL", OPERATION: "chat"}, Kind.TOOL, "openinference"),
        ({KIND: "UNKNOWN", OPERATION: "chat"}, Kind.LLM, "otel_genai"),
        ({"gen_ai.tool.name": "x"}, Kind.TOOL, "presence"),
        ({"gen_ai.request.model": "x", "gen_ai.usage.input_tokens": 3}, Kind.LLM, "presence"),
        ({"gen_ai.request.model": "x", "session.id": "s"}, Kind.OTHER, ""),
        ({OPERATION: "chat", "logfire.span_type": "pending_span"}, Kind.OTHER, ""),
        ({OPERATION: "execute_tool", "gen_ai.tool.name": "(merged tools)"}, Kind.OTHER, ""),
        ({OPERATION: ["chat"], KIND: 7}, Kind.OTHER, ""),
        ({}, Kind.OTHER, ""),
    ],
)
def test_one_discriminator_decides(attributes: dict[str, Any], kind: Kind, dialect: str) -> None:
    """The ordered discriminators name the kind; nothing else does, and OTHER keeps the span's name."""
    found = observe(make(attributes))
    assert (found.kind, found.dialect) == (kind, dialect)
    if kind is Kind.OTHER:
        assert found.name == "a span"
    if kind is not Kind.OTHER:
        assert any(hint in key.encode() for hint in hints for key in attributes)


def test_our_own_spans_are_other() -> None:
    """A derived span is never evidence."""
    found = observe(make({OPERATION: "execute_tool"}, scope=OWN_SCOPE))
    assert (found.kind, found.dialect) == (Kind.OTHER, "otel_ext")


@pytest.mark.parametrize("arguments", ['{"city": "Rome"}', {"city": "Rome"}])
def test_genai_tool(arguments: Any) -> None:
    """An execute_tool span as semantic conventions 1.41 has it, arguments as text or structure."""
    found = observe(
        make(
            {
                OPERATION: "execute_tool",
                "gen_ai.tool.name": "weather",
                "gen_ai.tool.call.id": "call_1",
                "gen_ai.tool.call.arguments": arguments,
                "gen_ai.tool.call.result": "sunny",
            }
        )
    )
    assert (found.name, found.call_id, found.arguments, found.result) == (
        "weather",
        "call_1",
        {"city": "Rome"},
        "sunny",
    )
    assert not found.error


def test_empty_arguments_are_not_missing_arguments() -> None:
    """`{}` was captured; an absent attribute and a sentinel call id were not."""
    assert observe(make({OPERATION: "execute_tool", "gen_ai.tool.call.arguments": "{}"})).arguments == {}
    bare = observe(
        make({OPERATION: "execute_tool", "gen_ai.tool.call.id": "<not specified>"}, name="execute_tool ls")
    )
    assert bare.arguments is NOT_CAPTURED
    assert bare.result is NOT_CAPTURED
    assert (bare.name, bare.call_id) == ("ls", "")


def test_a_tool_told_by_events() -> None:
    """Strands puts arguments and result into span events."""
    found = observe(
        make(
            {OPERATION: "execute_tool", "gen_ai.tool.status": "error"},
            events=[
                Event("gen_ai.tool.message", 1, {"content": '{"a": 1}'}),
                Event("gen_ai.choice", 2, {"message": '[{"text": "no"}]'}),
            ],
        )
    )
    assert found.arguments == {"a": 1}
    assert (found.result, found.error, found.error_text) == ('[{"text": "no"}]', True, '[{"text": "no"}]')


def test_one_dialect_completes_the_other() -> None:
    """Values that the deciding dialect lacks come from the other; those that it has stay."""
    both = {
        KIND: "TOOL",
        OPERATION: "execute_tool",
        "input.value": '{"n": 1}',
        "gen_ai.tool.name": "count",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.call.arguments": '{"n": 2}',
        "gen_ai.tool.call.result": "ok",
    }
    found = observe(make(both))
    assert (found.name, found.call_id, found.arguments, found.result) == ("count", "c1", {"n": 1}, "ok")
    found = observe(make({OPERATION: "execute_tool", "input.value": '{"n": 1}', "output.value": "ok"}))
    assert (found.arguments, found.result) == ({"n": 1}, "ok")
    model = observe(make({KIND: "LLM", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5}))
    assert (model.name, model.input_tokens) == ("m", 5)


def test_openinference_tool_parameters() -> None:
    """tool.parameters counts as arguments only without input.value and if it is no schema."""
    call, schema = '{"query": "x"}', '{"query": {"type": "string"}}'
    assert observe(make({KIND: "TOOL", "tool.parameters": call})).arguments == {"query": "x"}
    assert observe(make({KIND: "TOOL", "tool.parameters": schema})).arguments is NOT_CAPTURED
    assert observe(make({KIND: "TOOL", "tool.parameters": "{}"})).arguments is NOT_CAPTURED
    assert observe(make({KIND: "TOOL", "tool.parameters": call, "input.value": "y"})).arguments == "y"
    assert (
        observe(make({KIND: "TOOL", "tool.parameters": call, "input.value": "__REDACTED__"})).arguments
        is NOT_CAPTURED
    )


def test_openinference_handoff_is_named_by_its_span() -> None:
    """OpenAI Agents' handoffs have no tool.name."""
    assert observe(make({KIND: "TOOL"}, name="handoff to Billing")).name == "handoff to Billing"


VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4)
    | st.sampled_from(
        ["chat", "execute_tool", "TOOL", "LLM", '{"error": 1}', '[{"role": "user", "parts": 3}]']
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "type", "content", "error", "isError"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        KIND,
        OPERATION,
        "mcp.method.name",
        "gen_ai.tool.name",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.usage.input_tokens",
        "input.value",
        "output.value",
        "tool.parameters",
        "llm.input_messages.0.message.role",
        "llm.input_messages.0.message.content",
        "error.type",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id",
        "gen_ai.prompt.0.role",
        "gen_ai.tool.call.id",
    ]
)
EVENTS = st.builds(
    Event,
    st.sampled_from(["exception", "gen_ai.user.message", "gen_ai.tool.message", "gen_ai.choice", "x"]),
    st.just(1),
    st.dictionaries(
        st.sampled_from(["content", "message", "exception.type", "exception.message"]), VALUES, max_size=2
    ),
)


@given(st.dictionaries(KEYS, VALUES, max_size=8), st.lists(EVENTS, max_size=2), st.integers(0, 3))
def test_nothing_raises(attributes: dict[str, Any], events: list[Event], status: int) -> None:
    """Any value under any key is read or left, never an error, and the fields have their types."""
    for kind in ({}, {OPERATION: "chat"}, {OPERATION: "execute_tool"}, {KIND: "LLM"}, {KIND: "TOOL"}):
        span: Span = make(attributes | kind, events=events, status_code=status)
        found = observe(span)
        assert isinstance(found.name, str)
        assert isinstance(found.error_text, str)
        assert isinstance(found.call_id, str)
        assert all(isinstance(i, str) for i in found.issued)
