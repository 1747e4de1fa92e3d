"""A disk in memory that forgets, when its power is cut, whatever was not synced.

Law of this file: it promises no more than POSIX does. File content counts as durable only after `sync`
of the file (or of the disk); creations, renames and removals only after `sync_directory` of their folder.
What is neither may be there after the cut, or not, or in part.
"""

import errno
from pathlib import PurePosixPath
from random import Random

from otel_ext.testing.crashable_file import CrashableDisk, CrashableFile
from otel_ext.testing.memory_disk import Names, Node, apply, error_of, parent, surviving
from otel_ext.testing.power import Power


class CrashableFiles(Power):
    """Keeps the contract of `otel_ext.journal.Files` until the power is cut.

    Attributes:
        free: what `free_bytes` answers.

    Once the power went, every later operation raises `PowerCut` too: the machine is off.
    """

    def __init__(self, *, crash_at: int | None = None) -> None:
        super().__init__(crash_at)
        self.free = 1 << 40
        self._names: Names = {"/": None}
        self._durable: Names = {"/": None}
        self._pending: list[tuple[frozenset[str], dict[str, Node | None], frozenset[str]]] = []

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

    def open_disk(self, path: str) -> CrashableDisk:
        """The whole disk."""
        with self.looking():
            self._folder(path)
            return CrashableDisk(self, lambda: [n for n in self._names.values() if n is not None])

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
