"""What bytes mean after a crash: torn or damaged, missing or void, and what a reader is told."""

import pytest

from otel_ext.errors import DataFolderError
from otel_ext.files import File
from otel_ext.journal import Journal, Position, scan
from otel_ext.testing import (
    CrashableFiles,
    FailingFiles,
    ManualClock,
    WrappedFile,
    WrappedFiles,
    content,
    overwrite,
    read_all,
)


def path(sequence: int) -> str:
    """A segment's path."""
    return f"/j/{sequence:020d}.journal"


def written(payloads: list[bytes], *, close: bool, segment_bytes: int = 1 << 20) -> CrashableFiles:
    """A disk with a journal of these records, ten items each."""
    disk = CrashableFiles()
    journal = Journal.open(disk, "/j", clock=ManualClock(), segment_bytes=segment_bytes)
    for payload in payloads:
        journal.append(1, payload, items=10)
    if close:
        journal.close()
    return disk


def damage(disk: CrashableFiles, sequence: int, at: int) -> None:
    """Turn every bit of one byte."""
    data = bytearray(content(disk, path(sequence)))
    data[at] ^= 0xFF
    overwrite(disk, path(sequence), bytes(data))


def test_bad_last_record_without_close_is_a_torn_tail() -> None:
    """A bad end of a journal that was not closed is an unfinished write: no damage, nothing lost."""
    disk = written([b"aa", b"bb"], close=False)
    damage(disk, 1, disk.size(path(1)) - 1)
    journal = Journal.open(disk, "/j", clock=ManualClock())
    assert [r.payload for r in read_all(journal)] == [b"aa"]
    assert journal.recovery.torn_bytes == 58
    assert not journal.recovery.damaged_regions
    assert journal.items == 10


def test_bad_last_record_before_close_is_damage() -> None:
    """The same in a cleanly closed journal is damage: quarantined, counted, told to the next reader."""
    disk = written([b"aa", b"bb"], close=True)
    damage(disk, 1, disk.size(path(1)) - 57)
    journal = Journal.open(disk, "/j", clock=ManualClock())
    (region,) = journal.recovery.damaged_regions
    assert (region.segment, region.offset, region.length, region.lost_items) == (1, 186, 58, 10)
    assert region.promised
    assert journal.recovery.torn_bytes == 0
    assert disk.exists("/j/quarantine/1-186.bin")
    cursor = read_all(journal)[-1].end
    assert not journal.wait(cursor, 0), "damage alone is nothing to read"
    journal.append(1, b"cc", items=1)
    assert journal.wait(cursor, 0)
    assert [(r.payload, r.lost_items) for r in journal.read(cursor, 1)] == [(b"cc", 10)]


def test_close_marks_are_not_records() -> None:
    """A reader never sees the mark of a clean end and never waits in vain for what is behind it."""
    disk = written([b"a"], close=True)
    for life in range(3):
        journal = Journal.open(disk, "/j", clock=ManualClock())
        assert len(read_all(journal)) == 1 + life
        assert not journal.wait(journal.durable_end, 0)
        assert read_all(journal)[-1].end == journal.durable_end
        journal.append(1, b"b")
        journal.close()


def test_opening_writes_no_segment_until_something_is_appended() -> None:
    """Opening and closing without an append leaves the folder as it was."""
    disk = written([b"a"], close=True)
    before = disk.list("/j")
    for _ in range(3):
        Journal.open(disk, "/j", clock=ManualClock()).close()
    assert disk.list("/j") == before


def test_names_are_never_reused() -> None:
    """A segment whose creation was cut short keeps its number for ever; the next one is one more."""
    disk = written([b"a"], close=False)
    for sequence, data in ((2, b""), (3, b"\xf5OXS"), (4, b"\0" * 500)):
        overwrite(disk, path(sequence), data)
    journal = Journal.open(disk, "/j", clock=ManualClock())
    assert journal.recovery.void_segments == [2, 3, 4]
    assert journal.append(1, b"b").segment == 5
    assert [r.payload for r in read_all(journal)] == [b"a", b"b"]
    again = Journal.open(disk, "/j", clock=ManualClock())
    assert [(r.payload, r.lost_items) for r in read_all(again)] == [(b"a", 0), (b"b", 0)]


def test_a_missing_segment_is_counted_exactly() -> None:
    """A segment deleted by hand costs exactly its items, told on the record that follows the gap."""
    disk = written([b"%d" % n for n in range(9)], close=True, segment_bytes=300)
    whole = read_all(Journal.open(disk, "/j", clock=ManualClock()))
    disk.remove(path(2))
    report = scan(disk, "/j")
    journal = Journal.open(disk, "/j", clock=ManualClock())
    found = read_all(journal)
    gone = [r for r in whole if r.end.segment == 2]
    assert gone
    assert journal.recovery.missing_segments == report.missing_segments == [2]
    assert [r.lost_items for r in found if r.lost_items] == [10 * len(gone)] == [report.lost_items]
    cursor = max(r.end for r in whole if r.end.segment == 1)
    cold = Journal.open(disk, "/j", clock=ManualClock()).read(cursor, 1)
    assert cold[0].lost_items == 10 * len(gone)


def test_released_segments_are_not_lost() -> None:
    """A cursor before what was released reads on at the oldest record without any loss being told."""
    disk = written([b"%d" % n for n in range(9)], close=True, segment_bytes=300)
    journal = Journal.open(disk, "/j", clock=ManualClock(), segment_bytes=300)
    whole = read_all(journal)
    early = whole[1].end
    size = sum(disk.size(f"/j/{n}") for n in disk.list("/j"))
    freed = journal.release(whole[6].end)
    assert freed > 0
    assert size - freed == sum(disk.size(f"/j/{n}") for n in disk.list("/j"))
    kept = read_all(journal, early)
    assert kept == [r for r in whole if r.start >= journal.start]
    assert {whole[7].end, whole[8].end} <= {r.end for r in kept}
    before = disk.list("/j")
    journal.release(Position(99, 0))
    assert disk.list("/j") == [n for n in before if n >= f"{whole[-1].end.segment:020d}"], (
        "numbers stay taken"
    )
    assert journal.append(1, b"x").segment > whole[-1].end.segment
    assert journal.items == 90


def test_unreadable_sector_is_damage_not_an_error() -> None:
    """A sector that the disk cannot read costs the records on it and nothing else."""
    disk = written([b"a" * 3000, b"b" * 5000, b"c" * 5000], close=True)
    hits = []

    class BadSector(WrappedFile):
        def read(self, offset: int, size: int) -> bytes:
            if offset < 8192 and offset + size > 4096:
                hits.append(offset)
                raise OSError(5, "Input/output error")
            return super().read(offset, size)

    def bad(name: str, file: File) -> File:
        return BadSector(file) if name == path(1) else file

    journal = Journal.open(WrappedFiles(disk, bad), "/j", clock=ManualClock())
    assert [(r.payload[:1], r.lost_items) for r in read_all(journal)] == [(b"a", 0), (b"c", 10)]
    assert hits
    again = Journal.open(FailingFiles(disk, on={"read"}, fail_at=1), "/j", clock=ManualClock())
    assert len(read_all(again)) == 3, "a read that fails once is tried again, sector by sector"


def test_unusable_folder_says_what_to_do() -> None:
    """An error of the disk while opening names the folder, the cause and the user."""
    for name in ("make_directory", "sync_directory", "list"):
        with pytest.raises(DataFolderError, match=r"cannot use /j as uid \d+: EIO"):
            Journal.open(FailingFiles(CrashableFiles(), on={name}, fail_at=1), "/j")


def test_foreign_names_are_left_alone() -> None:
    """Files that are no segments neither disturb the journal nor are touched by it."""
    disk = written([b"a"], close=True)
    for name in ("notes.txt", "1.journal", f"{7:020d}.journal.bak"):
        overwrite(disk, f"/j/{name}", b"mine")
    journal = Journal.open(disk, "/j", clock=ManualClock())
    assert journal.append(1, b"b").segment == 2
    journal.release(journal.durable_end)
    assert content(disk, "/j/notes.txt") == b"mine"


def test_engine_time_never_decreases() -> None:
    """Engine time holds its ground when the wall clock steps back, over restarts too."""
    disk, clock = CrashableFiles(), ManualClock(now=1000)
    journal = Journal.open(disk, "/j", clock=clock)
    journal.append(1, b"a")
    clock.set(500)
    journal.append(1, b"b")
    journal.append(1, b"c", engine=2000)
    journal.append(1, b"d", engine=1500)
    journal.close()
    journal = Journal.open(disk, "/j", clock=clock)
    assert journal.engine_time == 2000
    journal.append(1, b"e")
    found = [(r.wall, r.engine) for r in read_all(journal)]
    assert found == [(1000, 1000), (500, 1000), (500, 2000), (500, 2000), (500, 2000)]


def test_quarantine_that_cannot_be_written_does_not_stop_reading() -> None:
    """Without room for the copy of damaged bytes the rest is read on, and the failure is reported."""
    disk = written([b"aa", b"bb", b"cc"], close=True)
    damage(disk, 1, 190)
    failing = FailingFiles(disk, on={"create"}, fail_at=1, number=28)
    journal = Journal.open(failing, "/j", clock=ManualClock())
    assert failing.fired == 1
    assert [r.payload for r in read_all(journal)] == [b"aa", b"cc"]
    assert len(journal.recovery.quarantine_failures) == 1
    again = Journal.open(disk, "/j", clock=ManualClock())
    assert not again.recovery.quarantine_failures
    assert disk.exists("/j/quarantine/1-186.bin")


def test_scan_changes_nothing_and_works_beside_a_writer() -> None:
    """Verifying reads everything, writes nothing, and takes a live writer's half record for what it is."""
    disk = written([b"%d" % n for n in range(9)], close=False, segment_bytes=300)
    damage(disk, 2, 140)
    operations = disk.operations
    report = scan(disk, "/j")
    assert disk.operations == operations
    assert not report.sound
    assert report.records == 8
    assert report.lost_items == 10
    live = written([b"a"], close=False)
    file = live.open(path(1))
    file.append(b"\xf5OX")
    assert scan(live, "/j").sound
    assert scan(live, "/j").torn_bytes == 3
