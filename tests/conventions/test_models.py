"""Model calls: usage, messages, issued calls, in both dialects and their older forms."""

import json
from typing import Any

import pytest

from otel_ext.conventions import observe
from otel_ext.span import Event
from tests.conventions.spans import make

KIND, OPERATION = "openinference.span.kind", "gen_ai.operation.name"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input_tokens": 100, "cache_read.input_tokens": 60, "output_tokens": 7}, (100, 7, 60)),
        ({"prompt_tokens": "100", "completion_tokens": "7"}, (100, 7, None)),
        (
            {"input_tokens": 4, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 96},
            (1000, None, 900),
        ),
        ({"input_tokens": -1, "output_tokens": float("nan")}, (None, None, None)),
        ({"input_tokens": 0, "prompt_tokens": 9, "cache_read.input_tokens": 0}, (0, None, 0)),
    ],
)
def test_genai_usage(usage: dict[str, Any], tokens: tuple[int | None, ...]) -> None:
    """Input includes the cache (1.40); a provider's own counting is recognised and added up."""
    found = observe(make({OPERATION: "chat"} | {f"gen_ai.usage.{k}": v for k, v in usage.items()}))
    assert (found.input_tokens, found.output_tokens, found.cached_tokens) == tokens


def test_usage_of_an_agent_span_is_a_sum_and_left_out() -> None:
    """Only model calls report tokens, or they would be counted twice."""
    found = observe(
        make({OPERATION: "invoke_agent", "gen_ai.agent.name": "a", "gen_ai.usage.input_tokens": 5})
    )
    assert (found.name, found.agent_name, found.input_tokens) == ("a", "a", None)


def test_openinference_model_call() -> None:
    """Flattened messages with a hole, tool call ids and token counts as text."""
    found = observe(
        make(
            {
                KIND: "LLM",
                "llm.model_name": "m",
                "llm.input_messages.0.message.role": "system",
                "llm.input_messages.0.message.content": "be good",
                "llm.input_messages.1.message.role": "user",
                "llm.input_messages.1.message.content": "hello",
                "llm.input_messages.3.message.role": "user",
                "llm.input_messages.3.message.content": "a result",
                "llm.input_messages.3.message.tool_call_id": "c0",
                "llm.input_messages.4.message.role": "user",
                "llm.input_messages.4.message.contents.0.message_content.type": "text",
                "llm.input_messages.4.message.contents.0.message_content.text": "again",
                "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
                "llm.output_messages.0.message.tool_calls.1.tool_call.id": "c2",
                "llm.token_count.prompt": "12",
                "llm.token_count.completion": "3",
                "llm.token_count.prompt_details.cache_read": "4",
            }
        )
    )
    assert (found.name, found.user_turns, found.user_turn, found.issued) == ("m", 2, "again", ("c1", "c2"))
    assert (found.input_tokens, found.output_tokens, found.cached_tokens) == (12, 3, 4)


def test_older_genai_messages() -> None:
    """Conventions before 1.37 spread messages over attributes (OpenLLMetry, Koog) or events."""
    flat = observe(
        make(
            {
                OPERATION: "chat",
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "hi",
                "gen_ai.prompt.1.role": "tool",
                "gen_ai.prompt.1.content": "42",
                "gen_ai.completion.0.tool_calls.0.id": "c1",
            }
        )
    )
    assert (flat.user_turns, flat.user_turn, flat.issued) == (1, "hi", ("c1",))
    events = [
        Event("gen_ai.system.message", 1, {"content": "s"}),
        Event("gen_ai.user.message", 2, {"content": "hi"}),
    ]
    assert observe(make({OPERATION: "chat"}, events=events)).user_turns == 1
    details: dict[str, Any] = {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hey"}]}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "tool_call", "id": "c9"}]}],
    }
    told = observe(
        make({OPERATION: "chat"}, events=[Event("gen_ai.client.inference.operation.details", 1, details)])
    )
    assert (told.user_turn, told.issued) == ("hey", ("c9",))


def test_a_mutilated_history_is_unknown() -> None:
    """A history cut by an attribute length limit says nothing about turns, rather than none."""
    history = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "x" * 50}]}])
    found = observe(
        make(
            {OPERATION: "chat", "gen_ai.input.messages": history[:40], "gen_ai.output.messages": history[:9]}
        )
    )
    assert (found.user_turns, found.user_turn, found.issued) == (None, "", ())
