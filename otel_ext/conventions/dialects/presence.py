"""Spans that no dialect's discriminator names, and that can be nothing else than a call.

Law of this file: asked last, and only of attributes that are searched for anyway.
A model's name alone is no call, because agents' spans carry it as well; it
takes its usage beside it.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import openinference, otel_genai
from otel_ext.conventions.values import first_text
from otel_ext.span import Span
from otel_ext.step import NOT_CAPTURED, Kind, Observation

NAME: Final = "presence"
_TOOLS: Final = frozenset(("gen_ai.tool.name", "gen_ai.tool.call.id"))
_USAGE: Final = frozenset(
    (
        *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens"),
        "gen_ai.usage.completion_tokens",
    )
)


def kind_of(span: Span) -> Kind | None:
    """A tool's name or call id, or a model with usage."""
    attributes = span.attributes
    if not _TOOLS.isdisjoint(attributes):
        return Kind.TOOL
    if "gen_ai.request.model" in attributes and not _USAGE.isdisjoint(attributes):
        return Kind.LLM
    return None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values by either convention."""
    attributes = span.attributes
    found = otel_genai.read(span, kind)
    other = openinference.read(span, kind)
    if kind is Kind.TOOL:
        found.name = found.name or other.name or span.name.partition(" ")[2]
        found.arguments = other.arguments if found.arguments is NOT_CAPTURED else found.arguments
        found.result = other.result if found.result is NOT_CAPTURED else found.result
        found.call_id = found.call_id or first_text(attributes, "tool.id")
    found.dialect = NAME
    return found


DIALECT: Final = Dialect(
    NAME,
    "Unnamed spans",
    "the order of classification, last resort",
    "`gen_ai.tool.name` or `gen_ai.tool.call.id`; `gen_ai.request.model` with usage",
    kind_of,
    read,
    (b"gen_ai.",),
    marks=_TOOLS | {"gen_ai.request.model"},
)
