"""Codex CLI: codex-rs/otel. Its calls are log records; its traces carry the same as events, without values.

Law of this file: every number and truth value may be text. A model call is told by its completed response; a
request is one only when it failed.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_ext.conventions.dialect import Dialect, Told
from otel_ext.conventions.dialects.logs import call_log, event_name, failed, prompt_log
from otel_ext.conventions.values import (
    call_arguments,
    call_result,
    captured,
    count_of,
    decode,
    first_count,
    first_text,
)
from otel_ext.span import Log
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "codex"
_PREFIX: Final = "codex."


def records(log: Log) -> Told | None:
    """What a log record, or an event of a span, tells."""
    attributes = log.attributes
    name = first_text(attributes, "event.name") or event_name(log)
    if not name.startswith(_PREFIX):
        return None
    match name.removeprefix(_PREFIX):
        case "tool_result":
            found = Observation(kind=Kind.TOOL, dialect=NAME)
            found.name = first_text(attributes, "tool_name")
            found.call_id = first_text(attributes, "call_id")
            found.arguments = call_arguments(attributes.get("arguments"))
            found.result = _output(attributes.get("output"))
            if failed(attributes.get("success")):
                found.error = True
                found.error_text = _words(found.result)
            return call_log(log, found)
        case "sse_event" if first_text(attributes, "event.kind") == "response.completed":
            found = Observation(kind=Kind.LLM, dialect=NAME, name=first_text(attributes, "model", "slug"))
            found.input_tokens = first_count(attributes, "input_token_count")
            found.output_tokens = first_count(attributes, "output_token_count")
            found.cached_tokens = first_count(attributes, "cached_token_count")
            found.reasoning_tokens = first_count(attributes, "reasoning_token_count")
            # Its duration is that of one event of the stream.
            return Told(seen=found, identity=first_text(attributes, "event.sequence"))
        case "api_request":
            status = count_of(attributes.get("http.response.status_code")) or 0
            text = first_text(attributes, "error.message")
            if not text and status < 400:
                return None
            found = Observation(kind=Kind.LLM, dialect=NAME, name=first_text(attributes, "model", "slug"))
            found.error, found.error_text = True, f"{status or ''} {text}".strip()
            return call_log(log, found)
        case "user_prompt":
            return prompt_log(log, NAME)
    return None


def _output(value: Any) -> Any:
    """A tool's output; of a command's, the exit code and the text without how long it took."""
    result = call_result(value)
    if isinstance(result, str) and result.startswith("{") and '"metadata"' in result:
        decoded = decode(result)
        if isinstance(decoded, Mapping) and set(decoded) == {"output", "metadata"}:
            metadata = decoded["metadata"]
            code = metadata.get("exit_code") if isinstance(metadata, Mapping) else None
            return {"exit_code": code, "output": decoded["output"]}
    return captured(result)


def _words(result: Any) -> str:
    if isinstance(result, Mapping):
        return f"exit code {result.get('exit_code')}: {result.get('output')}"
    return result if isinstance(result, str) and result is not NOT_CAPTURED else ""


DIALECT: Final = Dialect(
    NAME,
    "Codex CLI",
    "openai/codex, codex-rs/otel",
    "log records whose `event.name` begins with `codex.`; events of spans, `codex.tool_result` among them",
    records=records,
    record_hints=(b"codex.",),
    span_records=(b"codex.tool_result",),
)
