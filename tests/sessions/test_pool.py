"""Thousands of open sessions: few descriptors, and one sync for all of their files."""

import contextlib
from pathlib import Path

import pytest

from otel_ext.files import RealFiles
from otel_ext.sessions import Catalog, Streams
from otel_ext.sessions.pool import FilePool
from otel_ext.stats import Stats
from otel_ext.testing import CrashableFiles, FailingFiles, content

SESSIONS = 3000


def descriptors(folder: Path) -> int:
    """How many of a folder, itself and its files, this process has open; others' leftovers are no matter."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that this loop reads with
            found += link.readlink().is_relative_to(folder)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_thousands_of_open_sessions_take_few_descriptors(tmp_path: Path) -> None:
    """Each of 3,000 sessions gets lines in turn; no more than the bound are open at any time."""
    (tmp_path / "sessions").mkdir()
    catalog, stats = Catalog(tmp_path / "catalog"), Stats()
    streams = Streams(
        RealFiles(),
        str(tmp_path / "sessions"),
        stock=catalog.stock,
        following=1,
        now=0,
        header=lambda name, *_: b'{"otel_ext":"%s"}\n' % name.encode(),
        engine_id="e",
        max_bytes=1 << 20,
        max_age=0,
        stats=stats,
        open_files=50,
        sync_each=100,
    )
    most = 0
    for turn in range(3):
        for number in range(SESSIONS):
            streams.append(f"s{number}", b"%d\n" % turn)
            if number % 500 == 0:
                streams.flush()
                most = max(most, descriptors(tmp_path / "sessions"))
        streams.sync()
        most = max(most, descriptors(tmp_path / "sessions"))
    assert 0 < most <= 51  # and the disk itself
    assert stats.get("otel_ext.sessions.disk_syncs") == 3
    assert stats.get("otel_ext.sessions.file_syncs") == 0
    streams.close()
    assert descriptors(tmp_path / "sessions") == 0
    texts = {path.read_bytes().partition(b"\n")[2] for path in (tmp_path / "sessions").iterdir()}
    assert texts == {b"0\n1\n2\n"}
    catalog.close()


@pytest.mark.parametrize("files", [1, 7, 8, 40])
def test_what_was_synced_survives_a_power_cut_either_way(files: int) -> None:
    """By each file up to the bound, by the disk above it: content and names are there after the cut."""
    disk, stats = CrashableFiles(), Stats()
    disk.make_directory("/d")
    pool = FilePool(disk, "/d", stats, most=3, sync_each=7)
    for number in range(files):
        pool.wrote(f"{number}")
        pool.file(f"{number}", new=True).append(b"%d" % number)
    pool.sync()
    pool.wrote("0")
    pool.file("0").append(b" lost")
    after = disk.crash()
    assert {name: content(after, f"/d/{name}") for name in after.list("/d")} == {
        f"{number}": b"%d" % number for number in range(files)
    }
    assert (stats.get("otel_ext.sessions.disk_syncs") == 1) is (files > 7)


def test_without_syncfs_each_file_is_synced() -> None:
    """Where the system cannot sync a whole disk, nothing is lost but time."""

    class Old(CrashableFiles):
        def open_disk(self, path: str) -> None:  # type: ignore[override]
            return None

    disk, stats = Old(), Stats()
    disk.make_directory("/d")
    pool = FilePool(disk, "/d", stats, most=3, sync_each=1)
    for number in range(5):
        pool.wrote(f"{number}")
        pool.file(f"{number}", new=True).append(b"x")
    pool.sync()
    assert len(disk.crash().list("/d")) == 5
    assert stats.get("otel_ext.sessions.file_syncs") == 5


def test_a_disk_that_fails_to_sync_says_so(tmp_path: Path) -> None:
    """The error of syncfs is the checkpoint's, as that of fdatasync is."""
    pool = FilePool(
        FailingFiles(RealFiles(), fail_at=1, on={"sync_disk"}), str(tmp_path), Stats(), sync_each=0
    )
    pool.wrote("a")
    pool.file("a", new=True).append(b"x")
    with pytest.raises(OSError, match="Input/output"):
        pool.sync()
    pool.sync()
    pool.close()
