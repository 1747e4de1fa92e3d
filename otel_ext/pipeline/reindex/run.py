"""The catalog made anew from session files, manifest and journal.

Law of this file: the files are the truth, the manifest says what was known of them, and no line of either is
changed. The new catalog is made beside the old one and takes its name only when it is whole and on the
disk; the old one is moved to `quarantine/`. A crash anywhere leaves a folder that can be reindexed again.

What it gives back: every answer of `sessions`, `signals`, `cat` and `verify` as it was, where the engine had
stopped politely. After a kill: every span that is in a file, counted once; what the journal holds beyond
the files is appended to it again and processed by the next start (`journal`). What only the catalog knew is
lost and stays small: how many re-deliveries an open session had, findings whose files retention removed, and
begun spans whose records the journal has released. Detectors of open sessions are made anew (`rebuild`).
"""

import contextlib
import itertools
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from otel_ext import conventions, otlp
from otel_ext.dedup import Window
from otel_ext.errors import Permanent
from otel_ext.files import Files, RealFiles
from otel_ext.journal import FolderLock, Journal, Position
from otel_ext.pipeline.detect import REBUILD
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.logs import time_of
from otel_ext.pipeline.logsteps import LogReader
from otel_ext.pipeline.original import original
from otel_ext.pipeline.recount import Stored, recounted
from otel_ext.pipeline.reindex.files import StoredReader, identities, relearn_window, request_of
from otel_ext.pipeline.reindex.journal import Unread
from otel_ext.pipeline.reindex.journallogs import UnreadLogs
from otel_ext.pipeline.reindex.ledger import Found, balance
from otel_ext.pipeline.reindex.manifest import Retold
from otel_ext.pipeline.reindex.sessions import Relearned, Told
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.pipeline.spansteps import StepReader
from otel_ext.sessions import NOTHING, Catalog, Checkpoint, FileRow, committed_lines
from otel_ext.telemetry import Telemetry

NAME = "catalog.sqlite"
_NEW = f"{NAME}.new"
_BESIDE = ("-wal", "-shm")


class Reindexed(msgspec.Struct, kw_only=True):
    """What came of it.

    Attributes:
        engine: the owner's name.
        files, sessions, spans, signals: what the new catalog holds; `signals` counts revisions.
        again: spans that were in the journal only; the next start stores them.
        old: where the old catalog lies now, "" when there was none.
    """

    engine: str
    files: int
    sessions: int
    spans: int
    signals: int
    again: int
    old: str


def reindex(folder: Path, files: Files | None = None) -> Reindexed:
    """Make the catalog of one engine's folder anew.

    Raises:
        DataFolderInUse: a live process owns it.
        DataFolderError: the folder cannot be used.
    """
    files = files or RealFiles()
    lock = FolderLock.acquire(str(folder))
    try:
        for name in (_NEW, *(_NEW + end for end in _BESIDE)):
            with contextlib.suppress(FileNotFoundError):
                files.remove(f"{folder}/{name}")
        catalog = Catalog(folder / _NEW)
        try:
            report = _Reindex(folder, files, catalog).run()
        finally:
            catalog.close()
        report.old = _swap(folder, files)
        return report
    finally:
        lock.release(done=not lock.inherited)


def _swap(folder: Path, files: Files) -> str:
    """Give the new catalog the name; where the old one is now."""
    new = files.open(f"{folder}/{_NEW}")
    new.sync()
    new.close()
    old = ""
    present = [name for name in (NAME, *(NAME + end for end in _BESIDE)) if files.exists(f"{folder}/{name}")]
    if present:
        aside = f"{folder}/quarantine"
        files.make_directory(aside)
        taken = set(files.list(aside))
        number = next(n for n in itertools.count() if not any(f"{name}.{n}" in taken for name in present))
        # The log first: without it the database is whole, with another one's it would not be.
        for name in reversed(present):
            files.rename(f"{folder}/{name}", f"{aside}/{name}.{number}")
        files.sync_directory(aside)
        files.sync_directory(str(folder))
        old = f"{aside}/{present[0]}.{number}"
    files.rename(f"{folder}/{_NEW}", f"{folder}/{NAME}")
    files.sync_directory(str(folder))
    return old


class _Reindex:
    def __init__(self, folder: Path, files: Files, catalog: Catalog) -> None:
        self._folder, self._files, self._catalog = folder, files, catalog
        settings = self._settings = EngineSettings()
        reader = StepReader(settings.signals.effects)
        self._reader, self._logs = StoredReader(reader), LogReader(settings.signals.effects)
        self._readers = reader, self._logs

    def run(self) -> Reindexed:
        """All of it, but the swap."""
        catalog = self._catalog
        retold = Retold(catalog, self._files, str(self._folder))
        totals = retold.totals
        ledger = msgspec.convert(totals.ledger, Ledger) if totals and totals.ledger else Ledger()
        since = Position(*totals.cursor) if totals else Position(0, 0)
        journal = Journal.open(self._files, f"{self._folder}/journal")
        try:
            engine = int(totals.engine) if totals else 0
            unread, logs = Unread(journal, since, engine, ledger), UnreadLogs(journal, since, ledger)
            now = max(journal.engine_time, engine)
            retold.files(now)
            rows = catalog.stock.files()
            expired = catalog.stock.meta("expired") or NOTHING
            self._sessions(rows, retold.told, unread, logs, now)
            end = journal.readable_end
            again, _ = unread.again()
            logs.again(rows, expired)
        finally:
            journal.close()
        found = Found(
            stored=sum(row.spans for row in rows) + expired["spans"],
            derived=sum(row.derived for row in rows) + expired["derived"],
            **self._counts,
            marked=unread.marked,
            again=again,
            damaged=retold.damaged,
        )
        balance(ledger, found)
        window = self._window(rows)
        catalog.commit(
            Checkpoint(
                meta={
                    "engine_id": retold.engine_id or secrets.token_hex(8),
                    "cursor": list(end),
                    "engine_time": now,
                    "next_file": retold.following,
                    "ledger": ledger.as_dict(),
                },
                folds={REBUILD: b"1"},
                dedup=(0, block) if (block := window.take_block()) else None,
            )
        )
        return Reindexed(
            engine=self._folder.name,
            files=len(rows),
            sessions=len(catalog.sessions()),
            spans=sum(row.spans for row in rows),
            signals=len(catalog.finding_revisions()),
            again=again,
            old="",
        )

    def _lines(self, row: FileRow) -> Iterator[bytes]:
        return committed_lines(self._files, f"{self._folder}/sessions", row)

    def _sessions(
        self, rows: list[FileRow], told: dict[str, Told], unread: Unread, logs: UnreadLogs, now: int
    ) -> None:
        self._counts, catalog = {"unfinished": 0, "conflicts": 0}, self._catalog
        placed, grown = dict[bytes, bool](), list[str]()
        for session_id, group in itertools.groupby(rows, key=lambda row: row.session_id):
            files = list(group)
            session = Relearned(
                session_id, told.pop(session_id, Told()), sum(row.spans for row in files), now=now
            )
            spans = records = 0
            for row in files:
                with contextlib.suppress(OSError, Permanent):  # damaged: its row stays, and `verify` says so
                    for line in self._lines(row):
                        if row.telemetry is Telemetry.TRACES:
                            self._line(line, session, unread)
                        elif times := list(logs.stored(row.telemetry, line)):
                            session.logs(times if session_id else ())
                            self._calls(line, session, session_id)
                spans, records = spans + row.spans, records + row.logs
                session.at(spans, records)
            catalog.commit(session.checkpoint(placed))
            grown += [session_id] * session.beyond
        for session_id, rest in told.items():  # sessions without a file: marks that came before any span
            session = Relearned(session_id, rest, 0, now=now)
            catalog.commit(session.checkpoint(placed))
        for session_id in grown:
            again = recounted(session_id, Stored(catalog, *self._readers, self._readable))
            catalog.commit(Checkpoint(meta={}, sessions=again))

    def _readable(self, row: FileRow) -> Iterator[bytes]:
        with contextlib.suppress(OSError, Permanent):
            yield from self._lines(row)

    def _calls(self, line: bytes, session: Relearned, session_id: str) -> None:
        if session_id and any(hint in line for hint in conventions.record_hints):
            body = otlp.read_json(Telemetry.LOGS, line)
            session.calls(self._logs.steps(body, session_id, lambda log: time_of(log, 0)))

    def _line(self, line: bytes, session: Relearned, unread: Unread) -> None:
        body = request_of(line)
        if line.endswith(otlp.DERIVED):
            session.findings(self._reader.findings(body))
        else:
            items = list(self._reader.items(body))
            session.items(items)
            for item in items:
                self._counts["conflicts"] += item.conflict
                self._counts["unfinished"] += item.unfinished
                if item.unfinished:
                    unread.written(item.trace_id + item.span_id)
        if unread.read:
            for identity in identities(original(body, findings=True)):
                unread.stored(identity)

    def _window(self, rows: list[FileRow]) -> Window:
        """The window of re-deliveries, from the newest files."""
        most, chosen = self._settings.dedup_window, list[FileRow]()
        rows = [row for row in rows if row.telemetry is Telemetry.TRACES]
        for row in sorted(rows, key=lambda r: (r.sealed_at or 1 << 63, r.sequence), reverse=True):
            if most <= 0:
                break
            most -= row.spans
            chosen.append(row)
        window = Window(self._settings.dedup_window)
        for row in reversed(chosen):
            with contextlib.suppress(OSError, Permanent):
                relearn_window(window, self._lines(row))
        return window
