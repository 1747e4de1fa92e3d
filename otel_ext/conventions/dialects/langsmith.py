"""LangSmith's OpenTelemetry export: langsmith/_internal/otel.

Law of this file: `langsmith.trace.session_id` is a project. Inputs and outputs are a run's whole dict.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_ext.conventions.answers import answer_of
from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.conventions.messages import turns
from otel_ext.conventions.usage import read_details
from otel_ext.conventions.values import call_arguments, call_result, decode, first_count, first_text
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "langsmith"
_KIND: Final = "langsmith.span.kind"
_KINDS: Final = {"llm": Kind.LLM, "tool": Kind.TOOL}


def kind_of(span: Span) -> Kind | None:
    """What the span is by `langsmith.span.kind`; a chain that names an agent is one by its operation."""
    value = span.attributes.get(_KIND)
    if not isinstance(value, str) or not value:
        return None
    return _KINDS.get(value.lower()) or otel_genai.kind_of(span) or Kind.OTHER


def read(span: Span, kind: Kind) -> Observation:
    """The span's values."""
    attributes = span.attributes
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    given, gave = attributes.get("gen_ai.prompt"), attributes.get("gen_ai.completion")
    if kind is Kind.TOOL:
        found.name = first_text(attributes, "langsmith.trace.name") or found.name
        if found.arguments is NOT_CAPTURED:
            found.arguments = call_arguments(_only(call_arguments(given), "input"))
        if found.result is NOT_CAPTURED:
            result = call_result(gave)
            found.result = _only(decode(result), "output") if isinstance(result, str) else result
    elif kind is Kind.LLM:
        if found.user_turns is None and isinstance(inputs := decode(given), Mapping):
            messages = inputs.get("messages")
            found.user_turns, found.user_turn = turns(messages)
        if found.text is NOT_CAPTURED and isinstance(outputs := decode(gave), Mapping):
            otel_genai.put_answer(found, answer_of(outputs))
        if (details := attributes.get("gen_ai.usage.input_token_details")) is not None:
            kept = found.input_tokens, found.output_tokens
            read_details(found, details)
            found.input_tokens, found.output_tokens = kept
            if isinstance(details := decode(details), Mapping):
                found.cached_tokens = first_count(details, "cache_read")
                found.created_tokens = first_count(details, "cache_creation")
    return found


def _only(value: Any, key: str) -> Any:
    return value[key] if isinstance(value, Mapping) and set(value) == {key} else value


DIALECT: Final = Dialect(
    NAME,
    "LangSmith (OpenTelemetry export)",
    "langchain-ai/langsmith-sdk, python/langsmith/_internal/otel",
    "`langsmith.span.kind`",
    kind_of,
    read,
    (b".span.kind",),
    marks=frozenset({_KIND}),
)
