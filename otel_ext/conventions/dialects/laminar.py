"""Laminar (and OpenHands through its SDK): lmnr/opentelemetry_lib.

Law of this file: `lmnr.span.type` decides; usage is that of the semantic conventions.
"""

from typing import Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.messages import turns
from otel_ext.conventions.values import call_arguments, call_result, captured
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "laminar"
_TYPE: Final = "lmnr.span.type"
_KINDS: Final = {"LLM": Kind.LLM, "TOOL": Kind.TOOL, "AGENT": Kind.AGENT}


def kind_of(span: Span) -> Kind | None:
    """What the span is by `lmnr.span.type`."""
    value = span.attributes.get(_TYPE)
    return _KINDS.get(value.upper(), Kind.OTHER) if isinstance(value, str) and value else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    given, gave = span.attributes.get("lmnr.span.input"), span.attributes.get("lmnr.span.output")
    if kind is Kind.TOOL:
        found.name = found.name or span.name
        if found.arguments is NOT_CAPTURED:
            found.arguments = call_arguments(given)
        if found.result is NOT_CAPTURED:
            found.result = call_result(gave)
    elif kind is Kind.LLM:
        if found.user_turns is None:
            found.user_turns, found.user_turn = turns(captured(given))
        if found.text is NOT_CAPTURED and not found.issued:
            finish = found.finish
            otel_genai.put_answer(found, answer_of(captured(gave)))
            found.finish = finish or found.finish
    elif kind is Kind.AGENT:
        found.name = found.agent_name = found.name or span.name
        found.task, found.text = captured(given), captured(gave)
    return found


DIALECT: Final = Dialect(
    NAME,
    "Laminar, OpenHands SDK",
    "lmnr-ai/lmnr-python; MLflow's and Langfuse's mappings of it",
    "`lmnr.span.type`",
    kind_of,
    read,
    (_TYPE.encode(),),
    marks=frozenset({_TYPE}),
)
