"""One span's bytes, read as far as somebody asks.

Law of this file: `parse` costs one pass in C; attributes, events and links stay bytes until asked for.
"""

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.schema import RawEvent, RawSpan, Resource, Scope
from otel_ext.otlp.values import Attributes, attribute_dict
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


def attributes(raw: bytes) -> Attributes:
    """The attributes of an encoded span as a lazy read-only mapping."""
    return Attributes(raw)


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


def to_span(span: RawSpan, raw: bytes, resource: Mapping[str, Value], scope: str) -> Span:
    """The span in the words of the rooms above the wire; times as the producer wrote them.

    Args:
        span: `parse(raw)`.
        raw: the encoded span; its attributes are read from it when asked for.
        resource: `resource_attributes` of its resource.
        scope: `scope_name` of its scope.

    Raises:
        InvalidRequest: an event cannot be decoded.
    """
    status = span.status
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_span_id,
        name=span.name,
        kind=span.kind,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=Attributes(raw),
        status_code=status.code,
        status_message=status.message,
        events=events(span) if span.events else (),
        resource=resource,
        scope=scope,
    )
