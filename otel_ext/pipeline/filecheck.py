"""One session file's bytes against its row.

Law of this file: it is fed bytes, piece by piece, and believes nothing else.
"""

import hashlib
from typing import Final

from otel_ext import otlp
from otel_ext.checksum import crc32
from otel_ext.sessions import FileRow, FileState
from otel_ext.telemetry import Telemetry

_HEADER: Final = b'{"otel_ext":'
WORDS: Final = {
    "spans": "spans stored",
    "derived": "spans derived",
    "logs": "log records stored",
    "points": "data points stored",
}
"""What a file's counts are called."""


class Count:
    """What a file's bytes are, fed piece by piece."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.crc = self.length = self.items = self.number = 0
        self.sha, self.faults = hashlib.sha256(), list[str]()
        self._rest: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Take in the next bytes."""
        self.length += len(data)
        self.crc = crc32(data, self.crc)
        self.sha.update(data)
        *lines, last = data.split(b"\n")
        for line in lines:
            self._line(b"".join((*self._rest, line)))
            self._rest = []
        if last:
            self._rest.append(last)

    def _line(self, line: bytes) -> None:
        self.number += 1
        if self.number == 1 and line.startswith(_HEADER):
            return
        try:
            self.items += otlp.items_in(line, self._telemetry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.faults.append(f"line {self.number} is not OTLP JSON: {error}")


def faults(row: FileRow, count: Count, size: int, packed: str) -> list[str]:
    """What a file's bytes and its row disagree on, in words."""
    found = list(count.faults)
    if count.length < row.length:
        return [*found, f"ends {row.length - count.length} bytes before what was committed ({row.length})"]
    if count.crc != row.crc:
        found.append(f"was changed: its CRC-32 is {count.crc:08x}, committed was {row.crc:08x}")
    elif row.sha256 and count.sha.hexdigest() != row.sha256:
        found.append(f"was changed: its SHA-256 is {count.sha.hexdigest()}, told was {row.sha256}")
    if row.state is not FileState.OPEN and size != row.stored_length:
        found.append(f"has {size} bytes, sealed were {row.stored_length}")
    if packed != row.packed_sha256:
        found.append(f"was changed: its SHA-256 is {packed}, told was {row.packed_sha256}")
    if row.state is FileState.DAMAGED:
        found.append("did not hold the committed bytes when it was sealed")
    if count.items != sum(row.counts.values()):
        committed = ", ".join(f"{n} {WORDS[name]}" for name, n in row.counts.items() if n) or "nothing"
        found.append(f"holds {count.items} items, committed were {committed}")
    return found
