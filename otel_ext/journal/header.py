r"""The first bytes of a segment: what it continues, and where its predecessor validly ends.

Law of this file: the newest readable header speaks the truth about what came before it. Bytes of the
stated predecessor past the stated end are void, and so is every segment between the two. The header
stands twice, so that one damaged byte never costs that knowledge.

Version 1, little endian; two equal copies of 64 bytes, at 0 and at 64; frames begin at 128:

    offset size field
    0      4    magic             \xf5 O X S
    4      4    crc               CRC-32 of bytes 8..size
    8      2    version           1
    10     2    size              of one copy: 64
    12     4    reserved          zero
    16     8    sequence          this segment's number, as in its file name
    24     8    previous          number of the segment it continues; 0 when there was none
    32     8    previous end      where that one validly ends
    40     8    previous durable  up to where that one was known to be on the disk at this moment
    48     8    items before      items of all records of the journal before this segment
    56     8    engine time       ns; that of the last record before this segment

Every later version keeps the meaning of bytes 0..12 and a size of at most 4,096, so that an older program
can tell a newer format (refused, `UnsupportedVersion`) from damage (survived).
"""

import re
import struct
from typing import Final, NamedTuple

from otel_ext.checksum import crc32
from otel_ext.errors import UnsupportedVersion

VERSION: Final = 1
"""The version that this program writes, and the newest that it reads."""

_MAGIC: Final = b"\xf5OXS"
_FIXED: Final = struct.Struct("<4sIHH")
_COPY: Final = struct.Struct("<4sIHHIQQQQQq")
_NAME: Final = re.compile(r"(\d{20})\.journal")

HEADER_READ: Final = 4096
"""How many first bytes to offer to `decode_header`: the longest header of any version."""

SEGMENT_HEADER: Final = 2 * _COPY.size
"""Where the first frame of every segment begins."""


class Header(NamedTuple):
    """What a segment says of itself and of its predecessor; drawn above."""

    sequence: int
    previous: int
    previous_end: int
    previous_durable: int
    items_before: int
    engine: int


def segment_name(sequence: int) -> str:
    """The file name of a segment; sorts as the numbers do."""
    return f"{sequence:020d}.journal"


def sequence_of(name: str) -> int | None:
    """The number in a segment's file name, None for any other name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def encode_header(header: Header) -> bytes:
    """Both copies."""
    rest = _COPY.pack(b"", 0, VERSION, _COPY.size, 0, *header)[8:]
    return (_MAGIC + struct.pack("<I", crc32(rest)) + rest) * 2


def decode_header(data: bytes, sequence: int, path: str) -> Header | None:
    """The header in a segment's first bytes; None when neither copy is whole or it is another segment's.

    Raises:
        UnsupportedVersion: a newer program wrote it.
    """
    for at in (0, _COPY.size):
        header = _decode_copy(data, at, path)
        if header is not None and header.sequence == sequence:
            return header
    return None


def _decode_copy(data: bytes, at: int, path: str) -> Header | None:
    if len(data) - at < _FIXED.size:
        return None
    magic, crc, version, size = _FIXED.unpack_from(data, at)
    if (
        magic != _MAGIC
        or size < _FIXED.size
        or len(data) - at < size
        or crc32(data[at + 8 : at + size]) != crc
    ):
        return None
    if version > VERSION:
        raise UnsupportedVersion(
            f"{path} has journal format version {version}, this program reads up to version {VERSION}; "
            "run the newer otel-ext that wrote it, or choose another --data folder"
        )
    return Header(*_COPY.unpack_from(data, at)[5:]) if size == _COPY.size else None
