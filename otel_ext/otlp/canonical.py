"""When two encodings of a span say the same.

Law of this file: the digest does not change under what a Collector or an SDK may do to a span without
meaning anything (order of attributes, order of the span's fields, explicit defaults, an empty status),
and changes under everything else, unknown fields included. The preimage is the MessagePack of a list of
fields in the order written below; it is durable (the dedup window outlives the process), so it never
changes within a `VERSION`. How an attribute is encoded inside counts as content: every encoder writes it
alike, and looking inside would cost more than all the rest.
"""

import hashlib
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from otel_ext.otlp.schema import RawEvent, RawLink, RawSpan

VERSION: Final = 1
_encode = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256


def content_digest(span: RawSpan, raw: bytes) -> bytes:  # noqa: ARG001
    """The 16 bytes that equal spans share: SHA-256 of the canonical content, truncated.

    Args:
        span: `parse(raw)`.
        raw: the encoded span; all that counts of it is in `span`, which may change with the version.
    """
    # A slice of a protobuf list is a list made in C, in half the time of `sorted`.
    attributes = span.attributes[:]
    attributes.sort()
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
        # Two fields, encoded in order and without defaults: empty for an empty status as for none.
        span.status.SerializeToString(deterministic=True),
        span.dropped_attributes_count,
        [_settled(RawEvent, event) for event in events] if (events := span.events) else None,
        span.dropped_events_count,
        [_settled(RawLink, link) for link in links] if (links := span.links) else None,
        span.dropped_links_count,
    ]
    if len(unknown := UnknownFieldSet(span)):
        fields.append(_plain(unknown))
    return _sha256(_encode(fields)).digest()[:16]


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
