"""The bytes on disk: what version 1 looks like, and what is refused."""

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.errors import UnsupportedVersion
from otel_ext.journal import Journal, scan
from otel_ext.journal.frame import FRAME_HEADER, Frame, Torn, decode, encode
from otel_ext.journal.header import SEGMENT_HEADER, Header, decode_header, encode_header
from otel_ext.testing import CrashableFiles, ManualClock, content, overwrite, read_all

U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
U32 = st.integers(0, 2**32 - 1)


def frame(payload: bytes, sequence: int = 3, offset: int = 500) -> bytes:
    """A frame with fixed fields."""
    head = encode(
        sequence,
        offset,
        kind=7,
        payload_crc=crc32(payload),
        payload_length=len(payload),
        items=2,
        items_before=9,
        wall=1_700_000_000_000_000_000,
        engine=1_700_000_000_000_000_001,
        durable_end=400,
    )
    return head + payload


def test_version_1_bytes_never_change() -> None:
    """A frame and a header of version 1 are these very bytes, so that any old journal stays readable."""
    assert frame(b"abc").hex() == (
        "f54f58fa"
        "FRAMECRC"
        "c2412435"
        "03000000"
        "07"
        "000000"
        "02000000"
        "0900000000000000"
        "00002a36fe9c9717"
        "01002a36fe9c9717"
        "9001000000000000"
        "616263"
    ).replace("FRAMECRC", frame(b"abc")[4:8].hex())
    place = struct.pack("<QQ", 3, 500)
    assert frame(b"abc")[4:8] == struct.pack("<I", crc32(place + frame(b"abc")[8:56]))
    header = encode_header(Header(5, 4, 300, 200, 17, -1))
    assert header[:64] == header[64:]
    assert header[8:64].hex() == (
        "0100"
        "4000"
        "00000000"
        "0500000000000000"
        "0400000000000000"
        "2c01000000000000"
        "c800000000000000"
        "1100000000000000"
        "ffffffffffffffff"
    )
    assert header[:8] == b"\xf5OXS" + struct.pack("<I", crc32(header[8:64]))


@given(st.binary(max_size=200), st.tuples(st.integers(1, 255), U32, U64, I64, I64, U64), U64, U64)
def test_frame_round_trip(
    payload: bytes, fields: tuple[int, int, int, int, int, int], sequence: int, offset: int
) -> None:
    """Any frame reads back as it was written, and only at the place it was written for."""
    kind, items, before, wall, engine, durable = fields
    head = encode(
        sequence,
        offset,
        kind=kind,
        payload_crc=crc32(payload),
        payload_length=len(payload),
        items=items,
        items_before=before,
        wall=wall,
        engine=engine,
        durable_end=durable,
    )
    data = b"junk" + head + payload + b"more"
    size = FRAME_HEADER + len(payload)
    found = decode(data, 4, sequence, offset)
    assert isinstance(found, Frame)
    assert found[:7] == (kind, items, before, wall, engine, durable, size)
    assert bytes(found.payload) == payload
    assert decode(data, 4, sequence, (offset + 1) % 2**64) is None
    assert decode(data, 4, (sequence + 1) % 2**64, offset) is None
    assert decode(data[: 4 + size - 1], 4, sequence, offset) == Torn(size if payload else FRAME_HEADER)


@given(st.tuples(U64, U64, U64, U64, U64, I64))
def test_header_round_trip(fields: tuple[int, int, int, int, int, int]) -> None:
    """Any header reads back, from either copy, and only for its own segment."""
    header = Header(*fields)
    data = encode_header(header)
    assert decode_header(data, header.sequence, "x") == header
    assert decode_header(b"\0" * 64 + data[64:], header.sequence, "x") == header
    assert decode_header(data, header.sequence ^ 1, "x") is None


def test_every_flipped_byte_of_a_frame_is_noticed() -> None:
    """No single damaged byte of a frame goes unnoticed."""
    good = frame(b"payload")
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x40
        assert not isinstance(decode(bytes(bad), 0, 3, 500), Frame), at


def newer(version: int, size: int) -> bytes:
    """A header of another version and size with a good checksum."""
    rest = struct.pack("<HH", version, size) + b"\7" * (size - 12)
    return b"\xf5OXS" + struct.pack("<I", crc32(rest)) + rest


@pytest.mark.parametrize("size", [16, 64, 2000])
def test_newer_version_is_refused_untouched(size: int) -> None:
    """A segment of a newer version is refused with both versions named, and nothing is changed."""
    disk = CrashableFiles()
    journal = Journal.open(disk, "/j", clock=ManualClock())
    journal.append(1, b"old")
    journal.close()
    overwrite(disk, f"/j/{2:020d}.journal", newer(2, size))
    before = {name: content(disk, f"/j/{name}") for name in disk.list("/j")}
    for look in (lambda: Journal.open(disk, "/j"), lambda: scan(disk, "/j")):
        with pytest.raises(UnsupportedVersion, match=r"version 2.*version 1.*newer otel-ext"):
            look()
    assert {name: content(disk, f"/j/{name}") for name in disk.list("/j")} == before


def test_damaged_version_field_is_damage_not_a_newer_version() -> None:
    """A flipped bit in the version field is survived, since the checksum shows that it is damage."""
    disk = CrashableFiles()
    journal = Journal.open(disk, "/j", clock=ManualClock())
    journal.append(1, b"old")
    journal.close()
    path = f"/j/{1:020d}.journal"
    data = bytearray(content(disk, path))
    data[8] = data[72] = 9
    overwrite(disk, path, bytes(data))
    assert [r.payload for r in read_all(Journal.open(disk, "/j"))] == [b"old"]


def test_embedded_journal_bytes_are_never_taken_for_records() -> None:
    """After damage, a payload that holds a copy of a journal yields no record."""
    disk = CrashableFiles()
    journal = Journal.open(disk, "/j", clock=ManualClock())
    journal.append(1, b"first", items=1)
    inner = content(disk, f"/j/{1:020d}.journal")
    start = journal.durable_end.offset
    journal.append(1, inner * 3, items=5)
    journal.append(1, b"last", items=1)
    journal.close()
    path = f"/j/{1:020d}.journal"
    data = bytearray(content(disk, path))
    data[start + 4] ^= 1
    overwrite(disk, path, bytes(data))
    records = read_all(Journal.open(disk, "/j"))
    assert [(r.payload, r.lost_items) for r in records] == [(b"first", 0), (b"last", 5)]


def test_segment_header_size() -> None:
    """Frames begin at 128 in version 1."""
    assert SEGMENT_HEADER == 128
    assert FRAME_HEADER == 56
