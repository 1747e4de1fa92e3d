"""Reading on from a position, over segment borders and damage.

Law of this file (L2): nothing past the limit its caller gives is ever returned, records come in order and
once, and what damage took is told on the record that follows it, exactly, whatever the reader has seen
before: a record is preceded by as many items as its frame says.
"""

import threading

from otel_ext.errors import Busy, ShuttingDown
from otel_ext.files import File, Files
from otel_ext.journal.frame import CLOSE, Position, Record
from otel_ext.journal.header import SEGMENT_HEADER
from otel_ext.journal.quarantine import DamageLog
from otel_ext.journal.segment import Segment, Table, scan_segment
from otel_ext.journal.tail import close_quietly
from otel_ext.journal.window import CHUNK, Window

_REMEMBERED = 64
"""For how many cursors the items before them are kept; the rest are found again."""

_MAX_OPEN = 8

_MAX_CHUNK = 4 << 20


class Reader:
    """The reading half of a journal; threads take turns."""

    def __init__(self, files: Files, table: Table, damage: DamageLog) -> None:
        self._files = files
        self._table = table
        self._damage = damage
        self._open: dict[int, File] = {}
        self._items_at: dict[Position, int] = {}
        self._closed = False
        self.lock = threading.Lock()
        """Held while reading; whoever removes segments takes it too."""

    def read(self, after: Position, limit: Position, max_bytes: int) -> list[Record]:
        """Records between `after` and `limit`; see `Journal.read`."""
        with self.lock:
            if self._closed:
                raise ShuttingDown("the journal is closed")
            try:
                return self._read(after, limit, max_bytes)
            except OSError as error:
                raise Busy(
                    f"the journal cannot be read: {error.strerror} in {self._table.directory}"
                ) from error

    def forget(self, sequence: int) -> None:
        """Close a segment's file. Lock held."""
        file = self._open.pop(sequence, None)
        if file is not None:
            close_quietly(file)

    def close(self) -> None:
        """Close all files; later reads raise `ShuttingDown`."""
        with self.lock:
            self.abandon()

    def abandon(self) -> None:
        """The same without the lock, for a forked child."""
        self._closed = True
        for sequence in list(self._open):
            self.forget(sequence)

    def _read(self, after: Position, limit: Position, max_bytes: int) -> list[Record]:
        records: list[Record] = []
        room = max_bytes
        first = next(iter(self._table.segments), None)
        # What was released unread is not lost: a cursor before the oldest segment starts anew.
        current = first is not None and first.sequence <= after.segment
        items = self._items_at.get(after) if current else None
        previous: int | None = None
        for segment in self._table.alive():
            if segment.sequence < after.segment or segment.sequence > limit.segment:
                continue
            begin = after.offset if segment.sequence == after.segment else 0
            begin = max(begin, SEGMENT_HEADER)
            end = limit.offset if segment.sequence == limit.segment else segment.end
            if items is None:
                items = self._items_before(segment, begin, end, previous)
            previous = segment.sequence
            items, room = self._read_segment(segment, (begin, end), items, room, records)
            if room <= 0:
                break
        if records and items is not None:
            self._remember(records[-1].end, items)
        return records

    def _read_segment(
        self,
        segment: Segment,
        span: tuple[int, int],
        items: int | None,
        room: int,
        records: list[Record],
    ) -> tuple[int | None, int]:
        """Add a segment's records; returns the items up to the last one and the bytes still wanted."""
        sequence = segment.sequence
        offset, end = span
        if offset >= end:
            return items, room
        window = Window(self._file(sequence), sequence, end, min(max(room, CHUNK), _MAX_CHUNK))
        while offset < end:
            frame = window.frame(offset)
            if frame is None:
                region = self._damage.at(Position(sequence, offset))
                if region is None:
                    self._examine(segment, end)
                    region = self._damage.at(Position(sequence, offset))
                # Without a region the file shows a whole frame now, or the cursor is no border: look on.
                found = None if region else window.find(offset + 1)
                offset = offset + region.length if region else found[0] if found else end
                continue
            start, offset = offset, offset + frame.size
            if frame.kind == CLOSE:
                continue
            if records and frame.size > room:
                return items, 0
            lost = max(0, frame.items_before - items) if items is not None else 0
            items = frame.items_before + frame.items
            room -= frame.size
            records.append(
                Record(
                    Position(sequence, start),
                    Position(sequence, offset),
                    frame.kind,
                    frame.wall,
                    frame.engine,
                    frame.items,
                    bytes(frame.payload),
                    lost,
                    frame.items_before,
                )
            )
            if room <= 0:
                break
        return items, room

    def _examine(self, segment: Segment, end: int) -> None:
        scan = scan_segment(self._file(segment.sequence), segment, end, whole=True)
        for region in scan.regions:
            self._damage.add(region)

    def _items_before(self, segment: Segment, begin: int, end: int, previous: int | None) -> int | None:
        """Items of all records before a cursor that was not read up to in this life.

        A whole frame at the cursor says it itself; only next to damage is the segment walked.
        """
        if begin > SEGMENT_HEADER:
            if begin >= end:
                return self._told_by_successor(segment)
            if Window(self._file(segment.sequence), segment.sequence, end).frame(begin) is not None:
                return None
            return scan_segment(self._file(segment.sequence), segment, begin, whole=False).items
        if segment.items_before is not None:
            return segment.items_before
        return None if previous is None else self._items_of(previous)

    def _told_by_successor(self, segment: Segment) -> int | None:
        """Items at a segment's end; its successor's header says so, unless a segment between is gone."""
        if segment.items_after is not None:
            return segment.items_after
        return self._items_of(segment.sequence)

    def _items_of(self, sequence: int) -> int | None:
        segment = self._table.get(sequence)
        if segment is None:
            return None
        return scan_segment(self._file(sequence), segment, segment.end, whole=False).items

    def _file(self, sequence: int) -> File:
        file = self._open.get(sequence)
        if file is None:
            file = self._open[sequence] = self._files.open(self._table.path(sequence), read_only=True)
            if len(self._open) > _MAX_OPEN:
                self.forget(next(iter(self._open)))
        return file

    def _remember(self, place: Position, items: int) -> None:
        self._items_at.pop(place, None)
        self._items_at[place] = items
        while len(self._items_at) > _REMEMBERED:
            del self._items_at[next(iter(self._items_at))]
