"""Spans that no dialect's discriminator names, and that can be nothing else than a call.

Law of this file: asked last. A model's name alone is no call, because agents' spans carry it as well; it
takes its usage beside it.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import openinference, otel_genai
from otel_ext.conventions.values import call_arguments, call_result, first_text
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "presence"
_TOOLS: Final = frozenset(("gen_ai.tool.name", "gen_ai.tool.call.id", "tool.name"))
_USAGE: Final = frozenset(
    (
        *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens"),
        *("gen_ai.usage.completion_tokens", "llm.token_count.prompt", "llm.token_count.completion"),
    )
)
_MODELS: Final = frozenset(("gen_ai.request.model", "llm.model_name"))
_NAMES: Final = ("execute_tool ", "tools/call ", "running tool ", "ai.toolCall ")


def kind_of(span: Span) -> Kind | None:
    """A tool's name or call id, a model with usage, or the name of a call."""
    attributes = span.attributes
    if not _TOOLS.isdisjoint(attributes):
        return Kind.TOOL
    if not _MODELS.isdisjoint(attributes) and not _USAGE.isdisjoint(attributes):
        return Kind.LLM
    return Kind.TOOL if span.name.startswith(_NAMES) else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values by either convention."""
    attributes = span.attributes
    found = otel_genai.read(span, kind)
    other = openinference.read(span, kind)
    if kind is Kind.TOOL:
        found.name = found.name or other.name or span.name.partition(" ")[2]
        found.arguments = other.arguments if found.arguments is NOT_CAPTURED else found.arguments
        found.result = other.result if found.result is NOT_CAPTURED else found.result
        if found.arguments is NOT_CAPTURED:
            found.arguments = call_arguments(attributes.get("tool_arguments"))
        if found.result is NOT_CAPTURED:
            found.result = call_result(attributes.get("tool_response"))
        found.call_id = found.call_id or first_text(attributes, "tool.id")
    elif found.input_tokens is None and found.output_tokens is None:
        found = other
    found.dialect = NAME
    return found


DIALECT: Final = Dialect(
    NAME,
    "Unnamed spans",
    "the order of classification, last resort",
    "`gen_ai.tool.name`, `gen_ai.tool.call.id` or `tool.name`; a model's name with its usage; a call's name",
    kind_of,
    read,
    (
        *(key.encode() for key in sorted(_TOOLS | _MODELS)),
        *(name.encode() for name in _NAMES),
    ),
)
