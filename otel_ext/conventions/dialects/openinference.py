"""OpenInference (Arize): semantic_conventions.md of the OpenInference specification.

Law of this file: arguments come from `input.value` first. `tool.parameters` is the tool's schema in some of
its instrumentors and the call's arguments in others, so it is used only where `input.value` is absent and it
does not look like a schema.
"""

from typing import Any, Final

from otel_ext.conventions.answers import answer_of, flat_answer
from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.messages import MAX_TURN, flat_turns, smolagents_turns
from otel_ext.conventions.values import (
    call_arguments,
    call_result,
    captured,
    decode,
    first_count,
    first_text,
    looks_like_schema,
    text_of,
)
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME = "openinference"

SPAN_KIND = "openinference.span.kind"

_KINDS = {
    "LLM": Kind.LLM,
    "TOOL": Kind.TOOL,
    "AGENT": Kind.AGENT,
    "CHAIN": Kind.OTHER,
    "RETRIEVER": Kind.OTHER,
    "RERANKER": Kind.OTHER,
    "EMBEDDING": Kind.OTHER,
    "GUARDRAIL": Kind.OTHER,
    "EVALUATOR": Kind.OTHER,
    "PROMPT": Kind.OTHER,
}

_INPUT = "llm.input_messages."
_OUTPUT = "llm.output_messages."
_HANDOFF = "handoff to "
"""OpenAI Agents: a span of kind TOOL without a tool; input and output are agents' names."""


def kind_of(span: Span) -> Kind | None:
    """What the span is by `openinference.span.kind`, in any letter case; None when unknown or absent."""
    if SPAN_KIND not in span.attributes:
        return None
    value = span.attributes[SPAN_KIND]
    return _KINDS.get(value.upper()) if isinstance(value, str) else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values in this dialect; what is absent keeps the Observation's defaults."""
    if kind is Kind.TOOL:
        return _tool(span)
    if kind is Kind.LLM:
        return _llm(span)
    if kind is not Kind.AGENT:
        return Observation(kind=kind, dialect=NAME)
    attributes = span.attributes
    agent = first_text(attributes, "agent.name", "graph.node.id")
    task = captured(attributes.get("input.value"))
    return Observation(
        kind=kind,
        dialect=NAME,
        name=agent,
        agent_name=agent,
        task=task[:MAX_TURN] if isinstance(task, str) else task,
        text=captured(attributes.get("output.value")),
    )


def _tool(span: Span) -> Observation:
    attributes = span.attributes
    arguments = call_arguments(attributes.get("input.value"))
    if arguments is NOT_CAPTURED and "input.value" not in attributes:
        parameters = decode(attributes.get("tool.parameters"))
        if parameters is not None and not looks_like_schema(parameters):
            arguments = call_arguments(parameters)
    handoff = ""
    if span.name.startswith(_HANDOFF) and "tool.name" not in attributes:
        handoff = text_of(attributes.get("output.value")) or span.name[len(_HANDOFF) :]
    return Observation(
        kind=Kind.TOOL,
        dialect=NAME,
        name=first_text(attributes, "tool.name"),
        arguments=arguments,
        result=call_result(attributes.get("output.value")),
        call_id=first_text(attributes, "tool.id", "tool_call.id"),
        handoff=handoff,
    )


def _llm(span: Span) -> Observation:
    inputs: list[tuple[Any, Any]] = []
    attributes = span.attributes
    for key, value in attributes.items():
        # Indexes may have holes (agno), so the keys are walked, not counted.
        if key.startswith(_INPUT) and key.endswith(".message.role"):
            inputs.append((value, _content(span, key[:-4])))
    if not inputs:
        count, newest = None, ""
    elif "smolagents" in span.scope:
        count, newest = smolagents_turns(inputs)
    else:
        count, newest = flat_turns(inputs)
    answer = flat_answer(attributes, _OUTPUT, "message.")
    if answer.text is NOT_CAPTURED and not answer.issued and "output.value" in attributes:
        answer = answer_of(captured(attributes["output.value"]))
    return Observation(
        kind=Kind.LLM,
        dialect=NAME,
        name=first_text(attributes, "llm.model_name", "llm.request.model_name", "llm.response.model_name"),
        issued=answer.issued,
        text=answer.text,
        reasoning=answer.reasoning,
        finish=answer.finish or first_text(attributes, "llm.finish_reason"),
        input_tokens=first_count(attributes, "llm.token_count.prompt"),
        output_tokens=first_count(attributes, "llm.token_count.completion"),
        cached_tokens=first_count(attributes, "llm.token_count.prompt_details.cache_read"),
        created_tokens=first_count(attributes, "llm.token_count.prompt_details.cache_write"),
        reasoning_tokens=first_count(attributes, "llm.token_count.completion_details.reasoning"),
        user_turns=count,
        user_turn=newest,
    )


def _content(span: Span, prefix: str) -> Any:
    """A message's text: `content`, else the text parts of `contents`; None for a tool's answer.

    `prefix` ends in ".message.".
    """
    attributes = span.attributes
    if prefix + "tool_call_id" in attributes:
        return None
    if (content := attributes.get(prefix + "content")) is not None:
        return content
    parts = []
    for index in range(64):
        part = f"{prefix}contents.{index}.message_content."
        if (kind := attributes.get(part + "type")) is None:
            break
        parts.append({"type": kind, "text": attributes.get(part + "text")})
    return parts


DIALECT: Final = Dialect(
    NAME,
    "OpenInference (Phoenix; LangChain, LlamaIndex, smolagents, CrewAI, agno, OpenAI Agents and others)",
    "Arize-ai/openinference, spec/semantic_conventions.md and the instrumentors",
    "`openinference.span.kind`, in any letter case",
    kind_of,
    read,
    (b".span.kind",),
    completes=frozenset(
        {SPAN_KIND, "input.value", "output.value", "llm.model_name", "tool.name", "tool.parameters"}
    ),
    marks=frozenset({SPAN_KIND}),
)
