"""The disk is full: the reserve is given up, checkpoint and retention go on, and it is made again."""

import errno
import sqlite3
from pathlib import Path

import msgspec
import pytest

from otel_ext.cli.folder import engines
from otel_ext.cli.verify import check_engine
from otel_ext.errors import DataFolderError, DataFolderInUse
from otel_ext.files import File, RealFiles
from otel_ext.pipeline import Engine
from otel_ext.pipeline.reserve import Reserve
from otel_ext.sessions.database import Database
from otel_ext.stats import Stats
from otel_ext.testing import FailingFiles, WrappedFile, WrappedFiles
from tests.builders import looping_run, request
from tests.pipeline.test_failures import SETTINGS, send, stored
from tests.support import until

SIZE = 1 << 16
FULL = msgspec.structs.replace(SETTINGS, reserve=SIZE, idle_timeout=0.2, retention_files=4)


class SmallDisk(WrappedFiles):
    """A disk that is full while `other` programs and the reserve leave no room for session files."""

    def __init__(self) -> None:
        super().__init__(RealFiles(), self.wrapped)
        self.full = False
        self.reserve: Path | None = None

    def wrapped(self, path: str, file: File) -> File:
        """Files whose writes need room."""
        if path.endswith("RESERVE"):
            self.reserve = Path(path)
            return file
        if "/journal/" in path or path.endswith("LOCK"):
            return file  # the journal's own limit is `min_free`
        return NeedsRoom(self, file)

    def no_room(self) -> bool:
        """Whether a write fails now."""
        return self.full and self.reserve is not None and self.reserve.exists()

    def free_bytes(self, path: str) -> int:
        """Nothing, while full."""
        return 0 if self.full else super().free_bytes(path)


class NeedsRoom(WrappedFile):
    """A file on a `SmallDisk`."""

    def __init__(self, disk: SmallDisk, file: File) -> None:
        super().__init__(file)
        self.disk = disk

    def append(self, *parts: bytes) -> None:
        """Write, or say that the disk is full."""
        if self.disk.no_room():
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(*parts)


def test_a_full_disk_takes_the_reserve_and_is_survived_without_restart(tmp_path: Path) -> None:
    """The pipeline goes on at once with what the reserve freed; when there is room, it is made again."""
    disk, stats = SmallDisk(), Stats()
    engine = Engine(tmp_path, FULL, files=disk, stats=stats)
    reserve = tmp_path / "engines/main/RESERVE"
    engine.start()
    until(lambda: reserve.exists() and reserve.stat().st_size == SIZE, "the reserve to be made")
    assert reserve.stat().st_blocks * 512 >= SIZE
    send(engine, request(*looping_run(1, "a", rounds=4)))
    until(lambda: engine.ledger["stored"] == 5, "the first request")
    disk.full = True
    for number in range(2, 9):
        send(engine, request(*looping_run(number, f"s{number}", rounds=4)))
    until(lambda: engine.ledger["stored"] == 40, "everything to be stored on the full disk")
    until(lambda: stats.get("otel_ext.sessions.expired_files") > 0, "retention on the full disk")
    assert stats.get("otel_ext.pipeline.reserves_given_up") == 1
    assert not reserve.exists()
    disk.full = False
    send(engine, request(*looping_run(9, "s9", rounds=4)))
    until(lambda: reserve.exists() and reserve.stat().st_size == SIZE, "the reserve to be made again")
    assert engine.close()
    (folder,) = engines(tmp_path)
    report = check_engine(folder)
    assert report["damage"] == []
    assert report["stored"] == 45
    assert set(stored(tmp_path).values()) == {1}


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_only_a_full_disk_takes_the_reserve(tmp_path: Path, number: int) -> None:
    """Other errors do not, and it is given up once."""
    reserve = Reserve(RealFiles(), str(tmp_path), SIZE, 0, Stats())
    reserve.keep()
    error = OSError(number, "x")
    assert reserve.give(error) is (number == errno.ENOSPC)
    assert (tmp_path / "RESERVE").exists() is (number != errno.ENOSPC)
    assert not reserve.give(OSError(errno.EIO, "x"))
    assert reserve.give(OSError(errno.EDQUOT, "x")) is (number != errno.ENOSPC)


def test_a_reserve_that_cannot_be_made_stops_nobody(tmp_path: Path) -> None:
    """No room, a failing disk, a file of another size: each is met quietly."""
    Reserve(RealFiles(), str(tmp_path), SIZE, 1 << 62, Stats()).keep()
    assert not (tmp_path / "RESERVE").exists()
    failing = FailingFiles(RealFiles(), fail_at=1, number=errno.ENOSPC, on={"allocate"})
    reserve = Reserve(failing, str(tmp_path), SIZE, 0, Stats())
    reserve.keep()
    assert failing.fired == 1
    reserve.keep()
    assert (tmp_path / "RESERVE").stat().st_size == SIZE
    Reserve(RealFiles(), str(tmp_path), 2 * SIZE, 0, Stats()).keep()
    assert (tmp_path / "RESERVE").stat().st_size == 2 * SIZE


class Sick(SmallDisk):
    """A disk that has other words for being full."""

    number = errno.ENOSPC

    def make_directory(self, path: str) -> None:
        """Fail while full."""
        if self.no_room():
            raise OSError(self.number, "no")
        super().make_directory(path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_start_on_a_full_disk_takes_the_reserve(tmp_path: Path, number: int) -> None:
    """What lies there is given up, and opening is tried once more; a sick disk is refused."""
    reserve = tmp_path / "engines/main/RESERVE"
    reserve.parent.mkdir(parents=True)
    disk, stats = Sick(), Stats()
    disk.number, disk.full, disk.reserve = number, True, reserve
    reserve.write_bytes(bytes(SIZE))
    Engine(tmp_path, FULL, files=disk, stats=stats).abandon()
    assert stats.get("otel_ext.pipeline.reserves_given_up") == 1
    assert not reserve.exists()
    reserve.write_bytes(bytes(SIZE))
    disk.number, free = errno.EIO, RealFiles().free_bytes
    disk.free_bytes = free  # type: ignore[method-assign]
    with pytest.raises(DataFolderError, match="EIO"):
        Engine(tmp_path, FULL, files=disk, stats=stats)
    assert reserve.exists()


def test_an_owner_that_lives_keeps_its_reserve(tmp_path: Path) -> None:
    """A second engine on the folder gives up nothing."""
    engine = Engine(tmp_path, FULL, files=(disk := SmallDisk()))
    reserve = tmp_path / "engines/main/RESERVE"
    reserve.write_bytes(bytes(SIZE))
    disk.full = True
    with pytest.raises(DataFolderInUse):
        Engine(tmp_path, FULL, files=disk)
    assert reserve.exists()
    engine.abandon()


@pytest.mark.parametrize("size", [0, SIZE // 2])
def test_a_reserve_of_other_settings_goes(tmp_path: Path, size: int) -> None:
    """Smaller or none: the space is free at the start."""
    path = tmp_path / "RESERVE"
    path.write_bytes(bytes(SIZE))
    Reserve(RealFiles(), str(tmp_path), size, 0, Stats())
    assert not path.exists()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR])
@pytest.mark.parametrize("full", [False, True])
def test_whatever_sqlite_calls_a_full_disk_takes_the_reserve(tmp_path: Path, code: int, full: bool) -> None:
    """An I/O error counts when nothing is free."""
    disk = SmallDisk()
    disk.full = full
    (tmp_path / "RESERVE").write_bytes(bytes(SIZE))
    reserve = Reserve(disk, str(tmp_path), SIZE, 0, Stats())
    database = Database(tmp_path / "c", read_only=False)
    failure = sqlite3.OperationalError("x")
    failure.sqlite_errorcode = code
    with pytest.raises(OSError, match="could not be written") as caught, database.transaction():
        raise failure
    database.connection.close()
    assert reserve.give(caught.value) is (full or code == sqlite3.SQLITE_FULL)
