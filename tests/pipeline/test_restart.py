"""What a start costs by the length of the journal that a killed process left: counted, not timed."""

from collections import Counter
from pathlib import Path

import msgspec

from otel_ext.files import File, RealFiles
from otel_ext.journal import Journal
from otel_ext.journal.header import HEADER_READ
from otel_ext.pipeline import Engine
from otel_ext.testing import WrappedFile, WrappedFiles
from tests.builders import request, span
from tests.pipeline.test_failures import SETTINGS

SEGMENT = 1 << 16
FEW, MANY = 3, 40
"""Segments of a short and a long journal."""


class Counted(WrappedFiles):
    """The real disk; what was read, and what was dropped from memory to be read anew, by kind of file."""

    def __init__(self) -> None:
        super().__init__(RealFiles(), self.wrapped)
        self.bytes = Counter[str]()

    def wrapped(self, path: str, file: File) -> File:
        """Journal or not."""
        return CountedFile(self.bytes, "journal" if path.endswith(".journal") else "other", file)


class CountedFile(WrappedFile):
    """A file of `Counted`."""

    def __init__(self, counted: Counter[str], kind: str, file: File) -> None:
        super().__init__(file)
        self.counted, self.kind = counted, kind

    def read(self, offset: int, size: int) -> bytes:
        """Counted by what came."""
        data = super().read(offset, size)
        self.counted[self.kind] += len(data)
        return data

    def settle(self, start: int = 0) -> None:
        """Counted by what has to come from the disk again."""
        self.counted[f"{self.kind} dropped"] += max(0, self.size() - start)
        super().settle(start)


def started(data: Path, segments: int) -> Counter[str]:
    """Leave so many segments of acknowledged requests, none processed; what the next start then reads."""
    settings = msgspec.structs.replace(SETTINGS, segment_bytes=SEGMENT)
    killed, number = Engine(data, settings), 0
    while len(list(data.rglob("*.journal"))) < segments:
        number += 1
        killed.intake.accept(request(span(number, payload="x" * 8192)))
    killed.abandon()
    disk = Counted()
    engine = Engine(data, settings, files=disk)
    try:
        assert engine.intake.accept(request(span(number + 1))).received == 1
        return Counter(disk.bytes)
    finally:
        engine.abandon()


def test_a_start_reads_no_more_of_a_long_journal_than_of_a_short_one(tmp_path: Path) -> None:
    """Until the first acknowledgement: a segment's header each, and the frames of the newest one."""
    few, many = started(tmp_path / "few", FEW), started(tmp_path / "many", MANY)
    assert few["journal"] <= FEW * HEADER_READ + SEGMENT
    assert many["journal"] <= MANY * HEADER_READ + SEGMENT
    assert many["journal"] < MANY * SEGMENT / 4, "or reading it whole would pass"
    assert many["journal dropped"] <= SEGMENT
    assert many["other"] == few["other"]


def test_only_what_is_in_doubt_is_read_from_the_disk_again(tmp_path: Path) -> None:
    """Of a finished segment what came after its last sync; what was promised stays in memory."""
    folder = str(tmp_path / "journal")
    journal = Journal.open(RealFiles(), folder, segment_bytes=SEGMENT, sync="never")
    promised = journal.append(1, b"a" * (SEGMENT // 2))
    journal.sync()
    doubtful = journal.append(1, b"b" * (SEGMENT // 4))
    journal.append(1, b"c" * (SEGMENT // 2))  # in the next segment
    journal.abandon()
    newest = max(path.stat().st_size for path in tmp_path.rglob("*2.journal"))
    disk = Counted()
    Journal.open(disk, folder, segment_bytes=SEGMENT, sync="never").abandon()
    assert disk.bytes["journal dropped"] == doubtful.offset - promised.offset + newest
