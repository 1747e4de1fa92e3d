r"""One record in a segment, and the two words that point at records.

Law of this file: a frame is accepted only where both checksums hold *and* it was made for this very
segment and offset. So neither a block that the disk kept of a removed segment, nor a payload that
happens to hold a copy of a journal, is ever read as a record.

Version 1, little endian, 56 bytes before the payload (the version stands in the segment's header):

    offset size field
    0      4    magic          \xf5 O X \xfa : where a reader finds its feet again after damage
    4      4    header crc     CRC-32 of segment sequence (u64), frame offset (u64), bytes 8..56
    8      4    payload crc    CRC-32 of the payload
    12     4    payload length bytes
    16     1    kind           0 is the journal's own CLOSE mark; the rest belong to the owner
    17     3    reserved       zero
    20     4    items          how many items the owner says the record carries
    24     8    items before   items of all earlier records of the whole journal: makes a loss exact
    32     8    wall time      signed ns since 1970, as the clock said
    40     8    engine time    signed ns, never less than that of the record before
    48     8    durable end    a promise: this segment was known to be on the disk up to this offset
                               when the frame was written; 0 when nothing of it was
    56     n    payload
"""

import struct
from typing import Final, NamedTuple

from otel_ext.checksum import crc32

MAGIC: Final = b"\xf5OX\xfa"
"""What every frame begins with."""

CLOSE: Final = 0
"""The kind that ends a cleanly closed journal; never handed to a reader."""

_BODY: Final = struct.Struct("<IIB3xIQqqQ")
_WHOLE: Final = struct.Struct("<4sIIIB3xIQqqQ")
_PLACE: Final = struct.Struct("<QQ")
_CRC: Final = struct.Struct("<I")

FRAME_HEADER: Final = _WHOLE.size
"""Bytes before the payload."""

MAX_PAYLOAD: Final = (1 << 31) - 1
"""Bytes that one record may carry."""


class Position(NamedTuple):
    """A place between two records: segment number and byte offset. Ordered as the journal is."""

    segment: int
    offset: int


class Record(NamedTuple):
    """One record as a reader gets it.

    Attributes:
        start: where the record begins.
        end: where it ends; what to pass as `after` to read on.
        kind: 1..255, the owner's.
        wall: ns, the clock when it was appended.
        engine: ns, never decreasing.
        items: what the owner said it carries.
        payload: the bytes.
        lost_items: items lost to damage between the record before and this one.
        before: items of all records before it, lost ones included.
    """

    start: Position
    end: Position
    kind: int
    wall: int
    engine: int
    items: int
    payload: bytes
    lost_items: int = 0
    before: int = 0


class Frame(NamedTuple):
    """A frame that was read and found whole. `size` counts header and payload."""

    kind: int
    items: int
    items_before: int
    wall: int
    engine: int
    durable_end: int
    size: int
    payload: memoryview


class Torn(NamedTuple):
    """The bytes end before the frame does; `needed` says how many it takes from its start."""

    needed: int


def encode(
    sequence: int,
    offset: int,
    *,
    kind: int,
    payload_crc: int,
    payload_length: int,
    items: int,
    items_before: int,
    wall: int,
    engine: int,
    durable_end: int,
) -> bytes:
    """The 56 bytes that go before the payload of a frame at `offset` of segment `sequence`."""
    body = _BODY.pack(payload_crc, payload_length, kind, items, items_before, wall, engine, durable_end)
    return MAGIC + _CRC.pack(crc32(body, crc32(_PLACE.pack(sequence, offset)))) + body


def decode(buffer: bytes, at: int, sequence: int, offset: int) -> Frame | Torn | None:
    """Read the frame at `buffer[at]`, which lies at `offset` of segment `sequence`.

    Returns:
        The frame; `Torn` when the buffer ends too early; None when this is no frame.
    """
    if len(buffer) - at < FRAME_HEADER:
        return Torn(FRAME_HEADER)
    magic, header_crc, payload_crc, length, kind, items, before, wall, engine, durable = _WHOLE.unpack_from(
        buffer, at
    )
    if magic != MAGIC:
        return None
    body = memoryview(buffer)[at + 8 : at + FRAME_HEADER]
    if crc32(body, crc32(_PLACE.pack(sequence, offset))) != header_crc:
        return None
    size = FRAME_HEADER + length
    if len(buffer) - at < size:
        return Torn(size)
    payload = memoryview(buffer)[at + FRAME_HEADER : at + size]
    if crc32(payload) != payload_crc:
        return None
    return Frame(kind, items, before, wall, engine, durable, size, payload)
