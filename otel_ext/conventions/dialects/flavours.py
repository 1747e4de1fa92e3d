"""Frameworks that speak the semantic conventions as they are, and whose spans are known by their own marks.

Law of this file: nothing is read here that `otel_genai` does not read; what a framework adds or means
otherwise has a file of its own.
"""

from collections.abc import Callable
from typing import Final

from otel_ext.conventions.dialect import Dialect
from otel_ext.conventions.dialects import otel_genai
from otel_ext.span import Span
from otel_ext.step import Kind, Observation

_SEMCONV: Final = (b"gen_ai.",)


def flavour(
    name: str,
    title: str,
    source: str,
    known_by: str,
    ours: Callable[[Span], bool],
    *,
    marks: frozenset[str] = frozenset(),
    within: tuple[str, ...] = (),
) -> Dialect:
    """A dialect that is read as the semantic conventions where `ours` says that a span is in it."""

    def kind_of(span: Span) -> Kind | None:
        return otel_genai.kind_of(span) if ours(span) else None

    def read(span: Span, kind: Kind) -> Observation:
        found = otel_genai.read(span, kind)
        found.dialect = name
        return found

    return Dialect(name, title, source, known_by, kind_of, read, _SEMCONV, marks=marks, within=within)
