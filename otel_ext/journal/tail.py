"""The growing end of the journal: its newest segment, what is written there and how much of it is durable.

Law of this file: it knows nothing of threads (its owner holds a lock) and never mends anything: an
`OSError` leaves it as it was before the call, and whatever half a frame is then in the file lies past
`segment.end`, where no later header will count it.
"""

import contextlib
from typing import NamedTuple

from otel_ext.clock import Clock
from otel_ext.files import File, Files
from otel_ext.journal.frame import FRAME_HEADER, Position, encode
from otel_ext.journal.header import SEGMENT_HEADER, Header, encode_header
from otel_ext.journal.recovery import Recovered
from otel_ext.journal.segment import Segment


class Durable(NamedTuple):
    """What is on the disk: up to which record, and where its segment then ends with how many items.

    `end` differs from `position` only after recovery, when a CLOSE mark follows the last record.
    """

    position: Position
    segment: Segment | None
    end: int
    items: int


class Pending(NamedTuple):
    """What a sync has to do, and what it may publish when all of it succeeded."""

    older: list[tuple[Segment, File]]
    file: File
    new_names: bool
    result: Durable


class Tail:
    """Where the next frame goes.

    Attributes:
        segment: the segment that the next one continues, or that is being written to.
        items: items of all records so far.
        engine: engine time of the last record, ns.
        durable: set by the owner once a `Pending` is done.
    """

    def __init__(self, files: Files, recovered: Recovered, segment_bytes: int, clock: Clock) -> None:
        self._files = files
        self._table = recovered.table
        self._segment_bytes = segment_bytes
        self._clock = clock
        self._file: File | None = None  # open while `segment` is one of ours
        self._unsynced: list[tuple[Segment, File]] = []  # older ones of ours, still to be synced
        self._new_names = False
        # Stays set when a signal handler raised in the middle of an append: the file may then hold more than
        # we know of, and only a new segment, whose header states where this one ends, makes that void.
        self._interrupted = False
        self.segment = recovered.tail
        self.items = recovered.items
        self.engine = recovered.engine
        end = recovered.tail.end if recovered.tail else 0
        self.durable = Durable(recovered.end, recovered.tail, end, recovered.items)

    @property
    def begun(self) -> bool:
        """Whether anything was written since the journal was opened or given up."""
        return self._file is not None

    def write(self, kind: int, payload: bytes, crc: int, items: int, engine: int | None) -> Position:
        """One frame at the end of the current segment, or of a new one. Raises OSError."""
        now = self._clock.now()
        engine = max(self.engine, now if engine is None else engine)
        size = FRAME_HEADER + len(payload)
        segment, file = self.segment, self._file
        if segment is None or file is None or self._interrupted or self._full(segment, size):
            segment, file = self.create()
        head = encode(
            segment.sequence,
            segment.end,
            kind=kind,
            payload_crc=crc,
            payload_length=len(payload),
            items=items,
            items_before=self.items,
            wall=now,
            engine=engine,
            durable_end=self._durable_end_of(segment),
        )
        self._interrupted = True
        file.append(head, payload)
        segment.end += size
        segment.size = segment.end
        self.items += items
        self.engine = engine
        self._interrupted = False
        return Position(segment.sequence, segment.end)

    def create(self) -> tuple[Segment, File]:
        """A new segment that continues the current one. Raises OSError; the number is used up anyhow."""
        before = self.segment
        previous, end, durable = 0, 0, 0
        if before is not None:
            previous, end, durable = before.sequence, before.end, self._durable_end_of(before)
        sequence = self._table.next_sequence()
        header = Header(sequence, previous, end, durable, self.items, self.engine)
        file = self._files.create(self._table.path(sequence))
        segment = Segment(sequence, header=header, items_before=self.items, void=True)
        self._table.add(segment)
        try:
            file.append(encode_header(header))
        except OSError:
            close_quietly(file)
            raise
        segment.size = segment.end = SEGMENT_HEADER
        segment.void = False
        if before is not None:
            before.sealed, before.durable, before.items_after = True, durable, self.items
            if self._file is not None:
                self._unsynced.append((before, self._file))
        self.segment, self._file, self._new_names = segment, file, True
        self._interrupted = False
        return segment, file

    def replace(self) -> None:
        """After a failure: give the files up and create a durable new segment. Raises OSError."""
        self.give_up()
        before = self.segment
        try:
            _, file = self.create()
            file.sync()
            self._files.sync_directory(self._table.directory)
        except OSError:
            if self.segment is not None and self.segment is not before:
                self.segment.void = True
            self.segment = before
            self.give_up()
            raise
        self._new_names = False

    def pending(self) -> Pending | None:
        """Hand over what waits for a sync; None when nothing was written."""
        if self.segment is None or self._file is None:
            return None
        end = Position(self.segment.sequence, self.segment.end)
        result = Durable(end, self.segment, end.offset, self.items)
        pending = Pending(self._unsynced, self._file, self._new_names, result)
        self._unsynced, self._new_names = [], False
        return pending

    def void_unacknowledged(self) -> None:
        """Take back everything past the durable end, even what can be read."""
        anchor = self.durable.segment
        if anchor is not None:
            anchor.end = self.durable.end
        for segment in self._table.segments:
            if anchor is None or segment.sequence > anchor.sequence:
                segment.void = True
        self.segment, self.items = anchor, self.durable.items

    def give_up(self) -> None:
        """Close all files; the next frame opens a new segment."""
        for _, file in self._unsynced:
            close_quietly(file)
        if self._file is not None:
            close_quietly(self._file)
        self._unsynced, self._file = [], None

    def _full(self, segment: Segment, size: int) -> bool:
        """A frame larger than a segment stands alone in one."""
        return segment.end > SEGMENT_HEADER and segment.end + size > self._segment_bytes

    def _durable_end_of(self, segment: Segment) -> int:
        return self.durable.end if self.durable.segment is segment else 0


def close_quietly(file: File) -> None:
    """Close a file whose content is durable or given up: an error in closing changes neither."""
    with contextlib.suppress(OSError):
        file.close()
