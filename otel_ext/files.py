"""The one door to the disk: what a durable room asks of files, and the real answer.

Law of this file: `append` writes all or raises, `sync` returning means that the bytes are on the disk,
and a name (created, renamed, removed) is on the disk only after `sync_directory`. Everything is opened
close-on-exec, nothing is buffered in Python, folders are 0700 and files 0600 (L12). Errors are plain
`OSError`; the rooms above say what they mean. The fakes of `otel_ext.testing` keep the same contract.
"""

import os
from pathlib import Path
from typing import Protocol

from otel_ext.disk import Disk, open_disk

_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700
_PAGE = os.sysconf("SC_PAGE_SIZE")


class File(Protocol):
    """One open file; offsets and sizes are bytes. Every method may raise `OSError`."""

    def append(self, *parts: bytes) -> None:
        """Write the parts at the end, in order and without joining them: all, or an error."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only where the file ends."""
        ...

    def size(self) -> int:
        """The file's present length."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size`."""
        ...

    def sync(self) -> None:
        """Return once every byte written so far is on the disk (fdatasync)."""
        ...

    def allocate(self, size: int) -> None:
        """Make the file at least `size` long, its blocks taken from the disk now; new bytes are zero."""
        ...

    def settle(self, start: int = 0) -> None:
        """`sync`, then forget cached pages from `start` on: later reads say what the disk really holds.

        After a failed fsync the kernel marks pages clean that never reached the disk; a new process
        that trusted them would hand out records that the next power cut takes back.
        """
        ...

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        ...


class Files(Protocol):
    """A file system as this package uses it. Paths are plain strings; every method may raise `OSError`."""

    def create(self, path: str) -> File:
        """A new file for reading and appending; `FileExistsError` when the name is taken."""
        ...

    def open(self, path: str, *, read_only: bool = False) -> File:
        """An existing file for reading and appending, or only for reading."""
        ...

    def open_disk(self, path: str) -> Disk | None:
        """The disk that holds the folder `path`; None where a whole disk cannot be synced and errors told."""
        ...

    def list(self, directory: str) -> list[str]:
        """The names in a folder, sorted."""
        ...

    def exists(self, path: str) -> bool:
        """Whether anything has this name."""
        ...

    def size(self, path: str) -> int:
        """A file's length in bytes."""
        ...

    def make_directory(self, path: str) -> None:
        """The folder and its missing parents, each durable before this returns; it may exist already."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name in one step; an existing file of that name is replaced."""
        ...

    def remove(self, path: str) -> None:
        """Take a file's name away."""
        ...

    def sync_directory(self, path: str) -> None:
        """Return once all creations, renames and removals in the folder are on the disk."""
        ...

    def free_bytes(self, path: str) -> int:
        """Bytes that an unprivileged process may still write on the disk that holds `path`."""
        ...


class RealFile:
    """A file of the operating system."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def append(self, *parts: bytes) -> None:
        """Write all parts with one system call; more only after a short write."""
        written = os.writev(self._descriptor, parts)
        total = sum(map(len, parts))
        if written == total:
            return
        rest = memoryview(b"".join(parts))[written:]  # rare: a signal, or the disk is nearly full
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`, without moving any shared file position."""
        data = os.pread(self._descriptor, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]
        got = len(data)
        while got < size and (data := os.pread(self._descriptor, size - got, offset + got)):
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def size(self) -> int:
        """The file's present length."""
        return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        """Cut the file to `size`."""
        os.ftruncate(self._descriptor, size)

    def sync(self) -> None:
        """Flush content and length to the disk."""
        os.fdatasync(self._descriptor)

    def allocate(self, size: int) -> None:
        """Take the blocks (posix_fallocate)."""
        os.posix_fallocate(self._descriptor, 0, size)

    def settle(self, start: int = 0) -> None:
        """Flush, then drop the file's cached pages."""
        os.fdatasync(self._descriptor)
        # The kernel drops whole pages only, so the one that `start` lies in would stay.
        os.posix_fadvise(self._descriptor, start - start % _PAGE, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the descriptor once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealFiles:
    """The operating system's files."""

    def create(self, path: str) -> File:
        """A new file, 0600, exclusive."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return RealFile(os.open(path, flags, _FILE_MODE))

    def open(self, path: str, *, read_only: bool = False) -> File:
        """An existing file."""
        flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_APPEND
        return RealFile(os.open(path, flags | os.O_CLOEXEC))

    def open_disk(self, path: str) -> Disk | None:
        """The disk below a folder."""
        return open_disk(path)

    def list(self, directory: str) -> list[str]:
        """The names in a folder, sorted."""
        return sorted(entry.name for entry in Path(directory).iterdir())

    def exists(self, path: str) -> bool:
        """Whether anything has this name, a dangling link included."""
        return os.path.lexists(path)

    def size(self, path: str) -> int:
        """A file's length."""
        return Path(path).stat().st_size

    def make_directory(self, path: str) -> None:
        """Make what is missing from the top down; each new name is synced in its parent."""
        folder = Path(path)
        missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
        for each in reversed(missing):
            each.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)  # another process may make the same one
            self.sync_directory(str(each.parent))

    def rename(self, old: str, new: str) -> None:
        """Rename in one step, replacing."""
        Path(old).replace(new)

    def remove(self, path: str) -> None:
        """Unlink."""
        Path(path).unlink()

    def sync_directory(self, path: str) -> None:
        """Fsync the folder itself."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: str) -> int:
        """Free bytes for an unprivileged writer."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize
