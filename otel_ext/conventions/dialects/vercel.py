"""Vercel AI SDK up to 6, and 7's LegacyOpenTelemetry: packages/ai/src/telemetry.

Law of this file: `ai.streamText` and its like bound a run and repeat its usage; only `doGenerate` and
`doStream` are model calls.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.messages import turns
from otel_ext.conventions.usage import read_usage
from otel_ext.conventions.values import call_arguments, call_result, captured, decode, first_count, first_text
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "vercel"
_OPERATION: Final = "ai.operationId"
_RUNS: Final = ("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject")


def kind_of(span: Span) -> Kind | None:
    """What the span is by `ai.operationId`; `operation.name` holds the same and the function's id."""
    operation = first_text(span.attributes, _OPERATION)
    if not operation:
        return None
    if operation == "ai.toolCall":
        return Kind.TOOL
    if operation.endswith((".doGenerate", ".doStream")):
        return Kind.LLM
    return Kind.AGENT if operation in _RUNS else Kind.OTHER


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = Observation(kind=kind, dialect=NAME)
    if kind is Kind.TOOL:
        found.name = first_text(attributes, "ai.toolCall.name")
        found.call_id = first_text(attributes, "ai.toolCall.id")
        found.arguments = call_arguments(attributes.get("ai.toolCall.args"))
        found.result = call_result(attributes.get("ai.toolCall.result"))
    elif kind is Kind.LLM:
        found.name = first_text(attributes, "ai.model.id", "ai.response.model", "gen_ai.request.model")
        found.response_id = first_text(attributes, "ai.response.id", "gen_ai.response.id")
        _usage(found, attributes)
        _answer(found, attributes)
        found.user_turns, found.user_turn = turns(captured(attributes.get("ai.prompt.messages")))
    elif kind is Kind.AGENT:
        found.name = found.agent_name = first_text(attributes, "ai.telemetry.functionId")
        found.task = _task(attributes.get("ai.prompt"))
        found.text = captured(attributes.get("ai.response.text", attributes.get("ai.response.object")))
    return found


def _usage(found: Observation, attributes: Mapping[str, Any]) -> None:
    read_usage(found, attributes)
    given = first_count(attributes, "ai.usage.inputTokens", "ai.usage.promptTokens")
    gave = first_count(attributes, "ai.usage.outputTokens", "ai.usage.completionTokens")
    cached = first_count(
        attributes, "ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"
    )
    created = first_count(attributes, "ai.usage.inputTokenDetails.cacheWriteTokens")
    found.input_tokens = found.input_tokens if given is None else given
    found.output_tokens = found.output_tokens if gave is None else gave
    found.cached_tokens = found.cached_tokens if cached is None else cached
    found.created_tokens = found.created_tokens if created is None else created
    found.reasoning_tokens = first_count(attributes, "ai.usage.reasoningTokens")


def _answer(found: Observation, attributes: Mapping[str, Any]) -> None:
    found.finish = first_text(attributes, "ai.response.finishReason", "ai.finishReason")
    found.reasoning = captured(attributes.get("ai.response.reasoning"))
    text = attributes.get("ai.response.text", attributes.get("ai.response.object"))
    calls = decode(attributes.get("ai.response.toolCalls"))
    if isinstance(calls, list):
        found.issued = answer_of({"tool_calls": calls}).issued
        text = "" if text is None else text
    found.text = captured(text)


def _task(prompt: Any) -> Any:
    """What was asked: `{"prompt": ..}` or the newest user message of `{"messages": ..}`."""
    decoded = decode(prompt)
    if not isinstance(decoded, Mapping):
        return captured(prompt)
    text = decoded.get("prompt")
    if isinstance(text, str):
        return captured(text)
    return turns(decoded.get("messages", text))[1] or NOT_CAPTURED


DIALECT: Final = Dialect(
    NAME,
    "Vercel AI SDK (up to 6; opencode, altimate-code)",
    "vercel/ai, packages/ai/src/telemetry",
    "`ai.operationId`",
    kind_of,
    read,
    (_OPERATION.encode(),),
    completes=frozenset({_OPERATION, "ai.toolCall.args", "ai.toolCall.result"}),
    marks=frozenset({_OPERATION}),
)
