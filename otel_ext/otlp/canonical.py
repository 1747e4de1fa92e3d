"""When two encodings of a span say the same.

Law of this file: the digest does not change under what a Collector or an SDK may do to a span without
meaning anything (order of attributes, order of the span's fields, explicit defaults, an empty status, an
attribute without value against one with an empty value), and changes under everything else, unknown
fields included. The preimage is the MessagePack of a list of fields in the order written below; it is
durable (the dedup window outlives the process), so it never changes within a `VERSION`.
"""

import hashlib
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_ext.otlp.schema import RawEvent, RawLink, RawSpan

VERSION: Final = 1
_EMPTY_VALUE: Final = b"\x12\x00"
"""A KeyValue's field 2 with nothing in it, which gogo-protobuf writes for an absent value."""

_encode = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256


def content_digest(span: RawSpan, raw: bytes) -> bytes:
    """The 16 bytes that equal spans share: SHA-256 of the canonical content, truncated.

    Args:
        span: `parse(raw)`.
        raw: the encoded span.
    """
    attributes = sorted(span.attributes)
    if _EMPTY_VALUE in raw:
        attributes = sorted(map(_without_empty_value, attributes))
    status = span.status
    fields: list[object] = [
        VERSION,
        span.trace_id,
        span.span_id,
        span.trace_state,
        span.parent_span_id,
        span.flags,
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        attributes,
        status.code,
        status.message,
        span.dropped_attributes_count,
        [_settled(RawEvent, event) for event in events] if (events := span.events) else None,
        span.dropped_events_count,
        [_settled(RawLink, link) for link in links] if (links := span.links) else None,
        span.dropped_links_count,
    ]
    if len(unknown := UnknownFieldSet(span)) or len(UnknownFieldSet(status)):
        fields += [_plain(unknown), _plain(UnknownFieldSet(status))]
    return _sha256(_encode(fields)).digest()[:16]


def _without_empty_value(pair: bytes) -> bytes:
    """`pair` less an empty value at its end; any other pair unchanged."""
    # Key lengths of one byte only: a longer key with an empty value merely keeps its spelling.
    if pair.endswith(_EMPTY_VALUE) and len(pair) == pair[1] + 4 and pair[1] < 0x80 and pair[0] == 0x0A:
        return pair[:-2]
    return pair


def _settled(schema: type[RawEvent] | type[RawLink], data: bytes) -> bytes:
    """The event or link with its fields in order and without explicit defaults."""
    try:
        return schema.FromString(data).SerializeToString(deterministic=True)
    except DecodeError:
        return data


def _plain(unknown: Any) -> list[tuple[int, int, object]]:
    """Unknown fields by number (equal numbers keep their order), groups included."""
    fields = [
        (field.field_number, field.wire_type, _plain(field.data) if field.wire_type == 3 else field.data)
        for field in unknown
    ]
    return sorted(fields, key=lambda field: field[0])
