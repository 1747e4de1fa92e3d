"""Gemini CLI: packages/core/src/telemetry (types.ts, trace.ts).

Law of this file: a span's inputs and outputs are any JSON, cut at 10,000 characters with a mark that says
so; a cut value is not a value. Log records of tool calls have no call id and no result.
"""

from typing import Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect, Told
from otel_ext.conventions.dialects.logs import call_log, event_name, failed, milliseconds, prompt_log
from otel_ext.conventions.dialects.otel_genai import OPERATION, put_answer
from otel_ext.conventions.usage import read_usage
from otel_ext.conventions.values import (
    call_arguments,
    call_result,
    captured,
    first_count,
    first_text,
)
from otel_ext.span import Log, Span
from otel_ext.step import Kind, Observation

NAME: Final = "gemini_cli"
_PREFIX: Final = "gemini_cli."

_KINDS: Final = {
    "llm_call": Kind.LLM,
    "tool_call": Kind.TOOL,
    "agent_call": Kind.AGENT,
    "schedule_tool_calls": Kind.OTHER,
    "user_prompt": Kind.OTHER,
    "system_prompt": Kind.OTHER,
}


def kind_of(span: Span) -> Kind | None:
    """What the span is by an operation name that nobody else uses."""
    operation = span.attributes.get(OPERATION)
    return _KINDS.get(operation) if isinstance(operation, str) else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = Observation(kind=kind, dialect=NAME)
    given, gave = attributes.get("gen_ai.input.messages"), attributes.get("gen_ai.output.messages")
    if kind is Kind.TOOL:
        found.name = first_text(attributes, "gen_ai.tool.name")
        found.call_id = first_text(attributes, "gen_ai.tool.call_id", "gen_ai.tool.call.id")
        found.arguments, found.result = call_arguments(given), call_result(gave)
    elif kind is Kind.LLM:
        found.name = first_text(attributes, "gen_ai.request.model", "gen_ai.response.model")
        put_answer(found, answer_of(gave))
        read_usage(found, attributes)
    elif kind is Kind.AGENT:
        found.name = found.agent_name = first_text(attributes, "gen_ai.agent.name")
        found.task, found.text = captured(given), answer_of(gave).text
    return found


def records(log: Log) -> Told | None:
    """What a log record tells: a tool call, a model call, a failed one, or a prompt."""
    attributes = log.attributes
    match event_name(log).removeprefix(_PREFIX):
        case "tool_call":
            found = Observation(kind=Kind.TOOL, dialect=NAME)
            found.name = first_text(attributes, "function_name")
            found.arguments = call_arguments(attributes.get("function_args"))
            if failed(attributes.get("success")):
                found.error = True
                found.error_text = first_text(attributes, "error", "error.message", "error_type")
            return call_log(log, found)
        case "api_response":
            found = Observation(kind=Kind.LLM, dialect=NAME, name=first_text(attributes, "model"))
            found.input_tokens = first_count(attributes, "input_token_count")
            found.output_tokens = first_count(attributes, "output_token_count")
            found.cached_tokens = first_count(attributes, "cached_content_token_count")
            thoughts = found.reasoning_tokens = first_count(attributes, "thoughts_token_count")
            if found.output_tokens is not None and thoughts:
                found.output_tokens += thoughts  # candidates only
            put_answer(found, answer_of(attributes.get("response_text")))
            return call_log(log, found)
        case "api_error":
            found = Observation(kind=Kind.LLM, dialect=NAME, name=first_text(attributes, "model"), error=True)
            text = first_text(attributes, "error", "error.message", "error_message", "error_type")
            status = first_text(attributes, "status_code", "http.status_code")
            found.error_text = f"{status} {text}".strip()
            return Told(
                seen=found, duration=milliseconds(attributes), identity=first_text(attributes, "prompt_id")
            )
        case "user_prompt":
            return prompt_log(log, NAME)
    return None


DIALECT: Final = Dialect(
    NAME,
    "Gemini CLI",
    "google-gemini/gemini-cli, packages/core/src/telemetry",
    "`gen_ai.operation.name` = `llm_call`, `tool_call`, `agent_call`, `schedule_tool_calls`; log records "
    "`gemini_cli.*`",
    kind_of,
    read,
    (b"gen_ai.",),
    records=records,
    record_hints=(b"gemini_cli.",),
    marks=frozenset({OPERATION}),
)
