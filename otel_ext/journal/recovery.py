"""What the segments on disk mean, decided once when a journal is opened.

Law of this file: the decision is a pure function of the bytes, taken only over bytes that are on the
disk (each segment in doubt is synced and read anew first), so it comes out the same every time until a
new segment's header makes it final. Nothing in a segment is ever changed.
"""

from dataclasses import dataclass, field

from otel_ext.files import Files
from otel_ext.journal.frame import Position
from otel_ext.journal.header import HEADER_READ, Header, decode_header, sequence_of
from otel_ext.journal.segment import DamagedRegion, Segment, SegmentScan, Table, scan_segment
from otel_ext.journal.window import read_despite


@dataclass(slots=True)
class Recovery:
    """What opening the journal found.

    Attributes:
        segments: segment files on disk, void ones included.
        records: records in the newest segment that holds any.
        torn_bytes: bytes after the last whole record of the newest segment: a write that never ended.
        void_segments: numbers of segments that hold nothing that counts.
        missing_segments: numbers that a header names and that are gone though older ones are there.
        damaged_regions: damage met so far; the reader adds what it meets in older segments.
        quarantine_failures: causes of copies into `quarantine/` that could not be made.
    """

    segments: int = 0
    records: int = 0
    torn_bytes: int = 0
    void_segments: list[int] = field(default_factory=list)
    missing_segments: list[int] = field(default_factory=list)
    damaged_regions: list[DamagedRegion] = field(default_factory=list)
    quarantine_failures: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Recovered:
    """Where the writer goes on: after `tail` (None: an empty journal), with these totals."""

    table: Table
    report: Recovery
    tail: Segment | None
    end: Position
    items: int
    engine: int


def survey(files: Files, directory: str) -> list[Segment]:
    """All segments in order with their headers; which ends are stated and which segments are void.

    Raises:
        OSError: a file cannot be read.
        UnsupportedVersion: a newer program wrote one of them; nothing was changed.
    """
    segments = []
    for name in files.list(directory):
        sequence = sequence_of(name)
        if sequence is None:
            continue
        path = f"{directory}/{name}"
        try:
            file = files.open(path, read_only=True)
        except FileNotFoundError:  # released by a live owner while we look
            continue
        try:
            header = decode_header(read_despite(file, 0, HEADER_READ), sequence, path)
            segments.append(Segment(sequence, size=file.size(), header=header))
        finally:
            file.close()
    _judge(files, directory, segments)
    return segments


def _judge(files: Files, directory: str, segments: list[Segment]) -> None:
    """From the newest to the oldest: what the newest readable header says of its predecessors."""
    word: Header | None = None
    newest = True
    for segment in reversed(segments):
        if word is not None and segment.sequence > word.previous:
            segment.void = True
            continue
        if word is not None and segment.sequence == word.previous:
            segment.sealed = True
            segment.end = word.previous_end
            segment.durable = word.previous_durable
            segment.items_after = word.items_before
        elif segment.header is None and not _holds_frames(files, directory, segment):
            segment.void = True  # the machine died while it was made
            continue
        else:
            # Either the newest, or its successor's header is gone: then its end is in doubt, and what
            # lies between its last whole frame and its last byte counts as damage.
            segment.sealed = not newest
            segment.end = segment.size
        newest = False
        word = segment.header
    _count(segments)


def _count(segments: list[Segment]) -> None:
    """Items before each segment: its header says so, and before number 1 there never was any."""
    known = 0 if segments and segments[0].sequence == 1 else None
    for segment in segments:
        if not segment.void:
            segment.items_before = segment.header.items_before if segment.header else known
            known = None


def _holds_frames(files: Files, directory: str, segment: Segment) -> bool:
    return _walk(files, directory, segment, whole=False).records > 0


def _walk(files: Files, directory: str, segment: Segment, *, whole: bool) -> SegmentScan:
    table = Table(directory, [], 0)
    file = files.open(table.path(segment.sequence), read_only=True)
    try:
        return scan_segment(file, segment, segment.end or segment.size, whole=whole)
    finally:
        file.close()


def missing(segments: list[Segment]) -> list[int]:
    """Numbers of predecessors that are gone although older segments are there."""
    known = {each.sequence for each in segments}
    return [
        each.header.previous
        for each in segments
        if each.header and not each.void and each.header.previous not in known
        if any(older < each.header.previous for older in known)
    ]


def recover(files: Files, directory: str) -> Recovered:
    """Decide what is in the journal. Syncs, but writes nothing.

    Raises:
        OSError: the folder or a file cannot be read or synced.
        UnsupportedVersion: a newer program wrote it.
    """
    files.make_directory(directory)
    # A name that only the cache knows could vanish after its records were handed out.
    files.sync_directory(directory)
    highest = max(filter(None, map(sequence_of, files.list(directory))), default=0)
    segments = survey(files, directory)
    table = Table(directory, segments, highest)
    report = Recovery(segments=len(segments), missing_segments=missing(segments))
    report.void_segments = [each.sequence for each in segments if each.void]
    alive = list(table.alive())
    for segment in alive:
        if segment.durable < segment.end:
            file = files.open(table.path(segment.sequence))
            try:
                # What is known to be on the disk stays in memory: it is read again soon.
                file.settle(segment.durable)
                segment.size = file.size()
            finally:
                file.close()
    if not alive:
        return Recovered(table, report, None, Position(0, 0), 0, 0)
    tail = alive[-1]
    tail.end = tail.size
    scan = _walk(files, directory, tail, whole=False)
    tail.end = scan.end
    report.records = scan.records
    report.torn_bytes = max(0, tail.size - scan.end)
    report.damaged_regions = scan.regions
    items = scan.items or 0
    engine = scan.engine
    if engine is None:
        engine = tail.header.engine if tail.header else 0
    end = _last_record(files, directory, alive, scan)
    return Recovered(table, report, tail, end, items, engine)


def _last_record(files: Files, directory: str, alive: list[Segment], scan: SegmentScan) -> Position:
    """The end of the last record.

    A segment without any is looked past, or a reader at the true end would for ever be told of more.
    """
    for segment in reversed(alive):
        found = scan if segment is alive[-1] else _walk(files, directory, segment, whole=True)
        if found.records or segment is alive[0]:
            return Position(segment.sequence, found.record_end)
    return Position(0, 0)
