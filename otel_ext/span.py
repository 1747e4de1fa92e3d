"""A span as the rooms above the wire see it: names and typed values, no protobuf.

Law of this file: a `Span` is built only for spans that a convention may understand (most spans of a
busy service never become one), and nothing in it refers to the wire message it came from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | bytes | Sequence[Value] | Mapping[str, Value] | None"
"""An OTLP AnyValue in Python's own types; `None` is an AnyValue with nothing set."""

STATUS_UNSET, STATUS_OK, STATUS_ERROR = 0, 1, 2
"""Span status codes (opentelemetry-proto `Status.StatusCode`)."""


@dataclass(slots=True)
class Event:
    """A span event: its name, its instant in ns, its attributes."""

    name: str
    time: int
    attributes: Mapping[str, Value]


@dataclass(slots=True)
class Span:
    """One span, times already repaired (see `timestamps`).

    Attributes:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        parent_id: 8 bytes, or empty for a root.
        kind: SpanKind number (0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer).
        start: ns since the epoch; 0 when unknown.
        end: ns since the epoch; 0 when unknown.
        resource: the resource's attributes.
        scope: the instrumentation scope's name.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    kind: int
    start: int
    end: int
    attributes: Mapping[str, Value]
    status_code: int = STATUS_UNSET
    status_message: str = ""
    events: Sequence[Event] = ()
    resource: Mapping[str, Value] = field(default_factory=dict)
    scope: str = ""


@dataclass(slots=True)
class Log:
    """A log record, or a span's event read like one.

    Attributes:
        name: the event's name; "" when it has none.
        time: ns since the epoch; 0 when unknown.
        trace_id, span_id: the span in which it was written, empty when it names none.
        body: what it says.
        resource: the resource's attributes.
        scope: the instrumentation scope's name.
    """

    name: str
    time: int
    attributes: Mapping[str, Value]
    trace_id: bytes = b""
    span_id: bytes = b""
    body: Value = None
    resource: Mapping[str, Value] = field(default_factory=dict)
    scope: str = ""
