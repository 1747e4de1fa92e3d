"""A reserve of disk space, so that a full disk does not stop what would free it (law L6).

Law of this file: it is made only of space that nobody needs, and given up once when a write of the pipeline
meets a full disk; then a checkpoint can be taken, retention can remove and the journal can be released.
Intake answers Busy long before, below `min_free`; this is for what other programs take.
"""

import contextlib
import logging
import sqlite3
from typing import Final

from otel_ext.errors import Retryable
from otel_ext.files import Files
from otel_ext.journal import Journal
from otel_ext.sessions import FULL
from otel_ext.stats import Stats

log = logging.getLogger(__name__)

NAME: Final = "RESERVE"
_NOTHING: Final = 1 << 20
"""Free bytes below which any failure of the disk is that of a full one: SQLite has many words for it."""


def relieve(files: Files, folder: str, error: BaseException, stats: Stats) -> bool:
    """Give up the reserve that lies in a folder whose opening failed; whether to try once more."""
    path = f"{folder}/{NAME}"
    with contextlib.suppress(OSError):
        return files.exists(path) and Reserve(files, folder, files.size(path), 0, stats).give(error)
    return False


class Reserve:
    """A preallocated file in an engine's folder.

    Args:
        files: the disk.
        folder: the engine's folder.
        size: bytes; 0 for no reserve.
        min_free: bytes that stay free beside it when it is made.
        stats: counts how often it was given up.
    """

    def __init__(self, files: Files, folder: str, size: int, min_free: int, stats: Stats) -> None:
        self._files, self._folder, self._size, self._min_free = files, folder, size, min_free
        self._path, self._stats = f"{folder}/{NAME}", stats
        self._there = files.exists(self._path) and files.size(self._path) == size > 0
        if not self._there:  # of other settings
            with contextlib.suppress(OSError):
                self._remove()

    def keep(self) -> None:
        """Make it when it is missing and there is room; a failure is no failure of the caller."""
        if self._there or not self._size:
            return
        try:
            if self._files.free_bytes(self._folder) < self._min_free + self._size:
                return
            self._remove()
            file = self._files.create(self._path)
            try:
                file.allocate(self._size)
            finally:
                file.close()
            self._there = True
        except OSError as error:
            log.warning("no reserve of disk space could be made: %s", error)

    def give(self, error: BaseException) -> bool:
        """Give it up when `error` is that of a full disk; whether that freed anything."""
        if not self._there or not _is_full(self._files, self._folder, error):
            return False
        self._there = False
        try:
            self._remove()
        except OSError:
            return False
        log.warning("the disk is full: the reserve of %d bytes is given up", self._size)
        self._stats.add("otel_ext.pipeline.reserves_given_up")
        return True

    def reopen(self, journal: Journal) -> None:
        """Open a journal that a failed write or sync had stopped, once there is room again."""
        try:
            if self._files.free_bytes(self._folder) >= self._min_free:
                journal.reopen()
                log.warning("the journal is open again, in a new segment")
        except (OSError, Retryable) as error:
            log.warning("the journal stays stopped: %s", error)

    def _remove(self) -> None:
        if self._files.exists(self._path):
            self._files.remove(self._path)
            self._files.sync_directory(self._folder)


def _is_full(files: Files, folder: str, error: BaseException) -> bool:
    cause: BaseException | None = error
    sick = False
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return True
        sick = sick or isinstance(cause, OSError | sqlite3.Error)
        cause = cause.__cause__
    with contextlib.suppress(OSError):
        return sick and files.free_bytes(folder) < _NOTHING
    return False
