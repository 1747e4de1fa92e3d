"""The power goes, or the disk fails, at every single operation of a workload."""

import errno
from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest

from otel_ext.errors import Busy, DataFolderError
from otel_ext.files import Files
from otel_ext.journal import Journal, Position, scan
from otel_ext.testing import CrashableFiles, FailingFiles, ManualClock, PowerCut, read_all

T = TypeVar("T")

SMALL = 260
"""Bytes of a segment: two or three of the small records."""


class History:
    """What a workload knows: acknowledged payloads, the one in flight, and up to where it released."""

    def __init__(self) -> None:
        self.acked: list[bytes] = []
        self.in_flight: bytes | None = None
        self.released = 0

    def append(self, journal: Journal, payload: bytes) -> Position:
        """Append and remember whether it was acknowledged."""
        self.in_flight = payload
        end = journal.append(1, payload, items=1)
        self.acked.append(payload)
        self.in_flight = None
        return end


def workload(files: Files, history: History) -> None:
    """Two lives of a journal: appends over several segments, reading, releasing, closing."""
    for life in range(2):
        journal = Journal.open(files, "/j", clock=ManualClock(), segment_bytes=SMALL)
        for n in range(7):
            end = history.append(journal, b"%d-%d" % (life, n) * (n + 1))
            if n == 4:
                assert [r.payload for r in read_all(journal)][-1] == history.acked[-1]
                history.released = len(history.acked)
                journal.release(end)
        journal.close()


def check(disk: CrashableFiles, history: History) -> None:
    """Every acknowledged record is there, in order, once; at most the one in flight besides."""
    assert scan(disk, "/j").missing_segments == [] if disk.exists("/j") else True
    journal = Journal.open(disk, "/j", clock=ManualClock(), segment_bytes=SMALL)
    records = read_all(journal)
    found = [record.payload for record in records]
    if history.in_flight is not None and found[-1:] == [history.in_flight]:
        history.acked.append(history.in_flight)
    assert found == history.acked[len(history.acked) - len(found) :]
    assert len(found) >= len(history.acked) - history.released
    assert all(record.lost_items == 0 for record in records)
    assert not journal.recovery.damaged_regions
    assert journal.items == len(history.acked)
    before = set(disk.list("/j"))
    end = journal.append(2, b"after", items=1)
    assert f"{end.segment:020d}.journal" not in before
    assert [r.payload for r in read_all(journal)] == [*found, b"after"]
    again = Journal.open(disk.crash(), "/j", clock=ManualClock(), segment_bytes=SMALL)
    assert [r.payload for r in read_all(again)] == [*found, b"after"]
    assert again.recovery.damaged_regions == []


def total_operations() -> int:
    """How many operations the workload takes: the points to crash at."""
    disk = CrashableFiles()
    workload(disk, History())
    return disk.operations


def test_power_cut_after_every_operation() -> None:
    """Whatever operation the power goes at, and whatever unsynced bytes and names survive, L1 holds."""
    points = total_operations()
    assert points > 60
    crashed = 0
    for point in range(1, points + 1):
        for seed in (None, *range(12)):
            disk, history = CrashableFiles(crash_at=point), History()
            with pytest.raises(PowerCut):
                workload(disk, history)
            assert disk.crashed
            crashed += 1
            check(disk.crash(None if seed is None else Random(seed * 1000 + point)), history)
    assert crashed == 13 * points


def test_kill_then_power_cut_after_every_operation() -> None:
    """What recovery hands out after a kill is still there when the power goes right after it."""
    points = total_operations()
    for point in range(1, points + 1):
        disk, history = CrashableFiles(crash_at=point), History()
        with pytest.raises(PowerCut):
            workload(disk, history)
        alive = disk.restart()  # the process died here, the machine did not
        first = Journal.open(alive, "/j", clock=ManualClock(), segment_bytes=SMALL)
        shown = read_all(first)
        second = Journal.open(alive.crash(), "/j", clock=ManualClock(), segment_bytes=SMALL)
        assert read_all(second) == shown
        assert second.items == first.items


def test_crash_of_the_recovery_itself() -> None:
    """A power cut at any operation of recovery and of the first append after it loses nothing either."""
    disk, history = CrashableFiles(), History()
    journal = Journal.open(disk, "/j", clock=ManualClock(), segment_bytes=SMALL)
    for n in range(5):
        history.append(journal, b"%d" % n)
    points = 0
    for point in range(1, 50):
        again = disk.crash(Random(point))
        again.crash_at = point
        try:
            journal = Journal.open(again, "/j", clock=ManualClock(), segment_bytes=SMALL)
            history.append(journal, b"more")
        except PowerCut:
            points += 1
            check(again.crash(Random(point)), history)
            history.acked = history.acked[:5]
            history.in_flight = None
        else:
            break
    assert points >= 6


FAULTS: list[tuple[int, bool]] = [(errno.EIO, False), (errno.ENOSPC, False), (errno.ENOSPC, True)]


def driven(files: Files, history: History, failures: list[str]) -> None:
    """The workload of somebody who retries what was refused, as a client does."""
    journal = retry(lambda: Journal.open(files, "/j", clock=ManualClock(), segment_bytes=SMALL), failures)
    place = Position(0, 0)
    for n in range(12):
        payload = b"%d" % n * (n + 1)

        def once(payload: bytes = payload) -> Position:
            journal.reopen()
            return history.append(journal, payload)

        place = retry(once, failures)
    assert [r.payload for r in retry(lambda: read_all(journal), failures)] == history.acked
    retry(lambda: journal.release(place), failures)
    history.released = len(history.acked)
    try:
        journal.close()
    except Busy as error:
        failures.append(str(error))


def retry(action: Callable[[], T], failures: list[str]) -> T:
    """Call until it succeeds, noting each refusal; at most four times."""
    for _ in range(4):
        try:
            return action()
        except (Busy, DataFolderError) as error:
            failures.append(str(error))
    raise AssertionError(failures)


@pytest.mark.parametrize(("number", "short"), FAULTS)
def test_every_operation_fails_once(number: int, short: bool) -> None:
    """Whatever operation fails, the caller is told, a retry succeeds, and nothing is lost or doubled."""
    counting = FailingFiles(CrashableFiles())
    driven(counting, History(), [])
    assert counting.operations > 80
    fired = told = 0
    for point in range(1, counting.operations + 1):
        disk = CrashableFiles()
        failing = FailingFiles(disk, fail_at=point, number=number, short=short, forgetful=True)
        history, failures = History(), list[str]()
        driven(failing, history, failures)
        assert failing.fired == 1
        fired += 1
        told += bool(failures)
        assert all(errno.errorcode[number] in f or "cannot" in f or "reopened" in f for f in failures)
        history.in_flight = None
        check(disk.crash(Random(point)), history)
    assert fired == counting.operations
    assert told > fired // 2


@pytest.mark.parametrize(("number", "short"), FAULTS)
def test_disk_that_stays_broken_then_heals(number: int, short: bool) -> None:
    """While writes and syncs keep failing every append is refused; reads go on; healing needs no restart."""
    writing = {"append", "sync", "create", "sync_directory"}
    points = 0
    for point in range(1, 40):
        disk = CrashableFiles()
        failing = FailingFiles(
            disk, fail_at=point, number=number, short=short, on=writing, lasting=True, forgetful=True
        )
        journal: Journal | None = None
        acked: list[bytes] = []
        refused = 0
        try:
            journal = Journal.open(failing, "/j", clock=ManualClock(), segment_bytes=SMALL)
        except DataFolderError:
            assert point == 1
            continue
        for n in range(8):
            payload = b"%d" % n
            try:
                journal.append(1, payload, items=1)
                acked.append(payload)
            except Busy:
                refused += 1
                assert journal.stopped
                with pytest.raises(Busy):
                    journal.reopen()
            assert [r.payload for r in read_all(journal)] == acked
        if not refused:
            break
        points += 1
        assert len(acked) + refused == 8
        failing.heal()
        journal.reopen()
        assert journal.stopped is None
        journal.append(1, b"healed", items=1)
        assert [r.payload for r in read_all(journal)] == [*acked, b"healed"]
        again = Journal.open(disk.crash(Random(point)), "/j", clock=ManualClock())
        assert [r.payload for r in read_all(again)] == [*acked, b"healed"]
        assert again.items == len(acked) + 1
        assert not again.recovery.damaged_regions
    assert points > 15
