"""One span, its fields read once: for its line (OTLP File Exporter specification) and for its digest.

Law of this file: ids are lower-case hex, 64-bit integers decimal strings, enums integers, keys
lowerCamelCase; attribute order is the producer's. Fields at their default are left out, but a span's ids,
name, kind and times are always there.

The digest says when two encodings of a span say the same. It does not change under what a Collector or an SDK
may do to a span without meaning anything (order of attributes, order of the span's fields, explicit defaults,
an empty status), and changes under everything else, unknown fields included. The preimage is the MessagePack
of the list below; it is durable (the dedup window outlives the process), so it never changes within a
`VERSION`. How an attribute is encoded inside counts as content: every encoder writes it alike, and looking
inside would cost more than all the rest.
"""

import hashlib
from binascii import hexlify
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.attributes import PLAIN, Reader, attribute_list, joined
from otel_ext.otlp.jsonvalues import quote
from otel_ext.otlp.schema import PlainSpan, RawEvent, RawLink, RawSpan, Resource, Scope, Status
from otel_ext.otlp.unknown import unknown_fields
from otel_ext.span import STATUS_ERROR, Value

VERSION: Final = 2
_encode = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256


class Rendered(msgspec.Struct, gc=False):
    """A span read for everything that is to be known of it without its attributes' meaning.

    Attributes:
        trace_id, span_id, parent_id: its ids; `parent_id` empty for a root.
        name: its name.
        flags: as the producer wrote them.
        start, end: ns, as the producer wrote them.
        failed: its status says so.
        has_events: it has some.
        pairs: its attributes, encoded.
        notes: those on their keys.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    flags: int
    start: int
    end: int
    failed: bool
    has_events: bool
    pairs: list[bytes]
    _texts: Sequence[bytes]
    notes: tuple[int, ...]
    _head: bytes
    _middle: bytes
    _status: bytes
    _unknown: bytes
    _unnamed: object
    _reader: Reader

    def attributes(self) -> dict[str, Value]:
        """As `otlp.attributes`."""
        return self._reader.attributes(self.pairs)

    def digest(self) -> bytes:
        """The 16 bytes that equal spans share: SHA-256 of the canonical content, truncated."""
        # An empty status says no more than none.
        status = b"" if self._status == _EMPTY_STATUS else self._status
        fields = (VERSION, self._head, self.start, self.end, sorted(self.pairs), self._middle, status)
        return _sha256(_encode((*fields, self._unnamed) if self._unnamed else fields)).digest()[:16]

    def json(
        self, extra: Sequence[tuple[str, Value]] = (), start: int | None = None, end: int | None = None
    ) -> bytes:
        """The span as a JSON object, without newline.

        Args:
            extra: attributes to append after the span's own.
            start: ns to write in place of the span's start.
            end: ns to write in place of the span's end.
        """
        attributes = joined(self._texts, extra, self._unknown)
        return b'%b,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"%b%b%b}' % (
            self._head,
            self.start if start is None else start,
            self.end if end is None else end,
            b',"attributes":[%b]' % attributes if attributes else b"",
            self._middle,
            self._status,
        )


def rendered(raw: bytes, reader: Reader = PLAIN) -> Rendered:
    """Read an encoded span; `reader` reads its attributes.

    Raises:
        InvalidRequest: it is none, or an attribute, event or link cannot be decoded.
    """
    try:
        span = PlainSpan.FromString(raw)
    except DecodeError:
        raise InvalidRequest(f"{len(raw)} bytes that are not a span") from None
    trace_id, span_id, parent_id, name = span.trace_id, span.span_id, span.parent_span_id, span.name
    pairs, flags, failed, has_events = span.attributes[:], span.flags, False, False
    state = middle = status = unknown = b""
    unnamed = None
    if span.HasField("status"):
        status = _status(span.status)
        failed = span.status.code == STATUS_ERROR
    if len(UnknownFieldSet(span)) or (status and len(UnknownFieldSet(span.status))):
        whole = RawSpan.FromString(raw)
        has_events = bool(whole.events)
        state, middle = _state(whole), _middle(whole)
        if unknown := unknown_fields(whole, raw):
            unnamed = _plain(UnknownFieldSet(whole)), whole.status.SerializeToString(deterministic=True)
    head = b'{"traceId":"%b","spanId":"%b"%b%b%b,"name":%b,"kind":%d' % (
        hexlify(trace_id),
        hexlify(span_id),
        state,
        b',"parentSpanId":"%b"' % hexlify(parent_id) if parent_id else b"",
        b',"flags":%d' % flags if flags else b"",
        quote(name),
        span.kind,
    )
    texts, notes = reader.readings(pairs, len(raw))
    return Rendered(
        trace_id,
        span_id,
        parent_id,
        name,
        flags,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        failed,
        has_events,
        pairs,
        texts,
        notes,
        head,
        middle,
        status,
        unknown,
        unnamed,
        reader,
    )


def span_json(
    raw: bytes, extra: Sequence[tuple[str, Value]] = (), start: int | None = None, end: int | None = None
) -> bytes:
    """`rendered(raw).json(extra, start, end)`."""
    return rendered(raw).json(extra, start, end)


def content_digest(raw: bytes) -> bytes:
    """`rendered(raw).digest()`."""
    return rendered(raw).digest()


def counted_attributes(message: RawEvent | RawLink | Resource | Scope, raw: bytes) -> bytes:
    """The members "attributes" and "droppedAttributesCount", each with a comma before it, or nothing."""
    text = attribute_list(message.attributes, unknown_fields(message, raw))
    text = b',"attributes":[%b]' % text if text else b""
    if message.dropped_attributes_count:
        text += b',"droppedAttributesCount":%d' % message.dropped_attributes_count
    return text


def _state(span: RawSpan) -> bytes:
    """The member "traceState", with a comma before it, or nothing."""
    return b',"traceState":%b' % quote(span.trace_state) if span.trace_state else b""


def _middle(span: RawSpan) -> bytes:
    """The members between attributes and status, each with a comma before it."""
    text = b""
    if number := span.dropped_attributes_count:
        text += b',"droppedAttributesCount":%d' % number
    if events := span.events:
        text += b',"events":[%b]' % b",".join(map(_event, events))
    if number := span.dropped_events_count:
        text += b',"droppedEventsCount":%d' % number
    if links := span.links:
        text += b',"links":[%b]' % b",".join(map(_link, links))
    if number := span.dropped_links_count:
        text += b',"droppedLinksCount":%d' % number
    return text


def _event(raw: bytes) -> bytes:
    try:
        event = RawEvent.FromString(raw)
    except DecodeError:
        raise InvalidRequest("a span event that cannot be decoded") from None
    head = b'{"timeUnixNano":"%d","name":%b' % (event.time_unix_nano, quote(event.name))
    return head + counted_attributes(event, raw) + b"}"


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
    return head + counted_attributes(link, raw) + b"}"


def _status(status: Status) -> bytes:
    """The member "status", with a comma before it."""
    text = b'"message":%b' % quote(status.message) if status.message else b""
    if status.code:
        text += b'%b"code":%d' % (b"," if text else b"", status.code)
    return b',"status":{%b}' % text


_EMPTY_STATUS: Final = b',"status":{}'


def _plain(unknown: Any) -> list[tuple[int, int, object]]:
    """Unknown fields by number (equal numbers keep their order), groups included."""
    fields = [
        (field.field_number, field.wire_type, _plain(field.data) if field.wire_type == 3 else field.data)
        for field in unknown
    ]
    return sorted(fields, key=lambda field: field[0])
