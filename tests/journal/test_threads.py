"""Many threads: group commit, order, waiting and waking."""

import threading
from pathlib import Path

from otel_ext.files import File, RealFiles
from otel_ext.journal import Journal, Position, Record
from otel_ext.testing import CrashableFiles, ManualClock, WrappedFile, WrappedFiles, read_all


def test_one_sync_serves_all_that_wait() -> None:
    """While one sync is under way others append; the next single sync acknowledges all of them."""
    disk = CrashableFiles()
    entered, proceed, all_written = threading.Event(), threading.Event(), threading.Event()
    syncs, written = [], []

    class Gate(WrappedFile):
        def append(self, *parts: bytes) -> None:
            super().append(*parts)
            if len(parts) == 2:
                written.append(parts)
                if len(written) == 16:
                    all_written.set()

        def sync(self) -> None:
            syncs.append(len(written))
            if len(syncs) == 1:
                entered.set()
                assert proceed.wait(20)
            super().sync()

    journal = Journal.open(WrappedFiles(disk, lambda _, file: Gate(file)), "/j", clock=ManualClock())
    ends: dict[int, Position] = {}

    def append(n: int) -> None:
        ends[n] = journal.append(1, b"%02d" % n, items=1)

    leader = threading.Thread(target=append, args=(0,))
    leader.start()
    assert entered.wait(20)
    assert journal.durable_end == Position(0, 0)
    followers = [threading.Thread(target=append, args=(n,)) for n in range(1, 16)]
    for thread in followers:
        thread.start()
    assert all_written.wait(20)
    assert not ends, "nobody is acknowledged before a sync returned"
    assert read_all(journal) == []
    proceed.set()
    for thread in (leader, *followers):
        thread.join(20)
    assert syncs == [1, 16]
    records = read_all(journal)
    assert sorted((r.end, r.payload) for r in records) == sorted((e, b"%02d" % n) for n, e in ends.items())
    assert read_all(Journal.open(disk.crash(), "/j", clock=ManualClock())) == records


def test_every_acknowledged_record_is_durable_at_once(tmp_path: Path) -> None:
    """Under concurrent appends to real files each acknowledgement is covered by the durable end."""
    journal = Journal.open(RealFiles(), str(tmp_path / "j"), segment_bytes=5000)
    ends: list[list[Position]] = [[] for _ in range(8)]
    late: list[Position] = []

    def work(worker: int) -> None:
        for n in range(50):
            end = journal.append(worker + 1, b"%d" % n * 20, items=2)
            if journal.durable_end < end:
                late.append(end)
            ends[worker].append(end)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    place = Position(0, 0)
    seen: list[Record] = []
    while len(seen) < 400:
        assert journal.wait(place, 20)
        batch = journal.read(place, 2000)
        assert batch[-1].end <= journal.durable_end
        seen += batch
        place = batch[-1].end
    for thread in threads:
        thread.join(20)
    assert not late
    assert [r.end for r in seen] == sorted(end for each in ends for end in each)
    for worker in range(8):
        assert [r.end for r in seen if r.kind == worker + 1] == ends[worker]
    assert [r.engine for r in seen] == sorted(r.engine for r in seen)
    assert journal.items == 800
    journal.close()
    assert read_all(Journal.open(RealFiles(), str(tmp_path / "j"))) == seen


def test_wait_returns_for_a_record_and_for_a_wake() -> None:
    """A waiting reader is roused by a durable record, and by wake even if it came before the wait."""
    journal = Journal.open(CrashableFiles(), "/j", clock=ManualClock())
    results: list[bool] = []
    reader = threading.Thread(target=lambda: results.append(journal.wait(Position(0, 0), 60)))
    reader.start()
    end = journal.append(1, b"a")
    reader.join(20)
    assert results == [True]
    journal.wake()
    assert not journal.wait(end, 60)
    sleeper = threading.Thread(target=lambda: results.append(journal.wait(end, 60)))
    sleeper.start()
    journal.wake()
    sleeper.join(20)
    assert results == [True, False]
    assert not journal.wait(end, 0)


def test_interval_mode_syncs_in_the_readers_wait() -> None:
    """In mode interval appends do not sync; the reader's wait does once the interval has passed."""
    disk, clock = CrashableFiles(), ManualClock()
    syncs: list[str] = []

    class Counting(WrappedFile):
        def sync(self) -> None:
            syncs.append(threading.current_thread().name)
            super().sync()

    def wrap(_: str, file: File) -> File:
        return Counting(file)

    journal = Journal.open(WrappedFiles(disk, wrap), "/j", sync="interval", sync_interval=1.0, clock=clock)
    end = journal.append(1, b"a")
    assert not syncs
    assert journal.wait(Position(0, 0), 0), "readable before it is durable"
    assert journal.durable_end == Position(0, 0)
    clock.advance(999_999_999)
    journal.append(1, b"b")
    journal.wait(Position(0, 0), 0)
    assert not syncs
    clock.advance(1)
    journal.wait(Position(0, 0), 0)
    assert len(syncs) == 1
    assert journal.durable_end > end
    journal.append(1, b"c")
    clock.advance(2_000_000_000)
    journal.append(1, b"d")
    assert len(syncs) == 2, "where nobody reads, an appender syncs after two intervals"
    journal.sync()
    assert len(syncs) == 2
    assert len(read_all(Journal.open(disk.crash(), "/j", clock=clock))) == 4


def test_never_mode_leaves_syncing_to_the_system() -> None:
    """In mode never only close syncs; a power cut before may take everything, a kill nothing."""
    disk = CrashableFiles()
    journal = Journal.open(disk, "/j", sync="never", clock=ManualClock(), segment_bytes=200)
    for n in range(5):
        journal.append(1, b"%d" % n)
    assert journal.durable_end == Position(0, 0)
    assert len(read_all(journal)) == 5
    killed = disk.restart()
    assert len(read_all(Journal.open(killed, "/j", clock=ManualClock()))) == 5
    assert read_all(Journal.open(disk.crash(), "/j", clock=ManualClock())) == []
