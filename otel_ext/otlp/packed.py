"""A span as this process notes it down about itself: packed when it happens, OTLP when it is read.

Law of this file: nothing is lost between the two: `request(pack(...))` is the request that the span's values
come to when they are encoded at once. What a program waits for is one call in C; the varints and tags of
OTLP cost thirty times as much and are made by whoever reads, or never for a span that only began.

A packed span is a MessagePack array of nine, so its first byte is `PACKED`; no OTLP request begins with it
(0x99 would be a field of wire type 1).
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.wire import attributes, field, utf8, varint

PACKED: Final = b"\x99"
"""The first byte of a packed span."""

VERSION: Final = 1

_PLAIN: Final = frozenset((str, bool, int, float, bytes, type(None)))
"""Types of values that come back as they went, each by itself or in a flat list."""
_MEMO: Final = 64
"""Groups remembered at most."""


class PackedSpan(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One span, as far as it is known.

    Attributes:
        trace_id, span_id: 16 and 8 bytes.
        links_up: trace state and parent id as fields of the Span message.
        name: not yet encoded.
        kind_and_times: as fields.
        attributes: not yet encoded.
        rest: every later field of the message.
        group: what `group` gave for its resource and scope.
    """

    version: int
    trace_id: bytes
    span_id: bytes
    links_up: bytes
    name: str
    kind_and_times: bytes
    attributes: dict[Any, Any]
    rest: bytes
    group: msgspec.Raw


Shared = tuple[bytes, bytes, bytes, bytes]
"""Resource, its schema URL, scope and its schema URL, encoded."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedSpan).decode
_decode_group = msgspec.msgpack.Decoder(Shared).decode
_groups: Final[dict[bytes, Shared]] = {}


def group(shared: Shared) -> msgspec.Raw:
    """What spans of one resource and scope have in common, for `PackedSpan.group`."""
    return msgspec.Raw(_encode(shared))


def pack(span: PackedSpan) -> bytes | None:
    """A span in as few steps as there can be; None where it must be encoded at once (`encode`).

    That is so where a value would not come back as it went: a stranger's type, an integer beyond 64 bits,
    a lone surrogate, a list in a list.
    """
    if span.name.__class__ is not str or not _plain(span.attributes.values()):
        return None
    try:
        return _encode(span)
    except (TypeError, OverflowError, UnicodeEncodeError):
        return None


def _plain(values: Iterable[Any]) -> bool:
    if _PLAIN.issuperset(map(type, values)):
        return True
    for value in values:
        kind = type(value)
        if kind not in _PLAIN and not (kind in {tuple, list} and _PLAIN.issuperset(map(type, value))):
            return False
    return True


def unpack(payload: bytes) -> PackedSpan:
    """A packed span.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        span = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest(f"{len(payload)} bytes that are not a packed span") from None
    if span.version != VERSION:
        raise InvalidRequest(f"a packed span of version {span.version}, this program reads {VERSION}")
    return span


def shared(span: PackedSpan) -> Shared:
    """Resource and scope of a span."""
    key = bytes(span.group)
    known = _groups.get(key)
    if known is None:
        if len(_groups) >= _MEMO:
            _groups.clear()
        known = _groups[key] = _decode_group(key)
    return known


def encode(span: PackedSpan) -> bytes:
    """The Span message."""
    name = utf8(span.name)
    return b"".join(
        (
            *(b"\x0a\x10", span.trace_id, b"\x12\x08", span.span_id, span.links_up),
            *(b"\x2a", varint(len(name)), name, span.kind_and_times),
            *(attributes(span.attributes, b"\x4a"), span.rest),
        )
    )


def request(span: PackedSpan) -> bytes:
    """The request of one span."""
    resource, url, scope, scope_url = shared(span)
    return resource_spans(resource, url, [(scope, scope_url, [encode(span)])])


def resource_spans(resource: bytes, url: bytes, scopes: Iterable[tuple[bytes, bytes, list[bytes]]]) -> bytes:
    """One ResourceSpans as field 1 of a request; requests that follow one another are one request."""
    parts = [field(b"\x0a", resource)]
    for scope, scope_url, spans in scopes:
        inner = [field(b"\x0a", scope)]
        for span in spans:
            inner += (b"\x12", varint(len(span)), span)
        if scope_url:
            inner.append(field(b"\x1a", scope_url))
        parts += (b"\x12", varint(sum(map(len, inner))), *inner)
    if url:
        parts.append(field(b"\x1a", url))
    return b"".join((b"\x0a", varint(sum(map(len, parts))), *parts))
