"""The checksum is the same number from every library that may count it."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from otel_ext import checksum


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(0, 2**32 - 1))
def test_every_library_counts_alike(parts: list[bytes], seed: int) -> None:
    """Alone and going on from another number, of bytes and of views into them, long and short."""
    ours = zlibs = seed
    for part in parts:
        ours, zlibs = checksum.crc32(part * 50, ours), zlib.crc32(part * 50, zlibs)
        assert ours == zlibs
        assert checksum.crc32(memoryview(part)[1:]) == zlib.crc32(part[1:])
    assert checksum.crc32(b"123456789") == 0xCBF43926  # the check value of CRC-32/ISO-HDLC
