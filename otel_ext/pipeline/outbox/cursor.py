"""A destination's place in the journal and what became of everything before it, in a small file.

Law of this file: a record is taken whole or not at all (CRC-32), the last whole one counts. Appending one is
a single write and survives the death of the process; `sync` makes it survive a power cut, and only what is
synced lets the journal go. A failed write or sync is mended by a new file, never by trying again.

    header   16 bytes  "otel_ext cursor" and the version, 1
    record   72 bytes  u64 little endian: segment, offset, then `Tally`'s counts in their order
              4 bytes  CRC-32 of these
"""

import contextlib
import logging
import struct
import threading
import zlib
from typing import Final

import msgspec

from otel_ext.files import File, Files
from otel_ext.journal import Position

log = logging.getLogger(__name__)

SUFFIX: Final = ".cursor"
_HEADER: Final = b"otel_ext cursor\x01"
_FIELDS: Final = struct.Struct("<9Q")
_CRC: Final = struct.Struct("<I")
_SIZE: Final = _FIELDS.size + _CRC.size
_LONGEST: Final = 1 << 16
"""Bytes at which the file is made anew with its last record alone."""


class Tally(msgspec.Struct, kw_only=True, frozen=True):
    """What became of all items (spans, log records, data points) before a destination's cursor.

    Attributes:
        received: taken from the outbox, counted on their own: the sum of all others.
        sent: delivered.
        rejected: refused by the far side in a partial success.
        quarantined: refused for good, kept in a file.
        overflow: dropped because the destination was slower than its budget allows.
        expired: dropped because they could not be delivered within `max_elapsed`.
        refused: refused for good while the quarantine was full.
    """

    received: int = 0
    sent: int = 0
    rejected: int = 0
    quarantined: int = 0
    overflow: int = 0
    expired: int = 0
    refused: int = 0

    @property
    def balance(self) -> int:
        """Received less all outcomes; anything but 0 is a defect of this program."""
        counts: tuple[int, ...] = msgspec.structs.astuple(self)
        return 2 * self.received - sum(counts)


class Cursor:
    """One destination's cursor file; any thread.

    Args:
        start: its place when there is no file yet.
        oldest: its place when the file is damaged: rather twice than not at all.

    Raises:
        OSError: the disk.
    """

    def __init__(self, files: Files, folder: str, stem: str, start: Position, oldest: Position) -> None:
        self._files, self._folder, self._path = files, folder, f"{folder}/{stem}{SUFFIX}"
        self._lock = threading.Lock()
        self._file: File | None = None
        found = read(files, self._path)
        if found is None and files.exists(self._path):
            log.error("%s cannot be read: what the journal still holds is sent again", self._path)
            found = oldest, Tally()
        self.position, self.tally = found or (start, Tally())
        with self._lock:
            self._renew()
        self.durable = self.position
        """Its place, should the machine die now."""

    def move(self, position: Position, tally: Tally) -> None:
        """Note a new place; an error of the disk is mended by the next `sync`."""
        with self._lock:
            self.position, self.tally = position, tally
            if self._file is not None:
                try:
                    self._file.append(_encode(position, tally))
                except OSError:
                    self._give_up()

    def sync(self) -> None:
        """Make the present place durable.

        Raises:
            OSError: it is not; what was durable still is.
        """
        with self._lock:
            if self.durable == self.position and self._file is not None:
                return
            try:
                if self._file is None or self._file.size() > _LONGEST:
                    self._renew()
                else:
                    self._file.sync()
            except OSError:
                self._give_up()
                raise
            self.durable = self.position

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            self._give_up()

    def _renew(self) -> None:
        """Replace the file by one with the last record alone, durably."""
        self._give_up()
        new = f"{self._path}.new"
        with contextlib.suppress(FileNotFoundError):
            self._files.remove(new)
        file = self._files.create(new)
        try:
            file.append(_HEADER + _encode(self.position, self.tally))
            file.sync()
            self._files.rename(new, self._path)
            self._files.sync_directory(self._folder)
        except OSError:
            with contextlib.suppress(OSError):
                file.close()
            raise
        self._file = file

    def _give_up(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def read(files: Files, path: str) -> tuple[Position, Tally] | None:
    """What a cursor file says; None when there is none or nothing in it can be read."""
    try:
        file = files.open(path, read_only=True)
    except FileNotFoundError:
        return None
    try:
        data = file.read(0, file.size())
    finally:
        file.close()
    if not data.startswith(_HEADER):
        return None
    whole = (len(data) - len(_HEADER)) // _SIZE
    for number in reversed(range(whole)):
        record = data[len(_HEADER) + number * _SIZE :][:_SIZE]
        if zlib.crc32(record[: _FIELDS.size]) == _CRC.unpack(record[_FIELDS.size :])[0]:
            segment, offset, *counts = _FIELDS.unpack(record[: _FIELDS.size])
            names = (field.name for field in msgspec.structs.fields(Tally))
            return Position(segment, offset), Tally(**dict(zip(names, counts, strict=True)))
    return None


def _encode(position: Position, tally: Tally) -> bytes:
    fields = _FIELDS.pack(*position, *msgspec.structs.astuple(tally))
    return fields + _CRC.pack(zlib.crc32(fields))
