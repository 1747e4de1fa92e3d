"""What a crash left of the session files beyond the checkpoint, and how a replay meets it (law L3).

Law of this file: bytes that equal what is written again stay where they are, so whoever follows a file sees
no byte twice; bytes that differ are cut after the last equal newline, and counted; a file that is not written
again at all is moved away, never deleted.
"""

import itertools
from collections.abc import Callable

from otel_ext.files import File, Files
from otel_ext.sessions.checkpoint import FileRow
from otel_ext.sessions.names import parse_name
from otel_ext.sessions.pool import FilePool
from otel_ext.stats import Stats


class Leftovers:
    """Files of one folder that may hold more than the checkpoint knows.

    Args:
        distrust: what is there is cut instead of compared.

    Attributes:
        found: their names and lengths; entries go as they are reconciled.
        quarantined: name and length of files that were moved away.
    """

    def __init__(self, files: Files, folder: str, pool: FilePool, stats: Stats, *, distrust: bool) -> None:
        self._files, self._folder, self._pool, self._stats = files, folder, pool, stats
        self._distrust = distrust
        self.found: dict[str, int] = {}
        self.quarantined: list[tuple[str, int]] = []

    def reconcile(self, file: File, name: str, at: int, data: bytes) -> None:
        """Bring `data` in place at offset `at`, where a crash may already have left it."""
        present = self.found[name]
        there = file.read(at, min(len(data), present - at)) if present > at else b""
        if not self._distrust and data.startswith(there):
            if at + len(data) >= present:
                del self.found[name]
                file.append(data[len(there) :])
            return
        equal = 0 if self._distrust else _common_lines(there, data)
        self._cut(file, at + equal, present)
        del self.found[name]
        file.append(data[equal:])

    def close(self, name: str, length: int) -> None:
        """A file is sealed at `length`: what lies behind that goes."""
        present = self.found.pop(name, 0)
        if present > length:
            self._pool.wrote(name)
            self._cut(self._pool.file(name), length, present)

    def settle(self, row: Callable[[str], FileRow | None]) -> int:
        """Cut or move away all that is left; a number beyond those of the files that were moved."""
        past = 1
        for name, size in sorted(self.found.items()):
            known = row(name)
            if known is not None:
                self.close(name, known.length)
                continue
            self._quarantine(name, size)
            parsed = parse_name(name)
            assert parsed is not None, "only names of ours are found"
            past = max(past, parsed.sequence + 1)
        self.found.clear()
        return past

    def _quarantine(self, name: str, size: int) -> None:
        folder = f"{self._folder.rpartition('/')[0]}/quarantine"
        self._files.make_directory(folder)
        free = (t for n in itertools.count() if not self._files.exists(t := f"{folder}/{name}.{n}"))
        self._files.rename(f"{self._folder}/{name}", next(free))
        self._files.sync_directory(folder)
        self._files.sync_directory(self._folder)
        self._pool.forget(name)
        self.quarantined.append((name, size))
        self._stats.add("otel_ext.sessions.quarantined_files")

    def _cut(self, file: File, size: int, present: int) -> None:
        self._stats.add("otel_ext.sessions.truncated_bytes", present - size)
        file.truncate(size)


def _common_lines(a: bytes, b: bytes) -> int:
    """Length of the longest common prefix of whole lines."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # longest common prefix, by halving
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return a.rfind(b"\n", 0, low) + 1
