"""The manifest told to a new catalog, line by line, and the files that it does not speak of.

Law of this file: what was said becomes true in the order in which it was said, by the same code that made it
true then (`Stock.keep`), so the files' rows, what expired and what is still to be removed end the same.
"""

import contextlib
import itertools
from collections.abc import Iterator

from otel_ext import otlp
from otel_ext.checksum import crc32
from otel_ext.errors import Permanent, UnsupportedVersion
from otel_ext.files import File, Files
from otel_ext.pipeline.logs import COUNT_OF
from otel_ext.pipeline.reindex.files import request_of
from otel_ext.pipeline.reindex.sessions import Told
from otel_ext.sessions import (
    MANIFEST,
    Catalog,
    Checkpoint,
    Fact,
    FileRow,
    FileState,
    Name,
    Place,
    Trace,
    facts,
    parse_name,
    read_manifest,
    session_of,
)
from otel_ext.telemetry import Telemetry

_CHUNK = 1 << 20


class Retold:
    """Feeds a new catalog with files.

    Attributes:
        engine_id: of the folder, "" when nothing says it.
        totals: the last that were stated.
        told: what is said of sessions, by id.
        damaged: spans in files that were found damaged after these totals.
        following: the next file's number.

    Raises:
        UnsupportedVersion: a newer program wrote the manifest.
    """

    def __init__(self, catalog: Catalog, files: Files, folder: str) -> None:
        self._catalog, self._files, self._folder = catalog, files, folder
        self._sessions = f"{folder}/sessions"
        self.engine_id, self.following, self.damaged = "", 1, 0
        self.totals: facts.Totals | None = None
        self.told: dict[str, Told] = {}
        self._homes: dict[str, str] = {}
        if not files.exists(f"{folder}/{MANIFEST}"):
            return
        file = files.open(f"{folder}/{MANIFEST}", read_only=True)
        try:
            for line in read_manifest(file):
                if line.fact is not None:
                    self._take(line.fact, line.end)
        finally:
            file.close()

    def _take(self, fact: Fact, place: Place) -> None:
        stock = self._catalog.stock
        match fact:
            case facts.Opening():
                if fact.version > facts.VERSION:
                    raise UnsupportedVersion(
                        f"{self._folder}/{MANIFEST} has version {fact.version}, this otel-ext reads up to "
                        f"{facts.VERSION}"
                    )
                self.engine_id = fact.engine
            case facts.Totals():
                self.totals, self.damaged = fact, 0
                self.following = max(self.following, fact.next)
            case facts.Sealed():
                row = facts.unsealed(fact, parse_name(fact.name))
                self.following = max(self.following, row.sequence + 1)
                self._homes[fact.name] = fact.session
                stock.put([row])
            case facts.Removed() | facts.Damaged():
                home = self._homes.pop(fact.name, None)
                if home is not None:
                    told = self.told.setdefault(home, Told(rows={}, traces={}))
                    told.gone, told.logs_gone = told.gone + fact.spans, told.logs_gone + fact.logs
                self.damaged += fact.spans if isinstance(fact, facts.Damaged) else 0
            case facts.Stands():
                self._stands(fact)
        purged = stock.keep([fact], place, ())
        for session_id in purged:
            self.told.pop(session_id, None)

    def _stands(self, fact: facts.Stands) -> None:
        row = fact.row
        told = self.told.setdefault(row.session_id, Told(rows={}, traces={}))
        told.rows[row.generation] = row
        for trace_id, joined, generation in fact.traces:
            trace = Trace(
                trace_id=bytes.fromhex(trace_id), session_id=row.session_id, generation=row.generation
            )
            trace.joined, trace.joined_generation = joined, generation
            told.traces[trace.trace_id] = trace
        # It must be there for `keep`, which asks whether a generation is open before it forgets a session.
        self._catalog.commit(Checkpoint(meta={}, sessions=[row]))

    def files(self, now: int) -> None:
        """Add the files that the manifest does not know; the last of each session and telemetry is open.

        Args:
            now: engine time in ns, for when they were opened or sealed.
        """
        stock = self._catalog.stock
        doomed, open_rows = set(stock.doomed()), dict[tuple[str, Telemetry], FileRow]()
        named = [(name, parsed) for name in self._files.list(self._sessions) if (parsed := parse_name(name))]
        for name, parsed in sorted(named, key=lambda pair: pair[1].sequence):
            self.following = max(self.following, parsed.sequence + 1)
            if name in doomed or stock.file(name) is not None:
                continue
            row = self._read(name, parsed, now)
            if row is None:
                quarantine(self._files, self._folder, name)
                continue
            key = row.session_id, row.telemetry
            if (older := open_rows.get(key)) is not None:
                self._seal(older, now)
            open_rows[key] = row
        stock.put(open_rows.values())

    def _read(self, name: str, parsed: Name, now: int) -> FileRow | None:
        """A file as far as its whole lines go; None when it has none."""
        file = self._files.open(f"{self._sessions}/{name}", read_only=True)
        try:
            row: FileRow | None = None
            for line in _lines(file):
                if row is None:
                    unique, session_id = otlp.read_header(line) or ("", None)
                    session_id = session_of(parsed.stem) if session_id is None else session_id
                    if not unique or session_id is None:
                        return None
                    self.engine_id = self.engine_id or unique.partition("/")[0]
                    row = FileRow(
                        name=name,
                        session_id=session_id,
                        sequence=parsed.sequence,
                        telemetry=parsed.telemetry,
                        opened_at=now,
                    )
                elif (items := _count(line, row.telemetry)) is None:
                    break
                elif row.telemetry is not Telemetry.TRACES:
                    name_of = COUNT_OF[row.telemetry]
                    setattr(row, name_of, getattr(row, name_of) + items)
                elif line.endswith(otlp.DERIVED):
                    row.derived += items
                else:
                    row.spans += items
                row.length += len(line)
                row.crc = crc32(line, row.crc)
            if row is not None and row.length < file.size() and b"\n" in file.read(row.length, _CHUNK):
                self._keep_copy(name, file)  # not only an unfinished write: somebody may want to read it
            return row
        finally:
            file.close()

    def _seal(self, row: FileRow, now: int) -> None:
        row.state, row.sealed_at = FileState.SEALED, now
        self._catalog.stock.put([row])
        file = self._files.open(f"{self._sessions}/{row.name}")
        if file.size() > row.length:
            file.truncate(row.length)
            file.sync()
        file.close()

    def _keep_copy(self, name: str, file: File) -> None:
        copy = self._files.create(free_name(self._files, self._folder, name))
        at = 0
        while data := file.read(at, _CHUNK):
            copy.append(data)
            at += len(data)
        copy.sync()
        copy.close()
        self._files.sync_directory(f"{self._folder}/quarantine")


def free_name(files: Files, folder: str, name: str) -> str:
    """A path in an engine's quarantine that nothing has; the folder is made."""
    aside = f"{folder}/quarantine"
    files.make_directory(aside)
    return next(path for n in itertools.count() if not files.exists(path := f"{aside}/{name}.{n}"))


def quarantine(files: Files, folder: str, name: str) -> str:
    """Move a session file to its engine's quarantine, durably; where it is now."""
    target = free_name(files, folder, name)
    files.rename(f"{folder}/sessions/{name}", target)
    files.sync_directory(f"{folder}/quarantine")
    files.sync_directory(f"{folder}/sessions")
    return target


def _lines(file: File) -> Iterator[bytes]:
    """Whole lines."""
    rest, at = b"", 0
    while data := file.read(at, _CHUNK):
        at += len(data)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line + b"\n"


def _count(line: bytes, telemetry: Telemetry) -> int | None:
    """How many items a line has; None when it cannot be read."""
    with contextlib.suppress(Permanent, ValueError, LookupError, TypeError, AttributeError):
        if telemetry is Telemetry.TRACES:
            return otlp.count(request_of(line))
        otlp.read_json(telemetry, line)
        return otlp.items_in(line, telemetry)
    return None
