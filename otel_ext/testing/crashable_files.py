"""A disk in memory that forgets, when its power is cut, whatever was not synced.

Law of this file: it promises no more than POSIX does. File content counts as durable only after `sync`
of the file; creations, renames and removals only after `sync_directory` of their folder. What is neither
may be there after the cut, or not, or in part.
"""

import errno
import threading
from pathlib import PurePosixPath
from random import Random

from otel_ext.testing.memory_disk import Names, Node, apply, error_of, parent, surviving


class PowerCut(BaseException):
    """The machine died at this operation. Not an `Exception`, so that nobody handles it by mistake."""


class CrashableFile:
    """An open file of `CrashableFiles`."""

    def __init__(self, disk: "CrashableFiles", node: Node, *, read_only: bool) -> None:
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

    def settle(self) -> None:
        """The same, and from then on everybody sees what the disk holds."""
        self.sync()
        self._node.data = bytearray(self._node.synced)

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


class _Operation:
    """One counted step: the disk's lock, and the power cut when its time has come."""

    def __init__(self, disk: "CrashableFiles", *, counted: bool, changes_first: bool) -> None:
        self._disk = disk
        self._counted = counted
        self._changes_first = changes_first
        self._cut = False

    def __enter__(self) -> None:
        disk = self._disk
        disk.lock.acquire()
        if self._counted and not disk.crashed:
            disk.operations += 1
            self._cut = disk.operations == disk.crash_at
            disk.crashed = self._cut
        if disk.crashed and not (self._cut and self._changes_first):
            disk.lock.release()
            raise PowerCut

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._disk.lock.release()
        if self._cut and kind is None:
            raise PowerCut


class CrashableFiles:
    """Keeps the contract of `otel_ext.journal.Files` until the power is cut.

    Attributes:
        operations: how many changing operations (writes, syncs, names) were asked for.
        crash_at: the operation, counted from 1, at which the power goes; None for never.
        crashed: whether it went. Every later operation raises `PowerCut` too: the machine is off.
        free: what `free_bytes` answers.
    """

    def __init__(self, *, crash_at: int | None = None) -> None:
        self.operations = 0
        self.crash_at = crash_at
        self.crashed = False
        self.free = 1 << 40
        self.lock = threading.RLock()
        self._names: Names = {"/": None}
        self._durable: Names = {"/": None}
        self._pending: list[tuple[frozenset[str], dict[str, Node | None], frozenset[str]]] = []

    def operation(self, *, changes_first: bool) -> _Operation:
        """A counted step; with `changes_first` a power cut strikes after its (unsynced) effect."""
        return _Operation(self, counted=True, changes_first=changes_first)

    def looking(self) -> _Operation:
        """A step that changes nothing and is not counted."""
        return _Operation(self, counted=False, changes_first=False)

    def create(self, path: str) -> CrashableFile:
        """A new file."""
        with self.operation(changes_first=True):
            if path in self._names:
                raise error_of(errno.EEXIST, path)
            self._folder(parent(path))
            node = Node()
            self._change({path: node}, frozenset())
            return CrashableFile(self, node, read_only=False)

    def open(self, path: str, *, read_only: bool = False) -> CrashableFile:
        """An existing file."""
        with self.looking():
            return CrashableFile(self, self._node(path), read_only=read_only)

    def list(self, directory: str) -> list[str]:
        """The names in a folder, sorted."""
        with self.looking():
            self._folder(directory)
            return sorted(PurePosixPath(p).name for p in self._names if p != "/" and parent(p) == directory)

    def exists(self, path: str) -> bool:
        """Whether the name is taken."""
        with self.looking():
            return path in self._names

    def size(self, path: str) -> int:
        """A file's length."""
        with self.looking():
            return len(self._node(path).data)

    def make_directory(self, path: str) -> None:
        """A folder and its parents, durable at once, as the contract says."""
        with self.operation(changes_first=False):
            for each in (path, *map(str, PurePosixPath(path).parents)):
                self._names.setdefault(each, None)
                self._durable.setdefault(each, None)

    def rename(self, old: str, new: str) -> None:
        """Rename in one step, replacing."""
        with self.operation(changes_first=True):
            node = self._node(old)
            self._folder(parent(new))
            self._change({new: node}, frozenset({old}))

    def remove(self, path: str) -> None:
        """Take the name away."""
        with self.operation(changes_first=True):
            self._node(path)
            self._change({}, frozenset({path}))

    def sync_directory(self, path: str) -> None:
        """Make the folder's names durable."""
        with self.operation(changes_first=False):
            self._folder(path)
            for folders, added, removed in self._pending:
                if path in folders:
                    apply(self._durable, added, removed)
            self._pending = [each for each in self._pending if path not in each[0]]

    def free_bytes(self, path: str) -> int:
        """Whatever `free` was set to."""
        with self.looking():
            self._folder(path)
            return self.free

    def crash(self, random: Random | None = None) -> "CrashableFiles":
        """The disk after a power cut: synced content under synced names.

        Without `random` everything else is gone. With it each unsynced name change and each unsynced
        byte may also have reached the disk: none, all, a prefix, a prefix and zeros, or with holes.
        """
        with self.lock:
            self.crashed = True
            names = dict(self._durable)
            for _, added, removed in self._pending:
                if random is not None and random.random() < 0.5:
                    apply(names, added, removed)
            return self._disk_of(names, random)

    def restart(self) -> "CrashableFiles":
        """The disk after the process was killed while the machine lived on: nothing is lost.

        What was not synced is still not: a power cut of the returned disk may take it.
        """
        with self.lock:
            self.crashed = True
            after = CrashableFiles()
            after._names, after._durable = dict(self._names), dict(self._durable)
            after._pending = list(self._pending)
            return after

    def _disk_of(self, names: Names, random: Random | None) -> "CrashableFiles":
        after = CrashableFiles()
        kept: dict[Node, Node] = {}
        for path, node in names.items():
            if node is not None and node not in kept:
                kept[node] = Node(surviving(node, random))
            after._names[path] = after._durable[path] = None if node is None else kept[node]
        return after

    def _node(self, path: str) -> Node:
        node = self._names.get(path)
        if node is None:
            raise error_of(errno.EISDIR if path in self._names else errno.ENOENT, path)
        return node

    def _folder(self, path: str) -> None:
        if path not in self._names or self._names[path] is not None:
            raise error_of(errno.ENOENT, path)

    def _change(self, added: dict[str, Node | None], removed: frozenset[str]) -> None:
        apply(self._names, added, removed)
        folders = frozenset(map(parent, (*added, *removed)))
        self._pending.append((folders, added, removed))
