"""Looking at a journal without touching it, for `otel-ext verify`.

Law of this file: every byte of every segment is read and nothing is written. It works beside a live
writer: a half-written end of the newest segment is a torn tail, a segment released meanwhile is skipped.
"""

from dataclasses import dataclass, field

from otel_ext.files import Files
from otel_ext.journal.lock import folder_error
from otel_ext.journal.recovery import missing, survey
from otel_ext.journal.segment import DamagedRegion, Segment, Table, scan_segment


@dataclass(slots=True)
class SegmentReport:
    """One segment: bytes on disk, where it validly ends, and what it holds.

    `items` counts those of the journal up to its end, None when nothing tells.
    """

    sequence: int
    size: int
    end: int
    records: int
    items: int | None
    void: bool


@dataclass(slots=True)
class ScanReport:
    """What all segments hold.

    Attributes:
        segments: each in order.
        records: whole records that count.
        lost_items: items of records that damage took, missing segments included.
        torn_bytes: bytes after the last whole record: an unfinished write.
        missing_segments: numbers that a header names and that are gone though older ones are there.
        damaged_regions: where bytes are not what they should be.
    """

    segments: list[SegmentReport] = field(default_factory=list)
    records: int = 0
    lost_items: int = 0
    torn_bytes: int = 0
    missing_segments: list[int] = field(default_factory=list)
    damaged_regions: list[DamagedRegion] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged or missing; a torn tail is no damage."""
        return not (self.damaged_regions or self.missing_segments or self.lost_items)


def scan(files: Files, directory: str) -> ScanReport:
    """Read all segments of a journal's folder.

    Raises:
        UnsupportedVersion: a newer program wrote one.
        DataFolderError: the folder or a file cannot be read.
    """
    try:
        segments = survey(files, directory)
        report = ScanReport(missing_segments=missing(segments))
        newest = next((each for each in reversed(segments) if not each.void), None)
        known: int | None = None
        for segment in segments:
            known = _scan_one(files, directory, segment, report, known, newest=segment is newest)
    except OSError as error:
        raise folder_error(directory, error) from error
    return report


def _scan_one(
    files: Files, directory: str, segment: Segment, report: ScanReport, known: int | None, *, newest: bool
) -> int | None:
    """Add one segment to the report; returns the items of the journal up to its end."""
    if segment.void:
        report.segments.append(SegmentReport(segment.sequence, segment.size, 0, 0, known, void=True))
        return known
    try:
        file = files.open(Table(directory, [], 0).path(segment.sequence), read_only=True)
    except FileNotFoundError:  # released meanwhile, and so was everything before it
        return None
    try:
        limit = segment.size if newest else segment.end
        found = scan_segment(file, segment, limit, whole=not newest)
    finally:
        file.close()
    if known is not None and segment.items_before is not None:
        report.lost_items += max(0, segment.items_before - known)  # of missing segments
    report.segments.append(
        SegmentReport(segment.sequence, segment.size, found.end, found.records, found.items, void=False)
    )
    report.records += found.records
    report.damaged_regions += found.regions
    report.lost_items += sum(region.lost_items for region in found.regions)
    if newest:
        report.torn_bytes = max(0, segment.size - found.end)
    return found.items if found.items is not None else known
