"""OpenTelemetry GenAI and MCP semantic conventions, and the names they had before.

Law of this file: read by the newest meaning (semantic conventions 1.41, the last in core; then
semantic-conventions-genai), fall back to the deprecated name, and leave empty what is not there.
"""

from collections.abc import Mapping
from typing import Any

from otel_ext.conventions.messages import flat_turns, issued_calls, turns
from otel_ext.conventions.values import (
    call_arguments,
    call_result,
    captured,
    first_count,
    first_text,
    may_start,
    text_of,
)
from otel_ext.span import Span, Value
from otel_ext.step import NOT_CAPTURED, Kind, Observation

DIALECT = "otel_genai"

OPERATION = "gen_ai.operation.name"
METHOD = "mcp.method.name"

_KINDS = {
    "chat": Kind.LLM,
    "text_completion": Kind.LLM,
    "generate_content": Kind.LLM,
    "execute_tool": Kind.TOOL,
    "invoke_agent": Kind.AGENT,
    "create_agent": Kind.AGENT,
    "invoke_workflow": Kind.AGENT,
}

_LLM, _TOOL = Kind.LLM, Kind.TOOL  # looked up once: a member of an enum costs more than a branch

MERGED_TOOLS = "(merged tools)"
"""Google ADK: an execute_tool span over calls that have spans of their own already."""


def kind_of(span: Span) -> Kind | None:
    """What the span is by `gen_ai.operation.name`, else by `mcp.method.name`; None when neither is there."""
    operation = span.attributes.get(OPERATION)
    if isinstance(operation, str) and operation:
        return _KINDS.get(operation) or Kind.OTHER
    if (method := span.attributes.get(METHOD)) is not None:
        return Kind.TOOL if method == "tools/call" else Kind.OTHER
    return None


_PRESENT = frozenset({OPERATION, METHOD, "gen_ai.tool.name", "gen_ai.request.model", "gen_ai.agent.name"})


def present(span: Span) -> bool:
    """Whether the span may complete another dialect's reading."""
    return not _PRESENT.isdisjoint(span.attributes)


def read(span: Span, kind: Kind) -> Observation:
    """The span's values in this dialect; what is absent keeps the Observation's defaults."""
    attributes = span.attributes
    if kind is _TOOL:
        found = _tool(span)
    elif kind is _LLM:
        found = _llm(span)
    else:
        found = Observation(kind=kind, dialect=DIALECT)
        if kind is Kind.AGENT:
            found.name = first_text(attributes, "gen_ai.agent.name", "gen_ai.workflow.name")
    if "gen_ai.agent.name" in attributes:
        found.agent_name = text_of(attributes["gen_ai.agent.name"])
    if "gen_ai.agent.id" in attributes:
        found.agent_id = text_of(attributes["gen_ai.agent.id"])
    return found


def _tool(span: Span) -> Observation:
    attributes = span.attributes
    arguments = call_arguments(attributes.get("gen_ai.tool.call.arguments"))
    result = call_result(attributes.get("gen_ai.tool.call.result"))
    if span.events and (arguments is NOT_CAPTURED or result is NOT_CAPTURED):
        # Strands and other emitters of conventions up to 1.36 put both into span events only.
        for event in span.events:
            if event.name == "gen_ai.tool.message" and arguments is NOT_CAPTURED:
                arguments = call_arguments(event.attributes.get("content"))
            elif event.name == "gen_ai.choice" and result is NOT_CAPTURED:
                result = call_result(event.attributes.get("message"))
    name = text_of(attributes.get("gen_ai.tool.name"))
    if not name and span.name.startswith(("execute_tool ", "tools/call ")):
        name = span.name.partition(" ")[2]
    return Observation(
        kind=_TOOL,
        dialect=DIALECT,
        name=name,
        arguments=arguments,
        result=result,
        call_id=first_text(attributes, "gen_ai.tool.call.id", "gen_ai.tool.call_id"),
    )


def _llm(span: Span) -> Observation:
    attributes = span.attributes
    found = Observation(
        kind=_LLM,
        dialect=DIALECT,
        name=first_text(attributes, "gen_ai.request.model", "gen_ai.response.model"),
    )
    if "gen_ai.response.id" in attributes:
        found.response_id = text_of(attributes["gen_ai.response.id"])
    found.issued = _issued(span)
    found.input_tokens, found.cached_tokens = _input_tokens(attributes)
    found.output_tokens = first_count(
        attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"
    )
    found.user_turns, found.user_turn = _turns(span)
    return found


def _input_tokens(attributes: Mapping[str, Value]) -> tuple[int | None, int | None]:
    """(tokens in, cache included; those that came from the cache)."""
    tokens_in = first_count(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
    cached = first_count(
        attributes, "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"
    )
    if tokens_in is not None and cached is not None and cached > tokens_in:
        # Since 1.40 input includes the cache; less input than cache can only be a provider's own counting,
        # which (Anthropic's usage block) leaves out cache reads and writes both.
        created = first_count(
            attributes,
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_input_tokens",
        )
        tokens_in += cached + (created or 0)
    return tokens_in, cached


def _turns(span: Span) -> tuple[int | None, str]:
    attributes = span.attributes
    messages = captured(attributes.get("gen_ai.input.messages"))
    if messages is not NOT_CAPTURED:
        return turns(messages)
    pairs: list[tuple[Any, Any]] = []
    if may_start(attributes, "gen_ai.prompt."):
        pairs = [
            (value, attributes.get(key[:-4] + "content"))
            for key, value in attributes.items()
            if key.startswith("gen_ai.prompt.") and key.endswith(".role")  # OpenLLMetry, Koog
        ]
    if pairs:
        return flat_turns(pairs)
    if not span.events:
        return None, ""
    seen = False
    for event in span.events:
        if event.name == "gen_ai.client.inference.operation.details":
            return turns(captured(event.attributes.get("gen_ai.input.messages")))
        if event.name.startswith("gen_ai.") and event.name.endswith(".message"):  # 1.28 to 1.36
            seen = True
            if event.name == "gen_ai.user.message":
                pairs.append(("user", event.attributes.get("content")))
    return flat_turns(pairs) if seen else (None, "")


def _issued(span: Span) -> tuple[str, ...]:
    attributes = span.attributes
    if (messages := attributes.get("gen_ai.output.messages")) is not None:
        return issued_calls(messages)
    found: list[Value] = []
    if may_start(attributes, "gen_ai.completion."):
        found = [
            value
            for key, value in attributes.items()
            if key.startswith("gen_ai.completion.") and ".tool_calls." in key and key.endswith(".id")
        ]
    if not found:
        for event in span.events:
            if event.name == "gen_ai.client.inference.operation.details":
                return issued_calls(event.attributes.get("gen_ai.output.messages"))
        return ()
    return tuple(i for i in found if isinstance(i, str) and i)
