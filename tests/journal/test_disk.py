"""The real files, the folder's lock, and that the fake keeps the same contract."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_ext.errors import DataFolderError, DataFolderInUse
from otel_ext.files import Files, RealFiles
from otel_ext.journal import FolderLock, Journal
from otel_ext.testing import CrashableFiles, FailingFiles, read_all
from tests.support import child

KINDS: list[Callable[[], Files]] = [RealFiles, CrashableFiles, lambda: FailingFiles(CrashableFiles())]


@pytest.mark.parametrize("make", KINDS)
def test_contract_of_files(make: Callable[[], Files], tmp_path: Path) -> None:
    """Real and fake files behave alike: exclusive creation, reads at the end, names, errors."""
    files, root = make(), str(tmp_path / "a" / "b")
    files.make_directory(root)
    files.make_directory(root)
    file = files.create(f"{root}/x")
    file.append(b"hello ", b"", b"world")
    file.append(b"!")
    file.sync()
    file.settle()
    file.settle(3)
    assert (file.read(0, 100), file.read(6, 5), file.read(50, 5)) == (b"hello world!", b"world", b"")
    assert file.size() == files.size(f"{root}/x") == 12
    with pytest.raises(FileExistsError):
        files.create(f"{root}/x")
    for absent in (lambda: files.open(f"{root}/y"), lambda: files.size(f"{root}/y")):
        with pytest.raises(FileNotFoundError):
            absent()
    with pytest.raises(FileNotFoundError):
        files.remove(f"{root}/y")
    with pytest.raises(FileNotFoundError):
        files.list(f"{root}/none")
    with pytest.raises(FileNotFoundError):
        files.create(f"{root}/none/x")
    file.truncate(5)
    file.append(b"?")
    file.close()
    file.close()
    reading = files.open(f"{root}/x", read_only=True)
    assert reading.read(0, 100) == b"hello?"
    with pytest.raises(OSError, match="Bad file descriptor"):
        reading.append(b"no")
    reading.close()
    files.create(f"{root}/z").close()
    files.rename(f"{root}/x", f"{root}/z")
    assert files.list(root) == ["z"]
    assert files.size(f"{root}/z") == 6
    assert files.exists(f"{root}/z")
    assert not files.exists(f"{root}/x")
    files.sync_directory(root)
    files.remove(f"{root}/z")
    assert files.list(root) == []
    assert files.free_bytes(root) > 0


def test_real_files_are_private_and_close_on_exec(tmp_path: Path) -> None:
    """Folders are 0700, files 0600 whatever the umask, and no child process inherits a descriptor."""
    before = os.umask(0)
    try:
        RealFiles().make_directory(str(tmp_path / "a" / "b"))
        file = RealFiles().create(str(tmp_path / "a" / "b" / "x"))
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / "x").stat().st_mode & 0o777 == 0o600
    open_now = [int(name.name) for name in Path("/proc/self/fd").iterdir() if name.exists()]
    ours = [fd for fd in open_now if Path(f"/proc/self/fd/{fd}").resolve() == tmp_path / "a" / "b" / "x"]
    assert ours
    assert not any(os.get_inheritable(fd) for fd in ours)
    file.close()


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system writes less than asked, the rest follows in order."""
    real_writev, real_write = os.writev, os.write
    monkeypatch.setattr(os, "writev", lambda fd, parts: real_writev(fd, [b"".join(parts)[:3]]))
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:2]))
    file = RealFiles().create(str(tmp_path / "x"))
    file.append(b"abcdef", b"ghij")
    monkeypatch.undo()
    assert file.read(0, 100) == b"abcdefghij"
    file.close()


def test_second_owner_is_refused_and_told_the_first(tmp_path: Path) -> None:
    """One live process owns a folder; another is told its id; a dead owner's folder is free."""
    folder = str(tmp_path / "data")
    told = rf"in use by process {os.getpid()}; stop it or choose"
    with FolderLock.acquire(folder), pytest.raises(DataFolderInUse, match=told):
        FolderLock.acquire(folder)
    script = (
        "import sys; from otel_ext.journal import FolderLock; lock = FolderLock.acquire(sys.argv[1]);"
        "print('held', flush=True); sys.stdin.read()"
    )
    call = [sys.executable, "-c", script, folder]
    with child(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(DataFolderInUse, match=f"process {owner.pid};"):
            FolderLock.acquire(folder)
        owner.kill()
    lock = FolderLock.acquire(folder)
    assert Path(folder, "LOCK").read_text(encoding="ascii") == f"{os.getpid()}\n"
    lock.release()
    lock.release()


def test_forked_child_that_abandons_leaves_the_parents_lock(tmp_path: Path) -> None:
    """Dropping an inherited copy of the lock does not unlock; releasing does, copies or not."""
    folder = str(tmp_path)
    lock = FolderLock.acquire(folder)
    copy = os.dup(lock._descriptor)
    FolderLock(folder, os.dup(copy), inherited=False).abandon()
    with pytest.raises(DataFolderInUse):
        FolderLock.acquire(folder)
    lock.release()
    FolderLock.acquire(folder).release()
    os.close(copy)


def test_unusable_folder_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be made or written names the path, the cause, the user and the way out."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataFolderError, match=rf"{tmp_path}/file/x as uid \d+: .*choose another --data"):
        FolderLock.acquire(str(tmp_path / "file" / "x"))

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataFolderError, match=r"EROFS.*read-only: remount it"):
        FolderLock.acquire(str(tmp_path))


def test_journal_on_real_files(tmp_path: Path) -> None:
    """A journal on the real disk survives reopening, releases space, and gives every descriptor back."""
    folder = str(tmp_path / "j")
    journal = Journal.open(RealFiles(), folder, segment_bytes=100_000)
    payloads = [bytes([n]) * 30_000 for n in range(30)]
    for payload in payloads:
        journal.append(1, payload, items=1)
    assert [r.payload for r in read_all(journal, max_bytes=1)] == payloads
    middle = read_all(journal)[14].end
    assert journal.release(middle) > 300_000
    journal.close()
    again = Journal.open(RealFiles(), folder)
    assert [r.payload for r in read_all(again)][-15:] == payloads[15:]
    assert again.distance(again.start, again.readable_end) > 15 * 30_000
    again.abandon()
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [link for link in links if link.startswith(str(tmp_path))]
