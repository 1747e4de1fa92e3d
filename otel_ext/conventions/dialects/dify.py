"""Dify: api/extensions/otel (semconv/gen_ai.py, dify.py); Alibaba Cloud's conventions share the key.

Law of this file: `gen_ai.span.kind` decides; a tool's name is its node's title.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.span import Span
from otel_ext.step import Kind, Observation

NAME: Final = "dify"
_KIND: Final = "gen_ai.span.kind"
_KINDS: Final = {"LLM": Kind.LLM, "TOOL": Kind.TOOL, "AGENT": Kind.AGENT, "WORKFLOW": Kind.AGENT}


def kind_of(span: Span) -> Kind | None:
    """What the span is by `gen_ai.span.kind`."""
    value = span.attributes.get(_KIND)
    return _KINDS.get(value.upper(), Kind.OTHER) if isinstance(value, str) and value else None


def read(span: Span, kind: Kind) -> Observation:
    """The span's values, as in the semantic conventions."""
    found = otel_genai.read(span, kind)
    found.dialect = NAME
    return found


DIALECT: Final = Dialect(
    NAME,
    "Dify",
    "langgenius/dify, api/extensions/otel/semconv",
    "`gen_ai.span.kind`",
    kind_of,
    read,
    (b"gen_ai.",),
    marks=frozenset({_KIND}),
)
