"""AgentOps: agentops/semconv.

Law of this file: `agentops.span.kind` decides; a tool's own keys come before the entity's.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.values import call_arguments, call_result, captured, first_text
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "agentops"
_KIND: Final = "agentops.span.kind"
_KINDS: Final = {"llm": Kind.LLM, "tool": Kind.TOOL, "agent": Kind.AGENT, "workflow": Kind.AGENT}


def kind_of(span: Span) -> Kind | None:
    """What the span is by `agentops.span.kind`."""
    value = span.attributes.get(_KIND)
    return _KINDS.get(value.lower(), Kind.OTHER) if isinstance(value, str) and value else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    given, gave = attributes.get("agentops.entity.input"), attributes.get("agentops.entity.output")
    if kind is Kind.TOOL:
        found.name = first_text(attributes, "tool.name", "agentops.entity.name") or found.name
        if found.arguments is NOT_CAPTURED:
            found.arguments = call_arguments(attributes.get("tool.parameters", given))
        if found.result is NOT_CAPTURED:
            found.result = call_result(attributes.get("tool.result", gave))
        if first_text(attributes, "tool.status").lower() in {"error", "failed", "failure"}:
            found.error = True
    elif kind is Kind.AGENT:
        found.agent_name = first_text(attributes, "agent.name", "agentops.entity.name", "gen_ai.agent.name")
        found.name = found.agent_name or found.name
        found.task, found.text = captured(given), captured(gave)
    return found


DIALECT: Final = Dialect(
    NAME,
    "AgentOps",
    "AgentOps-AI/agentops, agentops/semconv",
    "`agentops.span.kind`",
    kind_of,
    read,
    (b".span.kind",),
    marks=frozenset({_KIND}),
)
