"""Any disk, with one operation (or all from one on) that fails as told.

Law of this file: it says whether the failure happened, so that a test can prove that it saw one.
"""

import errno as errno_codes
import os
import threading
from collections.abc import Collection

from otel_ext.disk import Disk
from otel_ext.files import File, Files
from otel_ext.testing.crashable_file import CrashableFile

OPERATIONS = frozenset(
    {
        *("append", "read", "size", "truncate", "sync", "allocate", "settle"),
        *("create", "open", "list", "exists", "file_size", "make_directory"),
        *("rename", "remove", "sync_directory", "free_bytes", "open_disk", "sync_disk"),
    }
)
"""What can be told to fail; `file_size` is `Files.size`."""


class FailingFiles:
    """Wraps `files` and keeps its contract, but for the failures asked for.

    Attributes:
        fail_at: which counted operation fails, from 1; None for never.
        number: the errno it fails with.
        on: the names (`OPERATIONS`) that count.
        short: a failing append first writes half of its bytes, as a nearly full disk does.
        forgetful: on `CrashableFiles`, a failing sync leaves pages that count as clean, as Linux does: every
            reader sees them, no later sync writes them, and the next power cut takes them.
        lasting: every counted operation from `fail_at` on fails, until `heal`.
        operations: how many counted operations there were.
        fired: how many failures happened.
    """

    def __init__(
        self,
        files: Files,
        *,
        fail_at: int | None = None,
        number: int = errno_codes.EIO,
        on: Collection[str] = OPERATIONS,
        short: bool = False,
        forgetful: bool = False,
        lasting: bool = False,
    ) -> None:
        self._files = files
        self.fail_at = fail_at
        self.number = number
        self.on = on
        self.short = short
        self.forgetful = forgetful
        self.lasting = lasting
        self.operations = 0
        self.fired = 0
        self._lock = threading.Lock()

    def heal(self) -> None:
        """No more failures; what was counted stays."""
        self.fail_at = None

    def due(self, name: str) -> OSError | None:
        """Count one operation; the error if it has to fail."""
        if name not in self.on:
            return None
        with self._lock:
            self.operations += 1
            if self.fail_at is None or self.operations < self.fail_at:
                return None
            if self.operations > self.fail_at and not self.lasting:
                return None
            self.fired += 1
            return OSError(self.number, os.strerror(self.number))

    def step(self, name: str) -> None:
        """Count one operation and fail if it is time."""
        error = self.due(name)
        if error is not None:
            raise error

    def create(self, path: str) -> File:
        """See `Files.create`."""
        self.step("create")
        return FailingFile(self, self._files.create(path))

    def open(self, path: str, *, read_only: bool = False) -> File:
        """See `Files.open`."""
        self.step("open")
        return FailingFile(self, self._files.open(path, read_only=read_only))

    def open_disk(self, path: str) -> Disk | None:
        """See `Files.open_disk`."""
        self.step("open_disk")
        disk = self._files.open_disk(path)
        return None if disk is None else FailingDisk(self, disk)

    def list(self, directory: str) -> list[str]:
        """See `Files.list`."""
        self.step("list")
        return self._files.list(directory)

    def exists(self, path: str) -> bool:
        """See `Files.exists`."""
        self.step("exists")
        return self._files.exists(path)

    def size(self, path: str) -> int:
        """See `Files.size`."""
        self.step("file_size")
        return self._files.size(path)

    def make_directory(self, path: str) -> None:
        """See `Files.make_directory`."""
        self.step("make_directory")
        self._files.make_directory(path)

    def rename(self, old: str, new: str) -> None:
        """See `Files.rename`."""
        self.step("rename")
        self._files.rename(old, new)

    def remove(self, path: str) -> None:
        """See `Files.remove`."""
        self.step("remove")
        self._files.remove(path)

    def sync_directory(self, path: str) -> None:
        """See `Files.sync_directory`."""
        self.step("sync_directory")
        self._files.sync_directory(path)

    def free_bytes(self, path: str) -> int:
        """See `Files.free_bytes`."""
        self.step("free_bytes")
        return self._files.free_bytes(path)


class FailingDisk:
    """A disk handle of `FailingFiles`; its `sync` counts as `sync_disk`."""

    def __init__(self, owner: FailingFiles, disk: Disk) -> None:
        self._owner, self._disk = owner, disk

    def sync(self) -> None:
        """See `Disk.sync`."""
        self._owner.step("sync_disk")
        self._disk.sync()

    def close(self) -> None:
        """See `Disk.close`; never fails."""
        self._disk.close()


class FailingFile:
    """An open file of `FailingFiles`."""

    def __init__(self, owner: FailingFiles, file: File) -> None:
        self._owner = owner
        self._file = file

    def append(self, *parts: bytes) -> None:
        """See `File.append`; half of it is written when `short`."""
        error = self._owner.due("append")
        if error is None:
            self._file.append(*parts)
            return
        if self._owner.short:
            data = b"".join(parts)
            self._file.append(data[: len(data) // 2])
        raise error

    def read(self, offset: int, size: int) -> bytes:
        """See `File.read`."""
        self._owner.step("read")
        return self._file.read(offset, size)

    def size(self) -> int:
        """See `File.size`."""
        self._owner.step("size")
        return self._file.size()

    def truncate(self, size: int) -> None:
        """See `File.truncate`."""
        self._owner.step("truncate")
        self._file.truncate(size)

    def sync(self) -> None:
        """See `File.sync`."""
        error = self._owner.due("sync")
        if error is not None:
            if self._owner.forgetful and isinstance(self._file, CrashableFile):
                self._file.forget()
            raise error
        self._file.sync()

    def allocate(self, size: int) -> None:
        """See `File.allocate`."""
        self._owner.step("allocate")
        self._file.allocate(size)

    def settle(self, start: int = 0) -> None:
        """See `File.settle`."""
        self._owner.step("settle")
        self._file.settle(start)

    def close(self) -> None:
        """See `File.close`; never fails."""
        self._file.close()
