"""Who owns a data folder: an advisory lock that dies with its process.

Law of this file: the lock is `flock` on a close-on-exec descriptor, so the kernel gives it back however
its owner dies. The file LOCK is never removed or replaced while owned. Its text is the owner's process id,
which only serves the error message; it is taken away when an owner leaves with nothing left to do, so
text in a file that nobody has locked means that its owner died or could not finish.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from otel_ext.errors import DataFolderError, DataFolderInUse
from otel_ext.files import RealFiles

NAME = "LOCK"
"""The lock's file name inside a data folder."""

_ADVICE = {
    errno.EACCES: "give this user write access, or choose another --data folder",
    errno.EPERM: "give this user write access, or choose another --data folder",
    errno.EROFS: "the file system is read-only: remount it, or choose another --data folder",
    errno.ENOSPC: "the disk is full: free some space, or choose another --data folder",
    errno.EDQUOT: "the quota is used up: free some space, or choose another --data folder",
    errno.ENOTDIR: "a part of the path is a file: choose another --data folder",
    errno.EEXIST: "a part of the path is a file: choose another --data folder",
    errno.EIO: "the disk reports errors: see the kernel's log, then choose a healthy disk",
}


def folder_error(path: str, error: OSError) -> DataFolderError:
    """What to tell a person when the folder cannot be used: path, cause, user id and the way out."""
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    advice = _ADVICE.get(error.errno or 0, "see the cause, or choose another --data folder")
    where = error.filename if isinstance(error.filename, str) else path
    return DataFolderError(
        f"cannot use {path} as uid {os.geteuid()}: {name} ({error.strerror}) at {where}; {advice}"
    )


class FolderLock:
    """Ownership of one data folder for as long as this object is not released.

    Attributes:
        inherited: the owner before did not leave it in order.

    Raises (from `acquire`):
        DataFolderInUse: a live process owns it; the text names its id.
        DataFolderError: the folder cannot be made or written; the text says what to do.
    """

    def __init__(self, directory: str, descriptor: int, *, inherited: bool) -> None:
        self.directory, self.inherited = directory, inherited
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, directory: str) -> Self:
        """Own `directory` (made, with its parents, when missing) or raise at once."""
        path = f"{directory}/{NAME}"
        try:
            RealFiles().make_directory(directory)
            while True:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    if cls._locked(descriptor, path):
                        inherited = os.fstat(descriptor).st_size > 0
                        os.ftruncate(descriptor, 0)
                        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                        os.fsync(descriptor)  # after a power cut, too, it says that the owner did not finish
                        return cls(directory, descriptor, inherited=inherited)
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
        except OSError as error:
            raise folder_error(directory, error) from error

    @staticmethod
    def _locked(descriptor: int, path: str) -> bool:
        """Lock the descriptor; False when another file took the name meanwhile (folder was removed)."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise DataFolderInUse(
                f"{Path(path).parent} is in use by process {owner}; stop it or choose another --data folder"
            ) from None
        try:
            named = Path(path).stat()
        except FileNotFoundError:
            return False
        held = os.fstat(descriptor)
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    @staticmethod
    def abandoned(directory: str) -> bool:
        """Whether an owner died there (or could not finish) and nobody has taken over yet.

        The answer takes the lock for a moment: ask it only of folders for whose lock nobody insists.
        """
        try:
            descriptor = os.open(f"{directory}/{NAME}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            if os.fstat(descriptor).st_size == 0:
                return False
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(descriptor).st_size > 0
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def release(self, *, done: bool = False) -> None:
        """Give the folder back, even where a forked child still holds a copy of the descriptor.

        Args:
            done: nothing is left to do for whoever comes next.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                if done:
                    os.ftruncate(descriptor, 0)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def abandon(self) -> None:
        """For a forked child: drop the inherited descriptor and leave the parent's lock as it is."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
