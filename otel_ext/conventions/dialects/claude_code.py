"""Claude Code: spans of the traces beta, and the log records that it sends by default.

Law of this file: input tokens exclude the cache here (Anthropic's usage block), so both counts are added.
Arguments are taken only where they are whole: a file's path without what was written to it is not a call's
arguments. A `tool` span always ends UNSET; whether it failed is told by the `tool.execution` under it.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect, Told
from otel_ext.conventions.dialects.logs import call_log, event_name, failed, milliseconds, prompt_log
from otel_ext.conventions.dialects.otel_genai import put_answer
from otel_ext.conventions.messages import MAX_TURN
from otel_ext.conventions.values import call_arguments, call_result, captured, decode, first_count, first_text
from otel_ext.span import Log, Span, Value
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "claude_code"
PREFIX: Final = "claude_code."

_KINDS: Final = {
    "interaction": Kind.AGENT,
    "llm_request": Kind.LLM,
    "tool": Kind.TOOL,
    "tool.execution": Kind.TOOL,
    "tool.blocked_on_user": Kind.OTHER,
    "hook": Kind.OTHER,
}


def kind_of(span: Span) -> Kind | None:
    """What the span is by `span.type` (seen bare and in full), else by its name."""
    if not span.name.startswith(PREFIX):
        return None
    stated = span.attributes.get("span.type")
    kind = _KINDS.get(stated.removeprefix(PREFIX)) if isinstance(stated, str) else None
    return kind or _KINDS.get(span.name.removeprefix(PREFIX), Kind.OTHER)


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = Observation(kind=kind, dialect=NAME, agent_id=first_text(attributes, "agent_id"))
    if kind is Kind.LLM:
        _model(found, attributes)
        put_answer(found, answer_of(attributes.get("gen_ai.output.messages", attributes.get("response"))))
        found.finish = first_text(attributes, "stop_reason") or found.finish
        _turn(found, attributes)
        _outcome(found, attributes)
    elif kind is Kind.TOOL:
        _call(found, attributes)
        for event in span.events:
            if event.name == "tool.output":
                text = first_text(event.attributes, "output", "content", "tool_output", "result")
                found.result = call_result(text) if text else NOT_CAPTURED
        _outcome(found, attributes)
        found.view = span.name.endswith(".execution")
    elif kind is Kind.AGENT:
        task = captured(attributes.get("user_prompt", attributes.get("prompt")))
        found.task = task[:MAX_TURN] if isinstance(task, str) else NOT_CAPTURED
        found.name = found.agent_name = "claude_code"
    return found


def records(log: Log) -> Told | None:
    """What a log record tells: a tool's result, a model call, a failed one, or a prompt."""
    named = log.name.startswith(PREFIX) or "claude_code" in log.scope
    if not named and not (isinstance(log.body, str) and log.body.startswith(PREFIX)):
        return None
    attributes = log.attributes
    agent = first_text(attributes, "agent_id")
    match (first_text(attributes, "event.name") or event_name(log)).removeprefix(PREFIX):
        case "tool_result":
            found = Observation(kind=Kind.TOOL, dialect=NAME)
            _call(found, attributes)
            _outcome(found, attributes)
        case "api_request":
            found = Observation(kind=Kind.LLM, dialect=NAME)
            _model(found, attributes)
            _turn(found, attributes)
        case "api_error":
            found = Observation(kind=Kind.LLM, dialect=NAME, name=first_text(attributes, "model"), error=True)
            status = first_text(attributes, "status_code")
            found.error_text = f"{status} {first_text(attributes, 'error')}".strip()
            sequence = first_text(attributes, "event.sequence", "request_id")
            return Told(seen=found, duration=milliseconds(attributes), identity=sequence, agent=agent)
        case "user_prompt":
            return prompt_log(log, NAME, agent=agent)
        case _:
            return None
    return call_log(log, found, agent=agent)


def _call(found: Observation, attributes: Mapping[str, Value]) -> None:
    found.name = first_text(attributes, "tool_name", "gen_ai.tool.name")
    found.call_id = first_text(attributes, "tool_use_id", "gen_ai.tool.call.id")
    found.arguments = call_arguments(attributes.get("tool_input"))
    command: Any = attributes.get("full_command")
    if found.arguments is NOT_CAPTURED and command is None:
        parameters = decode(attributes.get("tool_parameters"))
        command = parameters.get("full_command") if isinstance(parameters, Mapping) else None
    if found.arguments is NOT_CAPTURED and isinstance(command, str) and captured(command) is command:
        found.arguments = {"command": command}


def _model(found: Observation, attributes: Mapping[str, Value]) -> None:
    found.name = first_text(attributes, "model", "gen_ai.request.model")
    found.response_id = first_text(attributes, "request_id", "gen_ai.response.id")
    found.output_tokens = first_count(attributes, "output_tokens")
    found.cached_tokens = first_count(attributes, "cache_read_tokens")
    found.created_tokens = first_count(attributes, "cache_creation_tokens")
    found.input_tokens = first_count(attributes, "input_tokens")
    if found.input_tokens is not None:
        found.input_tokens += (found.cached_tokens or 0) + (found.created_tokens or 0)


def _turn(found: Observation, attributes: Mapping[str, Value]) -> None:
    """Model calls of one prompt share its id; the prompt itself is seldom told."""
    if prompt := first_text(attributes, "prompt.id"):
        found.user_turns, found.user_turn = 1, prompt


def _outcome(found: Observation, attributes: Mapping[str, Value]) -> None:
    if failed(attributes.get("success")):
        found.error = True
        found.error_text = first_text(attributes, "error", "error_message", "error_type")


DIALECT: Final = Dialect(
    NAME,
    "Claude Code (traces beta, and log records)",
    "Claude Code documentation, Monitoring",
    "span names `claude_code.*`, `span.type`; log records `claude_code.*`",
    kind_of,
    read,
    (b"claude_code.",),
    records=records,
    record_hints=(b"claude_code.",),
)
