"""Sealed files are told, compressed and removed; a crash anywhere loses nothing and says nothing twice."""

import errno
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from otel_ext.files import File, Files
from otel_ext.sessions import FileState, Policy
from otel_ext.testing import CrashableFiles, PowerCut, WrappedFiles
from tests.sessions.world import FOLDER, HOUR, Event, World, line
from tests.support import RAM

pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")

EVERYTHING = Policy(compress_after=HOUR, max_age=5 * HOUR, max_files=6, turn_files=2)


def workload(world: World, journal_from: int = 0) -> None:
    """Files of several sessions that rotate, end, come back, are compressed and removed."""
    number = journal_from
    for hour in range(9):
        for session in ("a", "b", f"c{hour // 2}"):
            for _ in range(3):
                number += 1
                world.happen(Event("line", session, hour * HOUR + number, line(number)))
        if hour % 2:
            world.happen(Event("end", "b", hour * HOUR + number))
            world.happen(Event("end", f"c{hour // 2}", hour * HOUR + number))
        world.flush()
        world.keep(hour * HOUR + number)
    world.keep(9 * HOUR, closing=True)


def finished(files: Files, catalog: Path, journal: list[Event], policy: Policy = EVERYTHING) -> list[str]:
    """Start again after a crash, finish what was interrupted; what does not agree."""
    world = World(files, catalog, journal, policy)
    try:
        world.keep(9 * HOUR)
        return list(world.faults())
    finally:
        world.close()


def test_everything_is_done_in_the_workload(tmp_path: Path) -> None:
    """The workload does what the sweeps below need: tells, compresses, removes, purges."""
    files, journal = CrashableFiles(), list[Event]()
    world = World(files, tmp_path / "c", journal, EVERYTHING)
    workload(world)
    stats = world.stats.snapshot()
    assert list(world.faults()) == []
    assert set(files.list(f"{FOLDER}/sessions")) == {row.stored_name for row in world.rows()}
    assert stats["otel_ext.sessions.sealed_files"] >= 15
    assert stats["otel_ext.sessions.compressed_files"] >= 5
    assert stats["otel_ext.sessions.expired_files"] >= 5
    assert {row.state for row in world.rows()} >= {FileState.OPEN, FileState.TOLD, FileState.PACKED}
    assert "c0" not in world.sessions
    assert "a" in world.sessions  # it never ended, so nothing of it was removed
    assert sum(len(world.lines(r)) for r in world.rows() if r.session_id == "a") == 27
    world.close()


def strides(default: int) -> pytest.MarkDecorator:
    """At every so many operations; at all of them in the long run."""
    return pytest.mark.parametrize("stride", [default, pytest.param(1, marks=pytest.mark.long)])


@strides(2)
@pytest.mark.parametrize("seed", [None, 1, pytest.param(2, marks=pytest.mark.long)])
def test_power_cut_after_every_operation(ram: Path, seed: int | None, stride: int) -> None:
    """Wherever the power goes, the next start finishes: each line is there once or expired, and so told."""
    whole = CrashableFiles()
    workload(world := World(whole, ram / "whole", [], EVERYTHING))
    world.close()
    crashed = 0
    for point in range(1 + (seed is None), whole.operations + 1, stride):
        disk, journal = CrashableFiles(crash_at=point), list[Event]()
        world_or_none: World | None = None
        with pytest.raises(PowerCut):
            workload(world_or_none := World(disk, ram / str(point), journal, EVERYTHING))
        if world_or_none is not None:
            world_or_none.catalog.close()
        crashed += disk.crashed
        after = disk.crash(None if seed is None else Random(seed * 1000 + point))
        assert finished(after, ram / str(point), journal) == [], point
    assert (crashed + 1) * stride >= whole.operations > 150


@strides(3)
def test_kill_after_every_operation(ram: Path, stride: int) -> None:
    """The same when the process dies and the machine lives on, and when the power goes after that start."""
    whole = CrashableFiles()
    workload(world := World(whole, ram / "whole", [], EVERYTHING))
    world.close()
    for point in range(stride, whole.operations + 1, stride):
        disk, journal = CrashableFiles(crash_at=point), list[Event]()
        with pytest.raises(PowerCut):
            workload(World(disk, ram / str(point), journal, EVERYTHING))
        alive = disk.restart()
        assert finished(alive, ram / str(point), journal) == [], point
        assert finished(alive.crash(), ram / str(point), journal) == [], point


@strides(3)
def test_what_was_said_is_done_under_other_settings_too(ram: Path, stride: int) -> None:
    """After a crash nothing is to be removed any more: what the manifest said is done."""
    whole = CrashableFiles()
    workload(world := World(whole, ram / "whole", [], EVERYTHING))
    world.close()
    for point in range(stride, whole.operations + 1, stride):
        disk, journal = CrashableFiles(crash_at=point), list[Event]()
        with pytest.raises(PowerCut):
            workload(World(disk, ram / str(point), journal, EVERYTHING))
        assert finished(disk.crash(Random(point)), ram / str(point), journal, Policy()) == [], point


@pytest.mark.parametrize("stride", [39, pytest.param(13, marks=pytest.mark.long)])
def test_a_second_crash_while_the_first_is_finished(ram: Path, stride: int) -> None:
    """Recovery itself is cut at every operation; the third start finishes."""
    points = 0
    for first in range(20, 200, stride):
        for second in range(1, 40):
            name = ram / f"{first}-{second}"
            disk, journal = CrashableFiles(crash_at=first), list[Event]()
            with pytest.raises(PowerCut):
                workload(World(disk, name, journal, EVERYTHING))
            again = disk.crash(Random(first))
            again.crash_at = second
            try:
                assert finished(again, name, journal) == []
            except PowerCut:
                points += 1
                assert finished(again.crash(Random(second)), name, journal) == []
            else:
                break
    assert points * stride > 1300


def test_files_of_an_active_generation_stay_whatever_the_limits(tmp_path: Path) -> None:
    """The oldest sealed files go first, but never those of a session that goes on."""
    policy = Policy(max_files=1, max_bytes=1, max_age=1)
    world = World(CrashableFiles(), tmp_path / "c", [], policy)
    for number in range(40):
        world.happen(Event("line", "open" if number % 2 else "ended", number, line(number)))
    world.happen(Event("end", "ended", 50))
    world.keep(100 * HOUR)
    assert {row.session_id for row in world.rows()} == {"open"}
    assert len(world.sealed()) > 1
    assert world.catalog.session("ended") is None
    assert list(world.faults()) == []
    world.happen(Event("end", "open", 60))
    world.keep(200 * HOUR)
    assert world.rows() == []
    assert list(world.faults()) == []
    world.close()


@pytest.mark.parametrize("limit", [0, 1, 3, 7])
def test_the_oldest_go_until_the_rest_fits(tmp_path: Path, limit: int) -> None:
    """By count: exactly the newest stay, by engine time of sealing, then by number."""
    world = World(CrashableFiles(), tmp_path / "c", [], Policy(max_files=limit))
    for number in range(10):
        session = f"z{9 - number}"  # the order of names is the reverse
        world.happen(Event("line", session, number + 1, line(number)))
        world.happen(Event("end", session, number + 1))
    world.keep(100)
    left = {row.session_id for row in world.rows()}
    assert left == {f"z{9 - n}" for n in range(10 - limit if limit else 0, 10)}
    world.close()


@pytest.mark.parametrize("told", [False, True])
def test_bytes_that_changed_are_never_compressed(tmp_path: Path, told: bool) -> None:
    """Damage before or after a file was told is kept as it is, so that it cannot pass for the truth."""
    disk = CrashableFiles()
    world = World(disk, tmp_path / "c", [], Policy(compress_after=HOUR))
    world.happen(Event("line", "s", 1, line(1)))
    world.happen(Event("end", "s", 1))
    world.checkpoint()
    if told:
        world.keep(1)
    (row,) = world.rows()
    file = disk.open(f"{FOLDER}/sessions/{row.name}")
    data = file.read(0, row.length)
    file.truncate(0)
    file.append(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    world.keep(3 * HOUR)
    (row,) = world.rows()
    assert row.state is (FileState.TOLD if told else FileState.DAMAGED)
    assert bool(row.sha256) is told
    assert disk.list(f"{FOLDER}/sessions") == [row.name]
    assert world.stats.get("otel_ext.sessions.damaged_files") == (not told)
    assert world.stats.get("otel_ext.sessions.unreadable_files") == told
    world.close()


class Stubborn(WrappedFiles):
    """A disk with one name that cannot be read, or not be taken away."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(CrashableFiles(), lambda _, file: file)
        self.name, self.number, self.armed = name, number, True

    def open(self, path: str, *, read_only: bool = False) -> File:
        """See `Files`."""
        if self.armed and read_only and self.number == errno.EIO and path.endswith(self.name):
            raise OSError(self.number, "Input/output error")
        return super().open(path, read_only=read_only)

    def remove(self, path: str) -> None:
        """See `Files`."""
        if self.armed and self.number == errno.EPERM and path.endswith(self.name):
            raise OSError(self.number, "Operation not permitted")
        super().remove(path)


@pytest.mark.parametrize("compress", [0, HOUR])
@pytest.mark.parametrize("number", [errno.EPERM, errno.EIO])
def test_one_file_that_the_disk_holds_on_to_stops_no_other(
    tmp_path: Path, number: int, compress: int
) -> None:
    """It is passed over and counted once; the others go their way; the next start tries again."""
    disk, journal = Stubborn("s0.000001.jsonl", number), list[Event]()
    policy = Policy(compress_after=compress, max_age=0 if compress else HOUR)
    disk.armed = number == errno.EPERM
    world = World(disk, tmp_path / "c", journal, policy)
    for n in range(5):
        world.happen(Event("line", f"s{n}", 1, line(n)))
        world.happen(Event("end", f"s{n}", 1))
    world.keep(2)
    disk.armed = True
    for hour in (2, 3, 4):
        world.keep(hour * HOUR)
    left = [name for name in disk.list(f"{FOLDER}/sessions") if not name.endswith(".zst")]
    fails = number == errno.EPERM or compress
    assert left == (["s0.000001.jsonl"] if fails else [])
    stats = world.stats.snapshot()
    stuck = "unremovable" if number == errno.EPERM else "unreadable"
    assert stats.get(f"otel_ext.sessions.{stuck}_files", 0) == bool(fails)
    done = sum(row.state is FileState.PACKED for row in world.rows())
    assert done == (5 - (number == errno.EIO) if compress else 0)
    world.close()
    disk.armed = False
    world = World(disk, tmp_path / "c", journal, policy)
    world.keep(5 * HOUR)
    assert [name for name in disk.list(f"{FOLDER}/sessions") if not name.endswith(".zst")] == []
    assert not compress or list(world.faults()) == []
    world.close()


def test_compression_does_not_wait_until_nothing_is_to_be_removed(tmp_path: Path) -> None:
    """A turn that removes compresses some as well, and none of those that it removes."""
    world = World(CrashableFiles(), tmp_path / "c", [], Policy(compress_after=1, max_files=9, turn_files=8))
    for number in range(18):
        world.happen(Event("line", f"s{number}", number + 1, line(number)))
        world.happen(Event("end", f"s{number}", number + 1))
    world.keep(100, turns=2)
    world.keep(100, turns=1)
    stats = world.stats.snapshot()
    assert stats["otel_ext.sessions.expired_files"] > 1
    assert stats["otel_ext.sessions.compressed_files"] >= 1
    assert list(world.faults()) == []
    world.close()


class Keeping(RuleBasedStateMachine):
    """Rotation, retention and compression against a model: the list of lines of each session."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=RAM)
        self.disk = CrashableFiles()
        self.journal: list[Event] = []
        self.policy, self.max_bytes = Policy(), 300
        self.now, self.number = 1, 0
        self.names: dict[str, bytes] = {}
        self.world: World

    @initialize()
    def begin(self) -> None:
        """The first start."""
        self.world = self.start()

    def start(self) -> World:
        """A start over what is there; replays what the last checkpoint does not have."""
        return World(
            self.disk, Path(self.folder.name) / "c", self.journal, self.policy, max_bytes=self.max_bytes
        )

    @rule(session=st.sampled_from(["a", "b", "c", "d"]), count=st.integers(1, 6))
    def lines(self, session: str, count: int) -> None:
        """Lines of a session, which wakes it."""
        for _ in range(count):
            self.number += 1
            self.world.happen(Event("line", session, self.now, line(self.number)))
        self.world.flush()

    @rule(session=st.sampled_from(["a", "b", "c", "d"]))
    def end(self, session: str) -> None:
        """A generation ends."""
        if session in self.world.sessions:
            self.world.happen(Event("end", session, self.now))

    @rule(hours=st.sampled_from([0.01, 0.5, 2.0]))
    def wait(self, hours: float) -> None:
        """Engine time passes."""
        self.now += int(hours * HOUR)

    @rule(turns=st.integers(1, 4))
    def keep(self, turns: int) -> None:
        """A checkpoint and some work."""
        before = {row.name: row for row in self.world.sealed()}
        open_sessions = {s.session_id for s in self.world.sessions.values() if not s.ended}
        self.world.keep(self.now, turns=turns)
        gone = before.keys() - {row.name for row in self.world.rows()}
        assert not {before[name].session_id for name in gone} & open_sessions
        assert list(self.world.faults()) == []

    @rule(random=st.randoms(use_true_random=False), power=st.booleans())
    def crash(self, random: Any, power: bool) -> None:
        """The process is killed, or the power goes; then the next start."""
        self.world.close()
        self.disk = self.disk.crash(random) if power else self.disk.restart()
        self.world = self.start()
        self.world.checkpoint()
        assert list(self.world.faults()) == []

    @rule(
        age=st.sampled_from([0, HOUR, 3 * HOUR]),
        files=st.sampled_from([0, 2, 5]),
        size=st.sampled_from([0, 400]),
        compress=st.sampled_from([0, HOUR]),
        max_bytes=st.sampled_from([120, 300]),
    )
    def configure(self, age: int, files: int, size: int, compress: int, max_bytes: int) -> None:
        """Another configuration after a polite stop."""
        self.world.keep(self.now, closing=True)
        self.world.close()
        self.policy = Policy(
            compress_after=compress, max_age=age, max_bytes=size, max_files=files, turn_files=3
        )
        self.max_bytes = max_bytes
        self.world = self.start()

    @precondition(lambda self: self.policy.max_files or self.policy.max_age)
    @rule()
    def limits_hold(self) -> None:
        """With enough turns only what may not go is beyond a limit."""
        self.world.keep(self.now)
        open_sessions = {s.session_id for s in self.world.sessions.values() if not s.ended}
        rows, policy = self.world.rows(), self.policy
        free = [r for r in self.world.sealed() if r.session_id not in open_sessions]
        if policy.max_files:
            assert len(rows) <= policy.max_files or not free
        if policy.max_age:
            assert all(r.sealed_at + policy.max_age > self.now for r in free)

    @invariant()
    def names_are_never_given_again(self) -> None:
        """A name that was durable once never stands for other lines."""
        if not hasattr(self, "world"):
            return
        for row in self.world.rows():
            first = next(iter(self.world.lines(row)), b"")
            assert self.names.setdefault(row.name, first) == first

    def teardown(self) -> None:
        """Close and remove."""
        if hasattr(self, "world"):
            self.world.close()
        self.folder.cleanup()


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
