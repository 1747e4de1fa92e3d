"""A whole file system, synced at once: what thousands of files need that were written a little each.

Law of this file: `sync` returning means that all content is on the disk. A handle tells of failed writes
since it was opened, so whoever relies on it opens it before it writes.
"""

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Protocol


class Disk(Protocol):
    """A whole file system; made before the writes that it shall sync, so that no error is missed."""

    def sync(self) -> None:
        """Return once all content written to files of this disk is on it (syncfs)."""
        ...

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        ...


@functools.cache
def _syncfs() -> Callable[[int], int] | None:
    """The C library's syncfs. Before Linux 5.8 it told nobody of failed writes (syncfs(2))."""
    system = os.uname()
    version = tuple(int(part) for part in system.release.split("-")[0].split(".")[:2] if part.isdigit())
    if system.sysname != "Linux" or version < (5, 8):
        return None
    function: Callable[[int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return function


class RealDisk:
    """A file system, by a folder on it."""

    def __init__(self, descriptor: int, syncfs: Callable[[int], int]) -> None:
        self._descriptor, self._syncfs = descriptor, syncfs

    def sync(self) -> None:
        """Flush the whole file system."""
        if self._syncfs(self._descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def close(self) -> None:
        """Close the descriptor once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def open_disk(path: str) -> Disk | None:
    """See `Files.open_disk`."""
    syncfs = _syncfs()
    if syncfs is None:
        return None
    return RealDisk(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), syncfs)
