"""One span's bytes, read as far as somebody asks.

Law of this file: `parse` costs one pass in C; attributes, events and links stay bytes until asked for.
"""

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.schema import RawEvent, RawSpan, Resource, Scope
from otel_ext.otlp.values import attribute_dict
from otel_ext.span import Event, Span, Value


def parse(raw: bytes) -> RawSpan:
    """The span with attributes, events and links still encoded.

    Raises:
        InvalidRequest: the bytes are not a Span.
    """
    try:
        return RawSpan.FromString(raw)
    except DecodeError:
        raise InvalidRequest(f"{len(raw)} bytes that are not a span") from None


def resource_attributes(resource: bytes) -> dict[str, Value]:
    """The attributes of an encoded Resource.

    Raises:
        InvalidRequest: the bytes are not a Resource.
    """
    try:
        return attribute_dict(Resource.FromString(resource).attributes)
    except DecodeError:
        raise InvalidRequest(f"{len(resource)} bytes that are not a resource") from None


def scope_name(scope: bytes) -> str:
    """The name of an encoded InstrumentationScope, "" when it has none.

    Raises:
        InvalidRequest: the bytes are not an InstrumentationScope.
    """
    try:
        return Scope.FromString(scope).name
    except DecodeError:
        raise InvalidRequest(f"{len(scope)} bytes that are not a scope") from None


def events(span: RawSpan) -> list[Event]:
    """The span's events in order, times in ns as the producer wrote them.

    Raises:
        InvalidRequest: an element is not an Event.
    """
    try:
        parsed = [RawEvent.FromString(event) for event in span.events]
    except DecodeError:
        raise InvalidRequest("a span event that cannot be decoded") from None
    return [Event(event.name, event.time_unix_nano, attribute_dict(event.attributes)) for event in parsed]


def to_span(
    span: RawSpan,
    attributes: Mapping[str, Value],
    resource: Mapping[str, Value],
    scope: str,
    *,
    start: int,
    end: int,
) -> Span:
    """The span in the words of the rooms above the wire.

    Args:
        span: the parsed span.
        attributes: its `attributes`.
        resource: `resource_attributes` of its resource.
        scope: `scope_name` of its scope.
        start: its start, ns, after any repair.
        end: its end, ns, after any repair.

    Raises:
        InvalidRequest: an event cannot be decoded.
    """
    status = span.status
    return Span(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.kind,
        start,
        end,
        attributes,
        status.code,
        status.message,
        events(span) if span.events else (),
        resource,
        scope,
    )
