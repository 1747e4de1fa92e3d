"""Corners of reading, releasing and reopening that the sweeps do not reach."""

from random import Random

import pytest

from otel_ext.errors import Busy
from otel_ext.journal import Journal, Position, scan
from otel_ext.journal.frame import MAGIC
from otel_ext.journal.header import SEGMENT_HEADER
from otel_ext.journal.window import Window
from otel_ext.testing import CrashableFiles, FailingFiles, ManualClock, content, overwrite, read_all


def test_reading_keeps_to_max_bytes_but_gives_at_least_one() -> None:
    """A read returns whole records up to max_bytes, and one even if it is larger."""
    journal = Journal.open(CrashableFiles(), "/j", clock=ManualClock())
    for _ in range(5):
        journal.append(1, b"x" * 44)  # 100 bytes with its frame
    assert [len(journal.read(Position(0, 0), size)) for size in (1, 100, 199, 200, 350, 9999)] == [
        1,
        1,
        1,
        2,
        3,
        5,
    ]


def test_a_warm_cursor_overtaken_by_release_is_told_no_loss() -> None:
    """A reader that was mid-way when its records were released is not told that damage took them."""
    journal = Journal.open(CrashableFiles(), "/j", clock=ManualClock(), segment_bytes=260)
    for n in range(8):
        journal.append(1, b"%d" % n, items=1)
    cursor = journal.read(Position(0, 0), 1)[0].end
    journal.release(journal.durable_end)
    assert journal.start > cursor
    assert all(record.lost_items == 0 for record in read_all(journal, cursor))


@pytest.mark.parametrize("chunk", [60, 61, 62, 63, 100])
def test_frames_are_found_across_every_chunk_border(chunk: int) -> None:
    """After damage the next frame is found wherever the border between two reads falls."""
    disk = CrashableFiles()
    journal = Journal.open(disk, "/j", clock=ManualClock())
    journal.append(1, MAGIC * 40)
    end = journal.append(1, b"found")
    size = 56 + len(b"found")
    file = disk.open(f"/j/{1:020d}.journal")
    for start in range(SEGMENT_HEADER + 1, end.offset - size):
        found = Window(file, 1, end.offset, chunk).find(start)
        assert found is not None
        assert found[0] == end.offset - size


def test_bytes_that_rot_under_a_live_journal_do_not_spin_its_reader() -> None:
    """When the newest record is destroyed on disk, wait stops promising it; the next one tells the loss."""
    disk = CrashableFiles()
    journal = Journal.open(disk, "/j", clock=ManualClock())
    cursor = journal.append(1, b"a", items=1)
    journal.append(1, b"b", items=7)
    path = f"/j/{1:020d}.journal"
    data = bytearray(content(disk, path))
    data[-1] ^= 1
    overwrite(disk, path, bytes(data))
    assert journal.wait(cursor, 0)
    assert journal.read(cursor, 1000) == []
    assert not journal.wait(cursor, 0)
    assert [region.length for region in journal.recovery.damaged_regions] == [57]
    journal.append(1, b"c", items=1)
    assert journal.wait(cursor, 0)
    assert [(r.payload, r.lost_items) for r in journal.read(cursor, 1000)] == [(b"c", 7)]


@pytest.mark.parametrize("second", [1, 2])
def test_release_after_a_failed_directory_sync_never_leaves_a_gap(second: int) -> None:
    """A removal whose sync failed is made durable before the next one, whatever a power cut keeps."""
    for seed in range(40):
        disk = CrashableFiles()
        failing = FailingFiles(disk, on={"sync_directory"})
        journal = Journal.open(failing, "/j", clock=ManualClock(), segment_bytes=200)
        for n in range(6):
            journal.append(1, b"%d" % n, items=1)
        failing.fail_at = failing.operations + 1
        with pytest.raises(Busy, match="cannot release"):
            journal.release(journal.durable_end)
        assert failing.fired == 1
        failing.fail_at = failing.operations + second  # the sync owed, or that of the second removal
        with pytest.raises(Busy):
            journal.release(journal.durable_end)
        assert failing.fired == 2
        assert scan(disk.crash(Random(seed)), "/j").missing_segments == []


def test_failed_reopen_leaves_no_trace_in_the_chain() -> None:
    """A segment that a failed reopen began is void; the next continues the last that holds records."""
    disk, clock = CrashableFiles(), ManualClock()
    failing = FailingFiles(disk, on={"sync"})
    journal = Journal.open(failing, "/j", clock=clock, sync="interval")
    journal.append(1, b"a", items=1)
    failing.fail_at, failing.lasting = 1, True
    with pytest.raises(Busy):
        journal.sync()
    for _ in range(2):
        with pytest.raises(Busy, match="opening a new segment failed with EIO"):
            journal.reopen()
    failing.heal()
    journal.reopen()
    assert journal.append(1, b"b", items=1).segment == 4
    assert [r.payload for r in read_all(journal)] == [b"a", b"b"]
    again = Journal.open(disk.restart(), "/j", clock=clock)
    assert again.recovery.void_segments == [2, 3]
    assert [(r.payload, r.lost_items) for r in read_all(again)] == [(b"a", 0), (b"b", 0)]


def test_interrupted_quarantine_is_made_anew() -> None:
    """Half a copy left by a crash is replaced by a whole one."""
    disk = CrashableFiles()
    journal = Journal.open(disk, "/j", clock=ManualClock())
    journal.append(1, b"a", items=1)
    journal.append(1, b"b", items=1)
    journal.close()
    path = f"/j/{1:020d}.journal"
    data = bytearray(content(disk, path))
    data[SEGMENT_HEADER] ^= 1
    overwrite(disk, path, bytes(data))
    disk.make_directory("/j/quarantine")
    overwrite(disk, "/j/quarantine/1-128.bin.partial", b"half")
    recovery = Journal.open(disk, "/j", clock=ManualClock()).recovery
    assert not recovery.quarantine_failures
    assert disk.list("/j/quarantine") == ["1-128.bin"]
    assert content(disk, "/j/quarantine/1-128.bin") == bytes(data[128 : 128 + 57])


@pytest.mark.parametrize(("kind", "items"), [(0, 0), (256, 0), (1, -1), (1, 1 << 32)])
def test_what_no_frame_can_hold_is_refused(kind: int, items: int) -> None:
    """Kinds and counts out of range are a mistake of the caller and change nothing."""
    journal = Journal.open(CrashableFiles(), "/j", clock=ManualClock())
    with pytest.raises(ValueError, match="must be in"):
        journal.append(kind, b"", items=items)
    assert journal.stopped is None
    assert journal.durable_end == Position(0, 0)
