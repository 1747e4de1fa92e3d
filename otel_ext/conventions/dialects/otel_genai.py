"""OpenTelemetry GenAI and MCP semantic conventions, and the names they had before.

Law of this file: read by the newest meaning (semantic conventions 1.41, the last in core; then
semantic-conventions-genai), fall back to the deprecated name, and leave empty what is not there.
"""

from collections.abc import Iterable
from typing import Any, Final

from otel_ext.conventions.answers import NO_ANSWER, Answer, answer_of, finish_of, flat_answer
from otel_ext.conventions.dialect import Dialect, Told
from otel_ext.conventions.messages import flat_turns, turns
from otel_ext.conventions.usage import read_usage
from otel_ext.conventions.values import (
    call_arguments,
    call_result,
    captured,
    first_text,
    may_start,
    text_of,
)
from otel_ext.span import Event, Log, Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME = "otel_genai"

OPERATION = "gen_ai.operation.name"
METHOD = "mcp.method.name"
DETAILS = "gen_ai.client.inference.operation.details"

_LLM, _TOOL = Kind.LLM, Kind.TOOL  # looked up once: a member of an enum costs more than a branch

KINDS: Final = {
    **dict.fromkeys(("chat", "text_completion", "generate_content"), _LLM),
    **dict.fromkeys(("response", "completion", "generate"), _LLM),  # seen in the wild, in no convention
    "execute_tool": _TOOL,
    **dict.fromkeys(("invoke_agent", "create_agent", "invoke_workflow", "plan"), Kind.AGENT),
}

MERGED_TOOLS = "(merged tools)"
"""Google ADK: an execute_tool span over calls that have spans of their own already."""


def kind_of(span: Span) -> Kind | None:
    """What the span is by `gen_ai.operation.name`, else by `mcp.method.name`; None when neither is there."""
    operation = span.attributes.get(OPERATION)
    if isinstance(operation, str) and operation:
        return KINDS.get(operation) or Kind.OTHER
    if (method := span.attributes.get(METHOD)) is not None:
        return Kind.TOOL if method == "tools/call" else Kind.OTHER
    return None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values in this dialect; what is absent keeps the Observation's defaults."""
    attributes = span.attributes
    if kind is _TOOL:
        found = _tool(span)
    elif kind is _LLM:
        found = _llm(span)
    else:
        found = Observation(kind=kind, dialect=NAME)
        if kind is Kind.AGENT:
            _agent(found, span)
    if "gen_ai.agent.name" in attributes:
        found.agent_name = text_of(attributes["gen_ai.agent.name"])
    if "gen_ai.agent.id" in attributes:
        found.agent_id = text_of(attributes["gen_ai.agent.id"])
    return found


def _agent(found: Observation, span: Span) -> None:
    attributes = span.attributes
    found.name = first_text(attributes, "gen_ai.agent.name", "gen_ai.workflow.name")
    if not found.name and span.name.startswith(("invoke_agent ", "create_agent ", "invoke_workflow ")):
        found.name = span.name.partition(" ")[2]
    _, task = _turns(span)
    found.task = task or NOT_CAPTURED
    found.text = _answer(span).text


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
        dialect=NAME,
        name=name,
        arguments=arguments,
        result=result,
        call_id=first_text(attributes, "gen_ai.tool.call.id"),
    )


def _llm(span: Span) -> Observation:
    attributes = span.attributes
    found = Observation(
        kind=_LLM,
        dialect=NAME,
        name=first_text(attributes, "gen_ai.request.model", "gen_ai.response.model"),
    )
    if "gen_ai.response.id" in attributes:
        found.response_id = text_of(attributes["gen_ai.response.id"])
    put_answer(found, _answer(span))
    found.finish = finish_of(attributes) or found.finish
    read_usage(found, attributes)
    found.user_turns, found.user_turn = _turns(span)
    return found


def put_answer(found: Observation, answer: Answer) -> None:
    """Fill in an answer."""
    found.issued, found.text, found.reasoning, found.finish = answer


def _turns(span: Span) -> tuple[int | None, str]:
    attributes = span.attributes
    messages = captured(attributes.get("gen_ai.input.messages"))
    if messages is not NOT_CAPTURED:
        return turns(messages, span.trace_id)
    pairs: list[tuple[Any, Any]] = []
    if may_start(attributes, "gen_ai.prompt."):
        pairs = [
            (value, attributes.get(key[:-4] + "content"))
            for key, value in attributes.items()
            if key.startswith("gen_ai.prompt.") and key.endswith(".role")  # OpenLLMetry, Koog
        ]
    if pairs:
        return flat_turns(pairs)
    seen = False
    for event in span.events:
        if event.name == DETAILS:
            return turns(captured(event.attributes.get("gen_ai.input.messages")))
        if event.name.startswith("gen_ai.") and event.name.endswith(".message"):  # 1.28 to 1.36
            seen = True
            if event.name == "gen_ai.user.message":
                pairs.append(("user", event.attributes.get("content")))
    return flat_turns(pairs) if seen else (None, "")


def _answer(span: Span) -> Answer:
    attributes = span.attributes
    if (messages := captured(attributes.get("gen_ai.output.messages"))) is not NOT_CAPTURED:
        return answer_of(messages)
    if may_start(attributes, "gen_ai.completion."):
        return flat_answer(attributes, "gen_ai.completion.")
    return _told_answer(span.events) if span.events else NO_ANSWER


def _told_answer(events: Iterable[Event]) -> Answer:
    """An answer in span events: of 1.37 and later, or the choices of 1.28 to 1.36."""
    choices = []
    for event in events:
        if event.name == DETAILS:
            return answer_of(event.attributes.get("gen_ai.output.messages"))
        if event.name == "gen_ai.choice":
            choices.append(choice_of(event.attributes))
        elif event.name == "gen_ai.content.completion":  # before 1.28
            return answer_of(event.attributes.get("gen_ai.completion"))
    return answer_of(choices) if choices else NO_ANSWER


def choice_of(choice: Any) -> dict[str, Any]:
    """A `gen_ai.choice` as a message; its `message` is text, content blocks or a whole message."""
    from_message = answer_of(choice.get("message", choice.get("content")))
    calls = answer_of({"tool_calls": choice.get("tool_calls")}).issued or from_message.issued
    return {
        "content": from_message.text if isinstance(from_message.text, str) else None,
        "tool_calls": [{"id": call} for call in calls],
        "finish_reason": choice.get("finish_reason"),
    }


def records(log: Log) -> Told | None:
    """A log record that says more of the model call in whose span it was written."""
    if log.name == DETAILS and log.span_id:
        attributes = log.attributes
        found = Observation(kind=_LLM, dialect=NAME, view=True)
        body = log.body if isinstance(log.body, dict) else {}
        put_answer(found, answer_of(attributes.get("gen_ai.output.messages", body.get("output_messages"))))
        found.finish = finish_of(attributes) or found.finish
        read_usage(found, attributes)
        found.user_turns, found.user_turn = turns(
            captured(attributes.get("gen_ai.input.messages", body.get("input_messages")))
        )
        return Told(seen=found, identity="details")
    if log.name == "gen_ai.choice" and log.span_id and isinstance(log.body, dict):
        found = Observation(kind=_LLM, dialect=NAME, view=True)
        put_answer(found, answer_of([choice_of(log.body)]))
        return Told(seen=found, identity=f"choice {log.body.get('index', 0)}")
    return None


DIALECT: Final = Dialect(
    NAME,
    "OpenTelemetry GenAI and MCP semantic conventions",
    "open-telemetry/semantic-conventions up to 1.41, semantic-conventions-genai after it",
    "`gen_ai.operation.name`, else `mcp.method.name`",
    kind_of,
    read,
    (b"gen_ai.", b"mcp.method.name"),
    completes=frozenset({OPERATION, METHOD, "gen_ai.tool.name", "gen_ai.request.model", "gen_ai.agent.name"}),
    records=records,
    record_hints=(DETAILS.encode(), b"gen_ai.choice"),
    marks=frozenset({OPERATION, METHOD}),
)
