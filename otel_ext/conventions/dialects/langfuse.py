"""Langfuse SDK 3 and later: langfuse/_client/attributes.py.

Law of this file: type `span` is what every span gets that says nothing else, so it decides nothing. Where
another dialect knows the span as well, its values are the originals: these are mirrors of them.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects.otel_genai import put_answer
from otel_ext.conventions.messages import turns
from otel_ext.conventions.usage import dollars, read_details
from otel_ext.conventions.values import call_arguments, call_result, captured, decode, first_text
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "langfuse"
TYPE: Final = "langfuse.observation.type"
_INPUT: Final = "langfuse.observation.input"
_OUTPUT: Final = "langfuse.observation.output"
_KINDS: Final = {
    "generation": Kind.LLM,
    "tool": Kind.TOOL,
    "agent": Kind.AGENT,
    **dict.fromkeys(("chain", "retriever", "embedding", "guardrail", "evaluator", "event"), Kind.OTHER),
}


def kind_of(span: Span) -> Kind | None:
    """What the span is by `langfuse.observation.type`; None for `span`."""
    value = span.attributes.get(TYPE)
    return _KINDS.get(value.lower()) if isinstance(value, str) else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = Observation(kind=kind, dialect=NAME)
    given, gave = attributes.get(_INPUT), attributes.get(_OUTPUT)
    if kind is Kind.TOOL:
        found.arguments, found.result = call_arguments(given), call_result(gave)
    elif kind is Kind.LLM:
        found.name = first_text(attributes, "langfuse.observation.model.name", "langfuse.observation.model")
        found.user_turns, found.user_turn = turns(_messages(given))
        put_answer(found, answer_of(captured(gave)))
        read_details(found, attributes.get("langfuse.observation.usage_details"))
        if isinstance(costs := decode(attributes.get("langfuse.observation.cost_details")), Mapping):
            found.cost = dollars(costs.get("total"))
    elif kind is Kind.AGENT:
        found.task, found.text = captured(given), captured(gave)
    if first_text(attributes, "langfuse.observation.level") == "ERROR":
        found.error = True
        found.error_text = first_text(attributes, "langfuse.observation.status_message")
    return found


def _messages(value: Any) -> Any:
    """The messages of an input: a list, or `{"messages": ..}`."""
    if captured(value) is NOT_CAPTURED:
        return NOT_CAPTURED
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = decode(value)
    return value.get("messages") if isinstance(value, Mapping) else value


DIALECT: Final = Dialect(
    NAME,
    "Langfuse",
    "langfuse/langfuse-python, langfuse/_client/attributes.py",
    "`langfuse.observation.type`, unless it is `span`",
    kind_of,
    read,
    (TYPE.encode(),),
    completes=frozenset({_INPUT, _OUTPUT, "langfuse.observation.usage_details"}),
    marks=frozenset({TYPE}),
)
