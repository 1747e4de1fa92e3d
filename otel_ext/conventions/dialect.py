"""What a dialect is: how it is known, what it reads, and where that is written down.

Law of this file: a dialect is data and pure functions. What `docs/dialects.md` says of it is its own words
here and, of what it understands, what its fixtures under test show.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from otel_ext.span import Log, Span
from otel_ext.step import Kind, Observation


class Told(msgspec.Struct, kw_only=True):
    """What one log record, or one event of a span, tells.

    Attributes:
        seen: the call that it tells of; kind OTHER with a `user_turn` is a user's message.
        duration: ns that the call took before the record's time; 0 when unknown.
        identity: what tells this record from the others of its session (call id, sequence), "" for nothing.
        agent: whose record it is within the session, "" for the session's one agent.
    """

    seen: Observation
    duration: int = 0
    identity: str = ""
    agent: str = ""


def never(span: Span) -> None:
    """A dialect without spans of its own."""


def _nothing(span: Span, kind: Kind) -> Observation:  # noqa: ARG001 - as every dialect's
    """Nothing but the kind."""
    return Observation(kind=kind)


class Dialect(NamedTuple):
    """One dialect.

    Attributes:
        name: as in `Observation.dialect`.
        title: its name for people.
        source: where its facts were read.
        known_by: the discriminator, in words.
        kind_of: what a span is, or None when it is not in this dialect.
        read: the values of a span that is in this dialect.
        hints: one of these occurs in the name or in an attribute's key of each span that `kind_of` knows, or
        scopes: one of these is its scope's name.
        completes: attributes by which a span may be completed where another dialect decided.
        records: what a log record tells, or None.
        record_hints: one of these occurs in the wire form of each record that `records` knows.
        span_records: one of these occurs in the wire form of a span whose events `records` knows.
        marks: `kind_of` knows no span that has none of these attributes, or
        within: whose scope's name does not begin with one of these. With neither it is asked of every span.
    """

    name: str
    title: str
    source: str
    known_by: str
    kind_of: Callable[[Span], Kind | None] = never
    read: Callable[[Span, Kind], Observation] = _nothing
    hints: tuple[bytes, ...] = ()
    scopes: frozenset[str] = frozenset()
    completes: frozenset[str] = frozenset()
    records: Callable[[Log], Told | None] | None = None
    record_hints: tuple[bytes, ...] = ()
    span_records: tuple[bytes, ...] = ()
    marks: frozenset[str] = frozenset()
    within: tuple[str, ...] = ()
