"""OpenLLMetry (Traceloop): opentelemetry-semantic-conventions-ai and its instrumentations.

Law of this file: inputs are envelopes (a decorator's args and kwargs, LangChain's run) whose ids would make
every call look new; they come off first.
"""

from typing import Any, Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.values import call_arguments, call_result, captured, first_text
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "openllmetry"
_KIND: Final = "traceloop.span.kind"
_REQUEST: Final = "llm.request.type"
_KINDS: Final = {"tool": Kind.TOOL, "agent": Kind.AGENT, "workflow": Kind.AGENT}
_REQUESTS: Final = {"chat": Kind.LLM, "completion": Kind.LLM}


def kind_of(span: Span) -> Kind | None:
    """What the span is by `traceloop.span.kind`, else by `llm.request.type`."""
    value = span.attributes.get(_KIND)
    if isinstance(value, str) and value:
        return _KINDS.get(value, Kind.OTHER)
    value = span.attributes.get(_REQUEST)
    return _REQUESTS.get(value, Kind.OTHER) if isinstance(value, str) and value else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    given, gave = attributes.get("traceloop.entity.input"), attributes.get("traceloop.entity.output")
    entity = first_text(attributes, "traceloop.entity.name")
    if kind is Kind.TOOL:
        found.name = found.name or entity
        if found.arguments is NOT_CAPTURED:
            found.arguments = call_arguments(given)
        if found.result is NOT_CAPTURED:
            found.result = call_result(gave)
    elif kind is Kind.AGENT:
        found.name = found.name or entity
        found.agent_name = found.agent_name or entity
        task: Any = call_arguments(given)
        found.task = found.task if found.task is not NOT_CAPTURED else task
        found.text = found.text if found.text is not NOT_CAPTURED else captured(gave)
    return found


DIALECT: Final = Dialect(
    NAME,
    "OpenLLMetry (Traceloop)",
    "traceloop/openllmetry, opentelemetry-semantic-conventions-ai",
    "`traceloop.span.kind`, else `llm.request.type`",
    kind_of,
    read,
    (b".span.kind", _REQUEST.encode()),
    completes=frozenset({_KIND, _REQUEST, "traceloop.entity.input", "traceloop.entity.output"}),
    marks=frozenset({_KIND, _REQUEST}),
)
