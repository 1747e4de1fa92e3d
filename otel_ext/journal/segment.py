"""What is known of the segments on disk, and what walking through one of them shows.

Law of this file: a loss is never guessed. Every frame and every header says how many items came before
it, so the items lost in a damaged region are the difference of the two sides of it.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from otel_ext.files import File
from otel_ext.journal.frame import CLOSE, Position
from otel_ext.journal.header import SEGMENT_HEADER, Header, segment_name
from otel_ext.journal.window import Window


@dataclass(frozen=True, slots=True)
class DamagedRegion:
    """Bytes of a segment that should hold records and do not.

    Attributes:
        segment: the segment's number.
        offset: where the region begins, bytes.
        length: bytes of it.
        lost_items: items of the records that were there, exact; 0 when nothing follows to tell.
        promised: whether the bytes are proven to have been on the disk once. When False this may be a
            hole that a power cut left in records which were never acknowledged.
    """

    segment: int
    offset: int
    length: int
    lost_items: int
    promised: bool


@dataclass(slots=True)
class Segment:
    """One segment file.

    Attributes:
        sequence: its number.
        size: bytes on disk.
        header: what it says of itself, None when unreadable.
        items_before: items of the journal before it, None when nothing tells.
        end: where it validly ends; grows while it is written to.
        durable: up to where its successor says it was on the disk; 0 when unknown.
        sealed: whether a successor states `end`.
        void: holds no record that counts.
        items_after: items of the journal up to `end`, None when no successor says so.
    """

    sequence: int
    size: int = 0
    header: Header | None = None
    items_before: int | None = None
    end: int = 0
    durable: int = 0
    sealed: bool = False
    void: bool = False
    items_after: int | None = None


class Table:
    """All segments in order. `segments` is replaced, never changed, so that it is read without a lock."""

    def __init__(self, directory: str, segments: list[Segment], highest: int) -> None:
        self.directory = directory
        self.segments = tuple(segments)
        self.highest = highest
        """The highest number ever seen or tried; the next one is one more (L5)."""
        self._lock = threading.Lock()

    def path(self, sequence: int) -> str:
        """A segment's path."""
        return f"{self.directory}/{segment_name(sequence)}"

    def next_sequence(self) -> int:
        """A number never used before."""
        self.highest += 1
        return self.highest

    def add(self, segment: Segment) -> None:
        """A new, newest segment."""
        with self._lock:
            self.segments = (*self.segments, segment)

    def remove(self, segment: Segment) -> None:
        """A segment that is no longer on disk."""
        with self._lock:
            self.segments = tuple(each for each in self.segments if each is not segment)

    def get(self, sequence: int) -> Segment | None:
        """The segment of that number."""
        return next((each for each in self.segments if each.sequence == sequence), None)

    def distance(self, after: Position, before: Position) -> int:
        """Bytes on disk between two positions, 0 when there are none."""
        total = 0
        for each in self.segments:
            begin = after.offset if each.sequence == after.segment else 0
            end = before.offset if each.sequence == before.segment else each.size
            if after.segment <= each.sequence <= before.segment:
                total += max(0, end - begin)
        return total

    def alive(self) -> Iterator[Segment]:
        """Segments that may hold records, in order."""
        return (each for each in self.segments if not each.void)


@dataclass(slots=True)
class SegmentScan:
    """What a walk through a segment found.

    Attributes:
        end: where it ends: after the last whole frame, or the stated end of a sealed one.
        record_end: after the last frame that is a record of the owner; where frames begin if none.
        records: how many records.
        items: items of the journal up to `end`; None when nothing tells.
        engine: engine time of the last frame in ns; None when there is no frame.
        regions: damage, in order.
    """

    end: int = SEGMENT_HEADER
    record_end: int = SEGMENT_HEADER
    records: int = 0
    items: int | None = None
    engine: int | None = None
    regions: list[DamagedRegion] = field(default_factory=list)


def scan_segment(file: File, segment: Segment, limit: int, *, whole: bool) -> SegmentScan:
    """Walk all frames below `limit` (bytes).

    Args:
        file: the segment, open for reading.
        segment: what is known of it.
        limit: where to stop.
        whole: whether frames must reach up to `limit`: then a bad end is damage, else it is a torn tail.

    Raises:
        OSError: the file cannot be read at all.
    """
    window = Window(file, segment.sequence, limit)
    scan = SegmentScan(items=segment.items_before)
    gaps: list[tuple[int, int, int]] = []
    promise = segment.durable
    offset = SEGMENT_HEADER
    while offset < limit:
        frame = window.frame(offset)
        if frame is None:
            found = window.find(offset + 1)
            if found is None:
                break
            gaps.append((offset, found[0], _difference(scan.items, found[1].items_before)))
            offset, frame = found
        offset += frame.size
        promise = max(promise, frame.durable_end)
        scan.items = frame.items_before + frame.items
        scan.engine = frame.engine
        if frame.kind != CLOSE:
            scan.records += 1
            scan.record_end = offset
    scan.end = offset
    if whole and offset < limit:
        gaps.append((offset, limit, _difference(scan.items, segment.items_after)))
        scan.end = limit
        scan.items = segment.items_after if segment.items_after is not None else scan.items
    scan.regions = [
        DamagedRegion(segment.sequence, start, end - start, lost, promised=promise > start)
        for start, end, lost in gaps
    ]
    return scan


def _difference(before: int | None, after: int | None) -> int:
    return max(0, after - before) if before is not None and after is not None else 0
