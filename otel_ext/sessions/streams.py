"""The session files: append only, newline = commit, each span once (laws L3, L5).

Law of this file: a byte that a reader may have seen is never written again. After a crash the engine
replays what follows the checkpoint, and this writer *compares* each line with the bytes already there
and appends only what is missing. Where they differ (a changed configuration) it cuts after the last
equal newline and counts the bytes.

Names: one number counts all files of the engine, in the order of their first lines. It is part of the
checkpoint, so a replay gives the same names again (law L7); a file is created exclusively unless the scan
at start found it beyond the checkpoint; and at the end of recovery the number goes past all that was found.
So names are never reused, and nothing must be remembered of files that are gone.

A file is sealed by size, by age (engine time since its first line) and when its session's generation ends.
`row` is a session's current file, buffered lines included, because the checkpoint is taken after `flush`.
"""

from collections.abc import Callable
from typing import TypeAlias

from otel_ext.checksum import crc32
from otel_ext.files import Files
from otel_ext.sessions.checkpoint import FileRow, FileState
from otel_ext.sessions.leftovers import Leftovers
from otel_ext.sessions.names import file_name, parse_name
from otel_ext.sessions.pool import OPEN_FILES, SYNC_EACH, FilePool
from otel_ext.sessions.stock import Stock
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry

_Key: TypeAlias = tuple[str, Telemetry]
"""Whose lines a file holds, and of what."""


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
        stock: the catalog's files, as of the checkpoint.
        following: the number of the next file, as of the checkpoint.
        now: engine time in ns, as of the checkpoint.
        header: line one of a file, from its unique id, its session id and what it holds.
        engine_id: makes unique ids differ between data folders.
        max_bytes: a file is sealed before a line would take it past this; a larger line stands alone.
        max_age: ns of engine time after which a file is sealed; 0 for never.
        distrust: bytes past the checkpoint are cut instead of compared: after a failed fsync the page
            cache may show bytes that the disk never got.
        open_files, sync_each: see `pool`.

    Attributes:
        following: the number that the next file gets; part of the checkpoint.
    """

    def __init__(
        self,
        files: Files,
        folder: str,
        *,
        stock: Stock,
        following: int,
        now: int,
        header: Callable[[str, str, Telemetry], bytes],
        engine_id: str,
        max_bytes: int,
        max_age: int,
        stats: Stats,
        distrust: bool = False,
        open_files: int = OPEN_FILES,
        sync_each: int = SYNC_EACH,
    ) -> None:
        self._files, self._folder, self._stock = files, folder, stock
        self._header, self._engine_id, self.following = header, engine_id, following
        self._max_bytes, self._max_age, self._stats = max_bytes, max_age, stats
        self._now = now
        self._streams: dict[_Key, _Stream] = {}
        self._touched: dict[str, _Stream] = {}
        self._rows: dict[str, FileRow] = {}
        # Every file that is not sealed, in order of age: its name and when it was opened.
        self._current = {_key(row): (row.name, row.opened_at) for row in stock.open()}
        self._pool = FilePool(files, folder, stats, most=open_files, sync_each=sync_each)
        self._left = Leftovers(files, folder, self._pool, stats, distrust=distrust)
        growing = {name for name, _ in self._current.values()}
        for name in files.list(folder):
            if name in growing or ((parsed := parse_name(name)) is not None and parsed.sequence >= following):
                self._left.found[name] = files.size(f"{folder}/{name}")
        self._pool.inherited.update(self._left.found)

    def advance(self, now: int) -> None:
        """Note the engine time of what comes next, and seal the files whose age it makes due."""
        self._now = now
        while self._max_age and self._current:
            key, (_, opened_at) = next(iter(self._current.items()))
            if opened_at + self._max_age > now:
                break
            self._seal(key)

    def append(
        self, session_id: str, line: bytes, telemetry: Telemetry = Telemetry.TRACES, **counts: int
    ) -> None:
        """Add one line (with its newline) to a session; on disk after `flush`, durable after `sync`.

        Args:
            session_id: whose; "" for what belongs to none.
            line: the line.
            telemetry: of what it is; each has files of its own.
            counts: what the line holds, by the names of `COUNTS`.
        """
        key = session_id, telemetry
        stream = self._stream(key) or self._fresh(key)
        row = stream.row
        if row.length and row.length + len(line) > self._max_bytes and any(row.counts.values()):
            self._end(stream)
            stream = self._fresh(key)
            row = stream.row
        if not row.length:
            self._put(stream, self._header(f"{self._engine_id}/{row.name}", session_id, telemetry))
        self._put(stream, line)
        for name, count in counts.items():
            setattr(row, name, getattr(row, name) + count)

    def seal(self, session_id: str) -> None:
        """No byte will be added to a session's current files; later lines begin new ones."""
        for telemetry in Telemetry:
            self._seal((session_id, telemetry))

    def _seal(self, key: _Key) -> None:
        if (stream := self._stream(key)) is not None:
            self._end(stream)

    def next_deadline(self) -> int | None:
        """Engine time at which the oldest open file is sealed."""
        if not self._max_age or not self._current:
            return None
        return next(iter(self._current.values()))[1] + self._max_age

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
        self._pool.sync()

    def take_rows(self) -> list[FileRow]:
        """Rows that changed since the last call, for the checkpoint that follows `sync`."""
        rows = list(self._rows.values())
        self._rows = {}
        return rows

    def trim(self, most: int) -> None:
        """Drop streams beyond `most` from memory; call it after the checkpoint, which has their rows."""
        for key in list(self._streams)[: max(0, len(self._streams) - most)]:
            del self._streams[key]

    def settle(self, high_water: int = 1) -> None:
        """End recovery: what a crash left and the replay did not write again is cut or moved away.

        Args:
            high_water: a number that no new file is below, from the manifest.
        """
        self.flush()
        past = self._left.settle(lambda name: self._rows.get(name) or self._stock.file(name))
        self.following = max(self.following, high_water, past)

    def take_quarantined(self) -> list[tuple[str, int]]:
        """Names and lengths of files that `settle` moved away since the last call."""
        taken, self._left.quarantined = self._left.quarantined, []
        return taken

    def close(self) -> None:
        """Close every descriptor; flushes and syncs nothing."""
        self._pool.close()

    def _stream(self, key: _Key) -> _Stream | None:
        """The current file, None when there is none or the one there was is short."""
        stream = self._streams.get(key)
        if stream is not None or key not in self._current:
            return stream
        row = self._stock.file(self._current[key][0])
        assert row is not None, "an open file that is not in memory is in the catalog"
        stream = self._streams[key] = _Stream(row)
        path = f"{self._folder}/{row.name}"
        if (self._files.size(path) if self._files.exists(path) else 0) >= row.length:
            return stream
        self._stats.add("otel_ext.sessions.short_files")  # promised bytes are gone; `verify` names the file
        self._end(stream)
        return None

    def _fresh(self, key: _Key) -> _Stream:
        """Begin a file; a name that is taken by bytes we do not know is never written to."""
        session_id, telemetry = key
        while True:
            name, sequence = file_name(session_id, self.following, telemetry), self.following
            self.following += 1
            if name in self._left.found or not self._files.exists(f"{self._folder}/{name}"):
                break
        row = FileRow(name=name, session_id=session_id, sequence=sequence, opened_at=self._now)
        row.telemetry = telemetry
        self._current[key] = (name, self._now)
        stream = self._streams[key] = _Stream(row)
        return stream

    def _end(self, stream: _Stream) -> None:
        row = stream.row
        row.state, row.sealed_at = FileState.SEALED, self._now
        self._rows[row.name], self._touched[row.name] = row, stream
        del self._streams[_key(row)], self._current[_key(row)]

    def _put(self, stream: _Stream, line: bytes) -> None:
        stream.buffer.append(line)
        stream.row.length += len(line)
        stream.row.crc = crc32(line, stream.row.crc)
        self._touched[stream.row.name] = stream
        self._rows[stream.row.name] = stream.row

    def _write(self, stream: _Stream) -> None:
        row, name = stream.row, stream.row.name
        if stream.buffer:
            self._pool.wrote(name)
            file = self._pool.file(name, new=not stream.written and name not in self._left.found)
            parts, stream.buffer = stream.buffer, []
            if name in self._left.found:
                self._left.reconcile(file, name, stream.written, b"".join(parts))
            else:  # a header and a line are not copied; of more parts one system call may not take all
                file.append(*parts if len(parts) <= 2 else (b"".join(parts),))
            stream.written = row.length
        if row.state is not FileState.OPEN:
            self._left.close(name, row.length)


def _key(row: FileRow) -> _Key:
    return row.session_id, row.telemetry
