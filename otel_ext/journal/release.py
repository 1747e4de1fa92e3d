"""Removing segments that nobody needs any more.

Law of this file: oldest first, each removal durable before the next, so that a power cut never leaves a
gap that would look like a loss; and the newest segment stays, so that its number is never given again.
"""

import contextlib

from otel_ext.errors import Busy
from otel_ext.files import Files
from otel_ext.journal.frame import Position
from otel_ext.journal.reader import Reader
from otel_ext.journal.segment import Segment, Table


class Releaser:
    """Removes old segments; the reader's lock keeps their files from being read meanwhile."""

    def __init__(self, files: Files, table: Table, reader: Reader) -> None:
        self._files = files
        self._table = table
        self._reader = reader
        self._unsynced = False

    def wanted(self, before: Position, readable: Position) -> bool:
        """Whether `release` would remove anything."""
        segment = next(iter(self._table.segments), None)
        if segment is None or segment.sequence >= readable.segment:
            return False
        return segment.void or before >= Position(segment.sequence, segment.end)

    def release(self, before: Position, readable: Position) -> int:
        """See `Journal.release`; nothing from `readable`'s segment on is touched."""
        freed = 0
        with self._reader.lock:
            try:
                if self._unsynced:
                    self._sync()
                for segment in self._table.segments:
                    if segment.sequence >= readable.segment:
                        break
                    if not segment.void and before < Position(segment.sequence, segment.end):
                        break
                    freed += self._remove(segment)
            except OSError as error:
                raise Busy(f"cannot release: {error.strerror} in {self._table.directory}") from error
        return freed

    def _remove(self, segment: Segment) -> int:
        self._reader.forget(segment.sequence)
        with contextlib.suppress(FileNotFoundError):
            self._files.remove(self._table.path(segment.sequence))
        self._unsynced = True
        self._table.remove(segment)
        self._sync()
        return segment.size

    def _sync(self) -> None:
        self._files.sync_directory(self._table.directory)
        self._unsynced = False
