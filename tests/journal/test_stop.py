"""A failed write or sync: what is void, what may be acknowledged, and what is never tried again."""

import threading

import pytest

from otel_ext.errors import Busy, ShuttingDown
from otel_ext.files import File
from otel_ext.journal import Journal, Position
from otel_ext.testing import CrashableFiles, FailingFiles, ManualClock, WrappedFile, WrappedFiles, read_all


def test_failed_sync_voids_what_can_still_be_read() -> None:
    """A record whose sync failed is void after reopen, here and in the next process, though whole on disk."""
    disk = CrashableFiles()
    failing = FailingFiles(disk, on={"sync"})
    journal = Journal.open(failing, "/j", clock=ManualClock())
    kept = journal.append(1, b"kept", items=1)
    failing.fail_at = failing.operations + 1
    with pytest.raises(Busy, match=r"a sync failed with EIO"):
        journal.append(1, b"void", items=7)
    assert failing.fired == 1
    assert "EIO" in (journal.stopped or "")
    assert journal.durable_end == kept
    assert [r.payload for r in read_all(journal)] == [b"kept"]
    with pytest.raises(Busy):
        journal.append(1, b"refused")
    with pytest.raises(Busy):
        journal.sync()
    journal.reopen()
    assert journal.items == 1
    end = journal.append(1, b"next", items=2)
    assert end.segment == 2
    assert [(r.payload, r.lost_items) for r in read_all(journal)] == [(b"kept", 0), (b"next", 0)]
    for after in (disk.restart(), disk.crash()):
        again = Journal.open(after, "/j", clock=ManualClock())
        assert [(r.payload, r.lost_items) for r in read_all(again)] == [(b"kept", 0), (b"next", 0)]
        assert again.items == 3


def test_failed_sync_is_never_tried_again_on_the_same_segment() -> None:
    """After a failed fsync no file of the old segments is ever synced again."""
    synced: list[str] = []

    class Watched(WrappedFile):
        def __init__(self, path: str, file: File) -> None:
            super().__init__(file)
            self._path = path

        def sync(self) -> None:
            synced.append(self._path)
            if len(synced) == 2:
                raise OSError(5, "Input/output error")
            super().sync()

    journal = Journal.open(WrappedFiles(CrashableFiles(), Watched), "/j", clock=ManualClock())
    journal.append(1, b"a")
    with pytest.raises(Busy):
        journal.append(1, b"b")
    for _ in range(3):
        with pytest.raises(Busy):
            journal.append(1, b"c")
    journal.reopen()
    journal.append(1, b"d")
    journal.close()
    first = f"/j/{1:020d}.journal"
    assert synced[:2] == [first, first]
    assert first not in synced[2:]
    assert len(synced) >= 4


def test_reopen_under_a_waiter_does_not_acknowledge_its_void_record() -> None:
    """Who waits while the journal stops, is reopened and grows past his position is refused, not acked."""
    entered, proceed = threading.Event(), threading.Event()

    armed, second = threading.Event(), threading.Event()

    class Gate(WrappedFile):
        def append(self, *parts: bytes) -> None:
            super().append(*parts)
            if b"follower" in parts:
                second.set()

        def sync(self) -> None:
            if armed.is_set():
                armed.clear()
                entered.set()
                assert proceed.wait(20)
                raise OSError(5, "Input/output error")
            super().sync()

    files = WrappedFiles(CrashableFiles(), lambda _, file: Gate(file))
    journal = Journal.open(files, "/j", clock=ManualClock())
    journal.append(1, b"kept")
    armed.set()
    refused: list[str] = []

    def append(payload: bytes) -> None:
        try:
            journal.append(1, payload)
        except Busy as error:
            refused.append(str(error))
            journal.reopen()

    leader = threading.Thread(target=append, args=(b"leader",))
    leader.start()
    assert entered.wait(20)
    follower = threading.Thread(target=append, args=(b"follower",))
    follower.start()
    assert second.wait(20)  # the follower's record is written; now it can only wait for the leader
    proceed.set()
    leader.join(20)
    follower.join(20)
    journal.append(1, b"next")
    assert len(refused) == 2
    assert [r.payload for r in read_all(journal)] == [b"kept", b"next"]


def test_interval_mode_keeps_acknowledged_records_over_a_reopen() -> None:
    """In mode interval a record was acknowledged before its sync: a reopen keeps it, and order."""
    disk, clock = CrashableFiles(), ManualClock()
    failing = FailingFiles(disk, on={"sync"})
    journal = Journal.open(failing, "/j", clock=clock, sync="interval", segment_bytes=200)
    for n in range(5):
        journal.append(1, b"%d" % n, items=1)
    assert disk.list("/j")[-1] > f"{1:020d}.journal"
    failing.fail_at = failing.operations + 1
    clock.advance(100_000_000)
    assert journal.wait(Position(0, 0), 0)
    assert failing.fired == 1
    assert journal.stopped
    with pytest.raises(Busy):
        journal.append(1, b"refused", items=1)
    journal.reopen()
    journal.append(1, b"5", items=1)
    expected = [b"%d" % n for n in range(6)]
    assert [r.payload for r in read_all(journal)] == expected
    assert journal.items == 6
    torn = Journal.open(disk.crash(), "/j", clock=clock)  # what the failed sync left in doubt is counted
    torn.append(1, b"after", items=1)
    assert [(r.payload, r.lost_items) for r in read_all(torn)] == [(b"after", 5)]
    assert not any(region.promised for region in torn.recovery.damaged_regions)
    again = Journal.open(disk.restart(), "/j", clock=clock)
    assert [(r.payload, r.lost_items) for r in read_all(again)] == [(each, 0) for each in expected]


def test_closed_journal_refuses() -> None:
    """After close everything that needs the disk is refused; closing again does nothing."""
    journal = Journal.open(CrashableFiles(), "/j", clock=ManualClock())
    journal.append(1, b"a")
    journal.close()
    journal.close()
    for action in (
        lambda: journal.append(1, b"b"),
        lambda: journal.read(Position(0, 0), 1),
        journal.sync,
        journal.reopen,
    ):
        with pytest.raises(ShuttingDown):
            action()


def test_stopped_journal_closes_without_a_mark() -> None:
    """Closing a stopped journal writes nothing more and does not raise."""
    disk = CrashableFiles()
    failing = FailingFiles(disk, on={"sync"}, fail_at=2, lasting=True)
    journal = Journal.open(failing, "/j", clock=ManualClock())
    journal.append(1, b"a")
    with pytest.raises(Busy):
        journal.append(1, b"b")
    operations = disk.operations
    journal.close()
    assert disk.operations == operations
