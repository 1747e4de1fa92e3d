"""Which dialects a span may be in, told by its scope and the names of its attributes.

Law of this file: a dialect that is left out would not have known the span. A producer's spans have the same
few sets of names all the time, so what may know a set is worked out once and remembered (bounded).
"""

from functools import lru_cache
from typing import Final, NamedTuple

from otel_ext.conventions.dialect import Dialect, never
from otel_ext.conventions.dialects import ORDER, otel_genai
from otel_ext.span import Span

_LONGEST: Final = 2_048
"""Characters of names up to which their choice is remembered."""

_CONVENTIONS: Final = otel_genai.DIALECT
_APART: Final = frozenset(("openinference", "langfuse", "vercel"))
"""Dialects that do not read the semantic conventions' own attributes themselves."""


class Candidate(NamedTuple):
    """A dialect that may know a span, and the attributes by which others may complete it."""

    dialect: Dialect
    completing: tuple[tuple[str, Dialect], ...]


def candidates(span: Span) -> tuple[Candidate, ...]:
    """The dialects that a span may be in, in the order in which they are asked."""
    # A name with a line break in it would only add names that are not there; whoever is asked looks anew.
    names = "\n".join(span.attributes)
    return (_chosen if len(names) <= _LONGEST else _chosen.__wrapped__)(span.scope, names)


@lru_cache(maxsize=1024)
def _chosen(scope: str, names: str) -> tuple[Candidate, ...]:
    keys = frozenset(names.split("\n"))
    return tuple(
        Candidate(dialect, tuple((key, _COMPLETING[dialect.name][key]) for key in sorted(others)))
        for dialect in ORDER
        if _may_know(dialect, scope, keys)
        for others in [keys & _COMPLETING[dialect.name].keys()]
    )


def _may_know(dialect: Dialect, scope: str, keys: frozenset[str]) -> bool:
    if dialect.kind_of is never:
        return False
    anything = not dialect.marks and not dialect.within
    return anything or not dialect.marks.isdisjoint(keys) or scope.startswith(dialect.within)


def _others(dialect: Dialect) -> dict[str, Dialect]:
    """Key -> the dialect that completes this one by it."""
    others = [d for d in ORDER if d is not dialect and (d is not _CONVENTIONS or dialect.name in _APART)]
    return {key: other for other in reversed(others) for key in other.completes}


_COMPLETING: Final = {dialect.name: _others(dialect) for dialect in ORDER}
