"""Session files, catalog and keeper without a fold: a list of events is the journal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from otel_ext.errors import DamageError
from otel_ext.files import Files
from otel_ext.sessions import (
    Catalog,
    Checkpoint,
    FileRow,
    FileState,
    Keeper,
    ManifestReport,
    Policy,
    Session,
    Streams,
    committed_bytes,
    committed_lines,
)
from otel_ext.stats import Stats

FOLDER = "/engine"
HOUR = 3600 * 10**9


class Event(NamedTuple):
    """A line of a session, or its end, at an engine time."""

    kind: Literal["line", "end"]
    session: str
    now: int
    line: bytes = b""


def line(number: int) -> bytes:
    """A line that no other is equal to."""
    return b'{"line":%d,"%s":0}\n' % (number, b"x" * (number * 7 % 40))


class World:
    """One engine's durable side on any disk; made again over the same catalog it is the next start.

    Attributes:
        journal: everything that ever happened; it survives every crash.
    """

    def __init__(
        self,
        files: Files,
        catalog: Path,
        journal: list[Event],
        policy: Policy | None = None,
        *,
        max_bytes: int = 300,
    ) -> None:
        self.files, self.journal, self.stats = files, journal, Stats()
        files.make_directory(f"{FOLDER}/sessions")
        self.catalog = Catalog(catalog)
        if "cursor" not in self.catalog.meta():
            self.catalog.save_meta({"cursor": [0, 0], "next_file": 1, "ledger": {"stored": 0}, "time": 0})
        self.keeper: Keeper | None = None
        self.streams: Streams | None = None
        meta = self.catalog.meta()
        self.keeper = Keeper(
            files,
            FOLDER,
            catalog=self.catalog,
            engine_id="e",
            policy=policy or Policy(),
            stats=self.stats,
            busy=lambda: {s.session_id for s in self.sessions.values() if not s.ended},
        )
        self.sessions = {s.session_id: s for s in self.catalog.sessions()}
        self.now, self.stored = int(meta["time"]), int(meta["ledger"]["stored"])
        self.streams = Streams(
            files,
            f"{FOLDER}/sessions",
            stock=self.catalog.stock,
            following=meta["next_file"],
            now=self.now,
            header=lambda name, *_: b'{"otel_ext":"%s"}\n' % name.encode(),
            engine_id="e",
            max_bytes=max_bytes,
            max_age=HOUR,
            stats=self.stats,
        )
        self.cursor = int(meta["cursor"][1])
        while self.cursor < len(journal):
            self._apply(journal[self.cursor])
        self.streams.settle(self.keeper.high_water)

    def happen(self, event: Event) -> None:
        """Something new: it is in the journal before it is processed."""
        self.journal.append(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        assert self.streams is not None
        self.now = max(self.now, event.now)
        self.streams.advance(self.now)
        session = self.sessions.setdefault(event.session, Session(session_id=event.session))
        if event.kind == "line":
            self.streams.append(event.session, event.line, spans=1)
            self.stored += 1
            session.idle_at = 0
        else:
            self.streams.seal(event.session)
            session.idle_at = self.now
        self.cursor += 1

    def flush(self) -> None:
        """Write what was appended, without a checkpoint."""
        assert self.streams is not None
        self.streams.flush()

    def checkpoint(self) -> None:
        """Sync, then one transaction."""
        assert self.streams is not None
        self.streams.sync()
        meta = {
            "cursor": [0, self.cursor],
            "ledger": {"stored": self.stored},
            "next_file": self.streams.following,
            "time": self.now,
        }
        rows = list(self.sessions.values())
        self.catalog.commit(Checkpoint(meta=meta, sessions=rows, files=self.streams.take_rows()))

    def keep(self, now: int, *, turns: int = 100, closing: bool = False) -> None:
        """Checkpoint, then work on sealed files until there is none left."""
        assert self.keeper is not None
        assert self.streams is not None
        self.checkpoint()
        for _ in range(turns):
            more = self.keeper.turn(now, quarantined=self.streams.take_quarantined(), closing=closing)
            for session_id in self.keeper.purged:
                self.sessions.pop(session_id, None)
            self.keeper.purged = []
            if not more:
                break

    def close(self) -> None:
        """As after a kill: nothing is written."""
        if self.streams is not None:
            self.streams.close()
        if self.keeper is not None:
            self.keeper.close()
        self.catalog.close()

    def rows(self) -> list[FileRow]:
        """Files of the catalog."""
        return self.catalog.stock.files()

    def lines(self, row: FileRow) -> list[bytes]:
        """Lines of a file."""
        return list(committed_lines(self.files, f"{FOLDER}/sessions", row))

    def faults(self) -> Iterator[str]:
        """Everything that does not agree, after a checkpoint."""
        seen: list[bytes] = []
        for row in self.rows():
            try:
                data = b"".join(committed_bytes(self.files, f"{FOLDER}/sessions", row))
            except (OSError, DamageError) as error:
                yield f"{row.name}: {error}"
                continue
            size = self.files.size(f"{FOLDER}/sessions/{row.stored_name}")
            if len(data) != row.length or size != row.stored_length:
                yield f"{row.name}: {len(data)} bytes and {size} on disk, not {row.length}"
            seen += self.lines(row)
        expired = self.catalog.stock.meta("expired") or {"files": 0, "spans": 0, "derived": 0}
        if len(seen) + expired["spans"] != self.stored:
            yield f"{len(seen)} present + {expired['spans']} expired, stored {self.stored}"
        happened = [event.line for event in self.journal[: self.cursor] if event.kind == "line"]
        if len(set(seen)) != len(seen) or not set(seen) <= set(happened):
            yield "a line is there twice, or never happened"
        if not expired["files"] and sorted(seen) != sorted(happened):
            yield "a line is missing"
        for session in self.sessions:
            mine = [row for row in self.rows() if row.session_id == session]
            lines = [each for row in mine for each in self.lines(row)]
            if lines != [event.line for event in self.journal if event.line in set(lines)]:
                yield f"{session}: lines are out of order"
        names = {row.stored_name for row in self.rows()} | set(self.catalog.stock.doomed())
        strangers = set(self.files.list(f"{FOLDER}/sessions")) - names
        if strangers:
            yield f"strangers: {strangers}"
        report = ManifestReport.of(self.files, FOLDER, self.catalog.stock.meta("manifest"))
        yield from report.faults
        yield from report.differences(self.rows(), expired)

    def sealed(self) -> list[FileRow]:
        """Sealed files."""
        return [row for row in self.rows() if row.state is not FileState.OPEN]
