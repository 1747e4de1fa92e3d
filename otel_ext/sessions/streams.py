"""The session files: append only, newline = commit, each span once (laws L3, L5).

Law of this file: a byte that a reader may have seen is never written again. After a crash the engine
replays what follows the checkpoint, and this writer *compares* each line with the bytes already there
and appends only what is missing. Where they differ (a changed configuration) it cuts after the last
equal newline and counts the bytes. Names are never reused: a file is created exclusively unless the
scan at start found it beyond the checkpoint.

A stream is one session's sequence of files; `row` is its current file, buffered lines included, because
the checkpoint is taken after `flush`.
"""

import itertools
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from otel_ext.files import File, Files
from otel_ext.sessions.checkpoint import FileRow
from otel_ext.sessions.names import file_name, parse_name
from otel_ext.stats import Stats

OPEN_FILES: Final = 256
"""Descriptors kept open; the least recently written is closed."""


class _Stream:
    __slots__ = ("buffer", "row", "written")

    def __init__(self, row: FileRow) -> None:
        self.row = row
        self.buffer: list[bytes] = []
        self.written = row.length  # bytes of the file that are in place, on disk or just compared


class Streams:
    """Writer of all session files of one engine; used by the pipeline's thread only.

    Args:
        files: the disk.
        folder: where the files lie; it exists.
        last: the catalog's newest file of a session, or None.
        row: the catalog's file of a name, or None.
        header: line one of a file, from its unique id.
        engine_id: makes unique ids differ between data folders.
        max_bytes: a file is sealed before a line would take it past this; a larger line stands alone.
        distrust: bytes past the checkpoint are cut instead of compared: after a failed fsync the page
            cache may show bytes that the disk never got.
    """

    def __init__(
        self,
        files: Files,
        folder: str,
        *,
        last: Callable[[str], FileRow | None],
        row: Callable[[str], FileRow | None],
        header: Callable[[str], bytes],
        engine_id: str,
        max_bytes: int,
        stats: Stats,
        distrust: bool = False,
    ) -> None:
        self._files, self._folder = files, folder
        self._last, self._row, self._header, self._engine_id = last, row, header, engine_id
        self._max_bytes, self._stats, self._distrust = max_bytes, stats, distrust
        self._streams: dict[str, _Stream] = {}
        self._open: OrderedDict[str, File] = OrderedDict()
        self._touched: dict[str, _Stream] = {}
        self._rows: dict[str, FileRow] = {}
        self._unsynced: set[str] = set()
        self._created = True  # a killed process may have left names that are not on the disk yet
        # What a crash left beyond the checkpoint, by name; entries go as they are reconciled.
        self._found = {
            name: files.size(f"{folder}/{name}")
            for name in files.list(folder)
            if parse_name(name) is not None
        }

    def append(self, session_id: str, line: bytes, *, spans: int = 0, derived: int = 0) -> None:
        """Add one line (with its newline) to a session; on disk after `flush`, durable after `sync`."""
        stream = self._streams.get(session_id) or self._load(session_id)
        row = stream.row
        if row.length and row.length + len(line) > self._max_bytes and row.spans + row.derived:
            stream = self._rotate(session_id, stream)
            row = stream.row
        if not row.length:
            self._put(stream, self._header(f"{self._engine_id}/{row.name}"))
        self._put(stream, line)
        row.spans += spans
        row.derived += derived
        self._touched[session_id] = stream
        self._rows[row.name] = row

    def flush(self) -> None:
        """Write every buffered line; readers that follow a file see them now."""
        for stream in self._touched.values():
            self._write(stream)
        self._touched.clear()

    def sync(self) -> None:
        """Make everything flushed durable, new names included.

        Raises:
            OSError: a sync failed; nothing past the last checkpoint can be trusted (law L6).
        """
        self.flush()
        for name in sorted(self._unsynced):
            self._file(name).sync()
        self._unsynced.clear()
        if self._created:
            self._files.sync_directory(self._folder)
            self._created = False

    def take_rows(self) -> list[FileRow]:
        """Rows that changed since the last call, for the checkpoint that follows `sync`."""
        rows = list(self._rows.values())
        self._rows = {}
        return rows

    def trim(self, most: int) -> None:
        """Drop streams beyond `most` from memory; call it after the checkpoint, which has their rows."""
        for session_id in list(self._streams)[: max(0, len(self._streams) - most)]:
            del self._streams[session_id]

    def settle(self) -> None:
        """End recovery: cut what a crash left and the replay did not write again."""
        for name, size in sorted(self._found.items()):
            row = self._rows.get(name) or self._row(name)
            if row is None:
                self._quarantine(name)
            elif size > row.length:
                self._cut(self._file(name), row.length, size)
                self._unsynced.add(name)
        self._found.clear()

    def _quarantine(self, name: str) -> None:
        """Move away a file that a crash left and the replay, with other settings, wrote elsewhere."""
        folder = f"{self._folder.rpartition('/')[0]}/quarantine"
        self._files.make_directory(folder)
        free = (t for n in itertools.count() if not self._files.exists(t := f"{folder}/{name}.{n}"))
        self._files.rename(f"{self._folder}/{name}", next(free))
        self._files.sync_directory(folder)
        self._files.sync_directory(self._folder)
        self._stats.add("otel_ext.sessions.quarantined_files")

    def close(self) -> None:
        """Close every descriptor; flushes and syncs nothing."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _load(self, session_id: str) -> _Stream:
        row = self._last(session_id)
        if row is None:
            row = self._fresh(session_id, 1)
        elif row.sealed or self._present(row) < row.length:
            if not row.sealed:  # bytes that the checkpoint promised are gone; `verify` names the file
                self._stats.add("otel_ext.sessions.short_files")
                row.sealed = True
                self._rows[row.name] = row
            row = self._fresh(session_id, row.sequence + 1)
        stream = self._streams[session_id] = _Stream(row)
        return stream

    def _present(self, row: FileRow) -> int:
        path = f"{self._folder}/{row.name}"
        return self._files.size(path) if self._files.exists(path) else 0

    def _fresh(self, session_id: str, sequence: int) -> FileRow:
        name = file_name(session_id, sequence)
        while name not in self._found and self._files.exists(f"{self._folder}/{name}"):
            sequence += 1  # a name that is taken by bytes we do not know is never written to
            name = file_name(session_id, sequence)
        return FileRow(name=name, session_id=session_id, sequence=sequence)

    def _rotate(self, session_id: str, stream: _Stream) -> _Stream:
        self._write(stream)
        stream.row.sealed = True
        self._rows[stream.row.name] = stream.row
        following = self._streams[session_id] = _Stream(self._fresh(session_id, stream.row.sequence + 1))
        return following

    def _put(self, stream: _Stream, line: bytes) -> None:
        stream.buffer.append(line)
        stream.row.length += len(line)
        stream.row.crc = zlib.crc32(line, stream.row.crc)

    def _write(self, stream: _Stream) -> None:
        if not stream.buffer:
            return
        name = stream.row.name
        file = self._file(name, new=not stream.written and name not in self._found)
        data = stream.buffer[0] if len(stream.buffer) == 1 else b"".join(stream.buffer)
        self._unsynced.add(name)
        if name in self._found:
            self._reconcile(file, name, stream.written, data)
        else:
            file.append(data)
        stream.buffer = []
        stream.written += len(data)

    def _reconcile(self, file: File, name: str, at: int, data: bytes) -> None:
        """Bring `data` in place at offset `at`, where a crash may already have left it."""
        present = self._found[name]
        there = file.read(at, min(len(data), present - at)) if present > at else b""
        if not self._distrust and data.startswith(there):
            if at + len(data) >= present:
                del self._found[name]
                file.append(data[len(there) :])
            return
        equal = 0 if self._distrust else _common_lines(there, data)
        self._cut(file, at + equal, present)
        del self._found[name]
        file.append(data[equal:])

    def _cut(self, file: File, size: int, present: int) -> None:
        self._stats.add("otel_ext.sessions.truncated_bytes", present - size)
        file.truncate(size)

    def _file(self, name: str, *, new: bool = False) -> File:
        file = self._open.get(name)
        if file is not None:
            self._open.move_to_end(name)
            return file
        path = f"{self._folder}/{name}"
        file = self._files.create(path) if new else self._files.open(path)
        self._created = self._created or new
        if name in self._found:  # a former process' sync may have failed: believe the disk, not the cache
            file.settle()
        self._open[name] = file
        if len(self._open) > OPEN_FILES:
            _, oldest = self._open.popitem(last=False)
            oldest.close()
        return file


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
