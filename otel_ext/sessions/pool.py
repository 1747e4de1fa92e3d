"""Open session files: few descriptors for many files, and the cheapest way to make all of them durable.

Law of this file: no more than `most` descriptors are open, whatever the number of sessions; a file that was
written since the last `sync` is durable after it, whether its descriptor is still open or not.
"""

from collections import OrderedDict
from typing import Final

from otel_ext.disk import Disk
from otel_ext.files import File, Files
from otel_ext.stats import Stats

OPEN_FILES: Final = 256
"""Descriptors kept open; the least recently used is closed."""
SYNC_EACH: Final = 256
"""Written files above which the whole disk is synced at once (5,000 files: 0.03 s instead of 0.6-1.0 s)."""


class FilePool:
    """Files of one folder by name; used by one thread.

    Args:
        files: the disk.
        folder: where the files lie; it exists.
        stats: counts syncs.
        most: see `OPEN_FILES`.
        sync_each: see `SYNC_EACH`; the disk's sync also waits for what other programs wrote.

    Attributes:
        inherited: files that a former process may have written to.
    """

    def __init__(
        self, files: Files, folder: str, stats: Stats, *, most: int = OPEN_FILES, sync_each: int = SYNC_EACH
    ) -> None:
        self._files, self._folder, self._stats = files, folder, stats
        self._most, self._sync_each = most, sync_each
        self._open: OrderedDict[str, File] = OrderedDict()
        self._dirty: set[str] = set()
        self.inherited: set[str] = set()
        self._created = True  # what a killed process made may have no durable name yet
        # Opened before the first write: it tells of failures since then.
        self._disk: Disk | None = files.open_disk(folder)

    def file(self, name: str, *, new: bool = False) -> File:
        """A file, opened or created; valid until the next call."""
        file = self._open.get(name)
        if file is not None:
            self._open.move_to_end(name)
            return file
        if len(self._open) >= self._most:
            _, oldest = self._open.popitem(last=False)
            oldest.close()
        path = f"{self._folder}/{name}"
        file = self._files.create(path) if new else self._files.open(path)
        self._created = self._created or new
        if name in self.inherited:  # a former process' sync may have failed: believe the disk, not the cache
            file.settle()
            self.inherited.discard(name)
        self._open[name] = file
        return file

    def wrote(self, name: str) -> None:
        """Note that a file's content changed; before the change, so that a failed one is synced too."""
        self._dirty.add(name)

    def sync(self) -> None:
        """Make all changes durable, new names included.

        Raises:
            OSError: a sync failed; nothing since the last one can be trusted (law L6).
        """
        if len(self._dirty) > self._sync_each and self._disk is not None:
            self._disk.sync()
            self._stats.add("otel_ext.sessions.disk_syncs")
        else:
            for name in sorted(self._dirty):
                self.file(name).sync()
            self._stats.add("otel_ext.sessions.file_syncs", len(self._dirty))
        self._dirty.clear()
        if self._created:
            self._files.sync_directory(self._folder)
            self._created = False

    def forget(self, name: str) -> None:
        """A file will not be written again, or has left the folder: give its descriptor back."""
        file = self._open.pop(name, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Close every descriptor; flushes and syncs nothing."""
        for file in self._open.values():
            file.close()
        self._open.clear()
        if self._disk is not None:
            self._disk.close()
