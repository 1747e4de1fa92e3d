"""Open files and the disk handle of `CrashableFiles`.

Law of this file: content is durable after `sync` of the file or of the whole disk, never before.
"""

import errno
from collections.abc import Callable, Iterable

from otel_ext.testing.memory_disk import Node, error_of
from otel_ext.testing.power import Power


class CrashableFile:
    """An open file of `CrashableFiles`."""

    def __init__(self, disk: Power, node: Node, *, read_only: bool) -> None:
        self._disk = disk
        self._node = node
        self._read_only = read_only
        self._open = True

    def append(self, *parts: bytes) -> None:
        """Write at the end; a power cut here may leave any part of it."""
        with self._disk.operation(changes_first=True):
            self._writable()
            self._node.data += b"".join(parts)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`."""
        with self._disk.looking():
            self._usable()
            return bytes(self._node.data[offset : offset + size])

    def size(self) -> int:
        """The present length."""
        with self._disk.looking():
            self._usable()
            return len(self._node.data)

    def truncate(self, size: int) -> None:
        """Cut, or grow with zeros."""
        with self._disk.operation(changes_first=True):
            self._writable()
            self._node.truncate(size)

    def sync(self) -> None:
        """Make the content durable; a power cut here comes before that."""
        with self._disk.operation(changes_first=False):
            self._usable()
            self._node.sync()

    def allocate(self, size: int) -> None:
        """Grow with zeros."""
        with self._disk.operation(changes_first=True):
            self._writable()
            self._node.data = self._node.data.ljust(size, b"\0")

    def settle(self, start: int = 0) -> None:
        """The same, and from then on everybody sees what the disk holds from `start` on."""
        self.sync()
        self._node.data[start:] = self._node.synced[start:]

    def forget(self) -> None:
        """What a sync that fails does: see `Node.forget`."""
        self._node.forget()

    def close(self) -> None:
        """Close; durable or not stays as it is."""
        self._open = False

    def _usable(self) -> None:
        if not self._open:
            raise error_of(errno.EBADF, "")

    def _writable(self) -> None:
        self._usable()
        if self._read_only:
            raise error_of(errno.EBADF, "")


class CrashableDisk:
    """The whole disk; `nodes` are the files that have a name when it is synced."""

    def __init__(self, disk: Power, nodes: Callable[[], Iterable[Node]]) -> None:
        self._disk, self._nodes = disk, nodes

    def sync(self) -> None:
        """Make the content of every file durable; names still need `sync_directory`."""
        with self._disk.operation(changes_first=False):
            for node in self._nodes():
                node.sync()

    def close(self) -> None:
        """Nothing to give back."""
