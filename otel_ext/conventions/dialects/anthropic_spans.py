"""Spans that Anthropic's platform and SDKs send (beta).

Law of this file: only the tool and the outcome are told. UNSET means that the user interrupted it.
"""

from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.span import Span
from otel_ext.step import Kind, Observation

NAME: Final = "anthropic"
_TOOL_USE: Final = "anthropic.tool_use "


def kind_of(span: Span) -> Kind | None:
    """A tool's use by its name."""
    return Kind.TOOL if span.name.startswith(_TOOL_USE) else None


def read(span: Span, kind: Kind) -> Observation:
    """The tool's name, which is all there is."""
    return Observation(kind=kind, dialect=NAME, name=span.name[len(_TOOL_USE) :])


DIALECT: Final = Dialect(
    NAME,
    "Anthropic platform and SDK spans",
    "Anthropic documentation (beta)",
    "name `anthropic.tool_use <tool>`",
    kind_of,
    read,
    (_TOOL_USE.encode(),),
)
