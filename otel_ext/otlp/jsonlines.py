"""Spans as OTLP/JSON lines (OTLP File Exporter specification).

Law of this file: ids are lower-case hex, 64-bit integers decimal strings, enums integers, keys
lowerCamelCase; attribute order is the producer's; a line ends with the only newline in it. Fields at
their default are left out, but a span's ids, name, kind and times are always there. Read back by
`jsonread`, a line gives a protobuf equal to the one it was made of (a NaN's payload bits excepted).
"""

import json
import re
from binascii import hexlify
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.jsonvalues import attribute_list, quote
from otel_ext.otlp.schema import RawEvent, RawLink, RawSpan, Resource, Scope, Status
from otel_ext.otlp.unknown import unknown_fields
from otel_ext.span import Value
from otel_ext.telemetry import Telemetry

ScopeGroup: TypeAlias = tuple[bytes, str, Sequence[bytes]]
"""Encoded InstrumentationScope, its schema URL, and its spans' JSON (`span_json`)."""
ResourceGroup: TypeAlias = tuple[bytes, str, Sequence[ScopeGroup]]
"""Encoded Resource, its schema URL, and its scopes."""

DERIVED: Final = b',"otel_ext":{"derived":1}}\n'
"""What a line of derived spans ends in."""
_END: Final = b"}\n"
_AFTER: Final = re.compile(rb',"otel_ext":\{"after":([0-9]+)\}\}\n\Z')

MEMBERS: Final = {
    Telemetry.TRACES: "resourceSpans",
    Telemetry.LOGS: "resourceLogs",
    Telemetry.METRICS: "resourceMetrics",
}
"""The one member of a line."""

_ENVELOPES: Final = 1024
"""Resources and scopes whose JSON is kept; a process has one resource and some tens of scopes."""


def span_json(
    span: RawSpan,
    raw: bytes,
    extra: Sequence[tuple[str, Value]] = (),
    start: int | None = None,
    end: int | None = None,
) -> bytes:
    """One span as a JSON object, without newline.

    Args:
        span: `parse(raw)`.
        raw: the encoded span.
        extra: attributes to append after the span's own.
        start: ns to write in place of the span's start.
        end: ns to write in place of the span's end.

    Raises:
        InvalidRequest: an attribute, event or link cannot be decoded.
    """
    head = b'{"traceId":"%b","spanId":"%b"' % (hexlify(span.trace_id), hexlify(span.span_id))
    if text := span.trace_state:
        head += b',"traceState":%b' % quote(text)
    if parent := span.parent_span_id:
        head += b',"parentSpanId":"%b"' % hexlify(parent)
    if number := span.flags:
        head += b',"flags":%d' % number
    head += b',"name":%b,"kind":%d,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"' % (
        quote(span.name),
        span.kind,
        span.start_time_unix_nano if start is None else start,
        span.end_time_unix_nano if end is None else end,
    )
    tail = _status(span.status) if span.HasField("status") else b"}"
    if number := span.dropped_links_count:
        tail = b',"droppedLinksCount":%d' % number + tail
    if links := span.links:
        tail = b',"links":[%b]' % b",".join(map(_link, links)) + tail
    if number := span.dropped_events_count:
        tail = b',"droppedEventsCount":%d' % number + tail
    if events := span.events:
        tail = b',"events":[%b]' % b",".join(map(_event, events)) + tail
    if number := span.dropped_attributes_count:
        tail = b',"droppedAttributesCount":%d' % number + tail
    attributes = attribute_list(span.attributes[:], extra, unknown_fields(span, raw))
    if attributes:
        return b'%b,"attributes":[%b]%b' % (head, attributes, tail)
    return head + tail


def line(groups: Sequence[ResourceGroup], *, derived: bool = False) -> bytes:
    """One TracesData object and its newline.

    Args:
        groups: its spans.
        derived: they are our own; the line ends in `DERIVED`, because a span of ours may also be received.

    Raises:
        InvalidRequest: a resource or scope cannot be decoded.
    """
    resources = []
    for resource, url, scopes in groups:
        texts = [
            _scope_head(scope, scope_url) + b",".join(spans) + b"]}" for scope, scope_url, spans in scopes
        ]
        resources.append(_resource_head(resource, url) + b",".join(texts) + b"]}")
    return b'{"resourceSpans":[%b]%b' % (b",".join(resources), DERIVED if derived else _END)


def header_line(unique: str, session_id: str, telemetry: Telemetry = Telemetry.TRACES) -> bytes:
    """The first line of a file: an empty TracesData (or its like) that makes the file's first bytes its own.

    File receivers tell files apart by their first 1,000 bytes, and readers of OTLP/JSON ignore unknown
    keys; so no foreign span appears. The unique id comes first, because session ids may be long.
    """
    data = b'"file":%b,"session":%b' % (quote(unique), quote(session_id))
    return b'{"otel_ext":{%b},"%b":[]}\n' % (data, MEMBERS[telemetry].encode())


def read_header(line: bytes) -> tuple[str, str | None] | None:
    """`(unique id, session id)` of a header line, None when it is none; older ones name no session."""
    try:
        head = json.loads(line)["otel_ext"]
        unique, session_id = head["file"], head.get("session")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(unique, str):
        return None
    return unique, session_id if isinstance(session_id, str) else None


def marked_line(line: bytes, after: int) -> bytes:
    """A line of logs or metrics that says which record of the journal it is from.

    They have no identity of their own; so that each is there once even where everything else is lost, a line
    tells how many items the journal had counted before the record that brought it.
    """
    return line[:-2] + b',"otel_ext":{"after":%d}}\n' % after


def read_mark(line: bytes) -> int | None:
    """What `marked_line` wrote, None when the line has no such mark."""
    found = _AFTER.search(line)
    return int(found[1]) if found else None


def items_in(line: bytes, telemetry: Telemetry) -> int:
    """How many spans, log records or data points a line holds, by its JSON alone.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is no such line.
    """
    groups = json.loads(line)[MEMBERS[telemetry]]
    if telemetry is Telemetry.TRACES:
        return sum(len(scope["spans"]) for group in groups for scope in group["scopeSpans"])
    if telemetry is Telemetry.LOGS:
        return sum(len(scope.get("logRecords", ())) for group in groups for scope in group["scopeLogs"])
    metrics = (m for group in groups for scope in group["scopeMetrics"] for m in scope.get("metrics", ()))
    return sum(
        len(data.get("dataPoints", ())) for m in metrics for data in m.values() if isinstance(data, dict)
    )


def _event(raw: bytes) -> bytes:
    try:
        event = RawEvent.FromString(raw)
    except DecodeError:
        raise InvalidRequest("a span event that cannot be decoded") from None
    head = b'{"timeUnixNano":"%d","name":%b' % (event.time_unix_nano, quote(event.name))
    return head + _counted_attributes(event, raw) + b"}"


def _link(raw: bytes) -> bytes:
    try:
        link = RawLink.FromString(raw)
    except DecodeError:
        raise InvalidRequest("a span link that cannot be decoded") from None
    head = b'{"traceId":"%b","spanId":"%b"' % (hexlify(link.trace_id), hexlify(link.span_id))
    if link.trace_state:
        head += b',"traceState":%b' % quote(link.trace_state)
    if link.flags:
        head += b',"flags":%d' % link.flags
    return head + _counted_attributes(link, raw) + b"}"


def _counted_attributes(message: RawEvent | RawLink | Resource | Scope, raw: bytes) -> bytes:
    """The members "attributes" and "droppedAttributesCount", each with a comma before it, or nothing."""
    text = attribute_list(message.attributes, (), unknown_fields(message, raw))
    text = b',"attributes":[%b]' % text if text else b""
    if message.dropped_attributes_count:
        text += b',"droppedAttributesCount":%d' % message.dropped_attributes_count
    return text


def _status(status: Status) -> bytes:
    """The member "status" and the end of its span."""
    text = b'"message":%b' % quote(status.message) if status.message else b""
    if status.code:
        text += b'%b"code":%d' % (b"," if text else b"", status.code)
    return b',"status":{%b}}' % text


@lru_cache(maxsize=_ENVELOPES)
def _resource_head(raw: bytes, url: str) -> bytes:
    """A ResourceSpans object up to the first of its scopes."""
    try:
        resource = Resource.FromString(raw)
    except DecodeError:
        raise InvalidRequest("a resource that cannot be decoded") from None
    members = _counted_attributes(resource, raw)[1:]
    return b'{"resource":{%b}%b,"scopeSpans":[' % (members, _schema_url(url))


@lru_cache(maxsize=_ENVELOPES)
def _scope_head(raw: bytes, url: str) -> bytes:
    """A ScopeSpans object up to the first of its spans."""
    try:
        scope = Scope.FromString(raw)
    except DecodeError:
        raise InvalidRequest("an instrumentation scope that cannot be decoded") from None
    members = b',"name":%b' % quote(scope.name) if scope.name else b""
    if scope.version:
        members += b',"version":%b' % quote(scope.version)
    members += _counted_attributes(scope, raw)
    return b'{"scope":{%b}%b,"spans":[' % (members[1:], _schema_url(url))


def _schema_url(url: str) -> bytes:
    return b',"schemaUrl":%b' % quote(url) if url else b""
