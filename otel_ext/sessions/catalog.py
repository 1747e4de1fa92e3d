"""The catalog: one SQLite file that is checkpoint and index at once.

Law of this file: everything that must agree after a crash is written in one transaction: the journal
cursor, the lengths of the files, the sessions, the findings, the ledger and the folds (laws L2, L3).
Nothing here reads a span. What SQLite says of a sick disk is an OSError, of sick bytes a DamageError.
"""

import contextlib
import ctypes
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from otel_ext.sessions.checkpoint import Checkpoint
from otel_ext.sessions.database import Database, text
from otel_ext.sessions.facts import Stands, Totals
from otel_ext.sessions.state import Session, Trace
from otel_ext.sessions.stock import NOTHING, Stock

_Row = TypeVar("_Row")

_TRACE_ID: Final = 32
"""Characters of a trace id; only a session under its trace's own id can be joined to another."""
_MOST: Final = 2**63 - 1
"""The largest integer of SQLite; only sorting uses the column, the row itself keeps what was sent."""


class Catalog:
    """One open catalog. Used by one thread; `read_only` ones live beside the writer.

    Raises:
        UnsupportedVersion: a newer program wrote it.
        DamageError: SQLite cannot read it.
        DataFolderError: it is missing (read-only), not ours, or cannot be written.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._database = Database(path, read_only=read_only)
        self._query = self._database.query
        self.stock = Stock(self._database)
        """Its files."""

    def commit(self, point: Checkpoint) -> None:
        """Write one checkpoint, wholly or not at all.

        Raises:
            OSError: SQLite could not write (full disk, I/O error); nothing changed.
        """
        pack = msgspec.msgpack.encode
        with self._database.transaction() as db:
            db.executemany("REPLACE INTO meta VALUES(?,?)", ((k, pack(v)) for k, v in point.meta.items()))
            db.executemany(
                "REPLACE INTO sessions VALUES(?,?,?,?,?,?,?,0)",
                (
                    (
                        text(s.session_id),
                        s.generation,
                        s.state,
                        s.open,
                        min(s.start, _MOST),
                        s.last_seen,
                        pack(s),
                    )
                    for s in point.sessions
                ),
            )
            db.executemany(
                "REPLACE INTO traces VALUES(?,?,?,?)",
                ((t.trace_id, text(t.session_id), text(t.joined), pack(t)) for t in point.traces),
            )
            self.stock.put(point.files)
            db.executemany(
                "REPLACE INTO signals VALUES(?,?,?,?,?)",
                ((i, r, text(s), t, d) for i, r, s, t, d in point.signals),
            )
            db.executemany("REPLACE INTO folds VALUES(?,?)", ((k, v) for k, v in point.folds.items() if v))
            db.executemany("DELETE FROM folds WHERE key=?", ((k,) for k, v in point.folds.items() if not v))
            if point.dedup is not None:
                db.execute("REPLACE INTO dedup VALUES(?,?)", point.dedup)
            db.execute(
                "DELETE FROM dedup WHERE first < (SELECT max(first) FROM dedup WHERE first <= ?)",
                (point.dedup_from,),
            )
            db.executemany("REPLACE INTO outbox VALUES(?,?,?)", point.outbox)
            if point.outbox_from is not None:
                db.execute("DELETE FROM outbox WHERE (segment, offset) < (?,?)", point.outbox_from)

    def save_meta(self, values: Mapping[str, Any]) -> None:
        """Write small values alone, before the first checkpoint."""
        self.commit(Checkpoint(meta=dict(values)))

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within it, every question is answered as of one and the same checkpoint."""
        self._query("BEGIN")
        try:
            yield
        finally:
            self._query("COMMIT")

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file, in its words; empty when nothing is."""
        return [each for (each,) in self._query("PRAGMA quick_check(10)") if each != "ok"]

    def meta(self) -> dict[str, Any]:
        """All small values of the last checkpoint."""
        return {k: msgspec.msgpack.decode(v) for k, v in self._query("SELECT key, value FROM meta")}

    def folds(self) -> Mapping[str, bytes]:
        """Every fold's dump."""
        return dict(self._query("SELECT key, data FROM folds ORDER BY key"))

    def dedup_blocks(self) -> list[bytes]:
        """The re-delivery window's blocks, oldest first."""
        return [data for (data,) in self._query("SELECT data FROM dedup ORDER BY first")]

    def outbox(self, first: tuple[int, int], last: tuple[int, int]) -> list[tuple[int, int, bytes]]:
        """The outbox's entries of journal records from `first` to `last`."""
        query = (
            "SELECT * FROM outbox WHERE (segment, offset) BETWEEN (?,?) AND (?,?) ORDER BY segment, offset"
        )
        return self._query(query, *first, *last)

    def session(self, session_id: str) -> Session | None:
        """The latest generation of a session."""
        query = "SELECT data FROM sessions WHERE session_id=? ORDER BY generation DESC LIMIT 1"
        return _one(self._query(query, text(session_id)), Session)

    def session_count(self) -> int:
        """How many generations of sessions there are."""
        return int(self._query("SELECT count(*) FROM sessions")[0][0])

    def generation(self, session_id: str, generation: int) -> Session | None:
        """One generation of a session."""
        query = "SELECT data FROM sessions WHERE session_id=? AND generation=?"
        return _one(self._query(query, text(session_id), generation), Session)

    def trace(self, trace_id: bytes) -> Trace | None:
        """Where a trace belongs."""
        return _one(self._query("SELECT data FROM traces WHERE trace_id=?", trace_id), Trace)

    def joined_to(self, session_id: str) -> list[Trace]:
        """Traces stored under their own ids that joined a session later."""
        return list(_all(self._query("SELECT data FROM traces WHERE joined=?", text(session_id)), Trace))

    def marked(self) -> list[str]:
        """Ids of sessions that crashed before any span of them was seen."""
        query = "SELECT session_id FROM sessions WHERE state='crashed' AND start=0"
        return [session_id for (session_id,) in self._query(query)]

    def trace_count(self) -> int:
        """How many traces there are."""
        return int(self._query("SELECT count(*) FROM traces")[0][0])

    def traces(self) -> list[Trace]:
        """Every trace."""
        return list(_all(self._query("SELECT data FROM traces ORDER BY trace_id"), Trace))

    def followed(self, session_id: str, generation: int) -> list[bytes]:
        """Ids of the traces of a generation that detectors follow."""
        traces = _all(self._query("SELECT data FROM traces WHERE session_id=?", text(session_id)), Trace)
        return [t.trace_id for t in traces if t.generation == generation and t.agentic]

    def joins(self) -> dict[str, tuple[str, int]]:
        """`(session id, generation)` of sessions stored under a trace id whose own id was learnt later."""
        traces = _all(self._query("SELECT data FROM traces WHERE joined <> ''"), Trace)
        return {trace.session_id: (trace.joined, trace.joined_generation) for trace in traces}

    def active(self) -> list[Session]:
        """Generations whose silence is waited for, the longest silent first."""
        query = "SELECT data FROM sessions WHERE open ORDER BY last_seen, session_id, generation"
        return list(_all(self._query(query), Session))

    def sessions(self) -> list[Session]:
        """Every generation of every session, by its first instant."""
        found = _all(self._query("SELECT data FROM sessions ORDER BY session_id, generation"), Session)
        return sorted(found, key=lambda session: session.first)

    def untold(self, limit: int, *, open_too: bool) -> list[Session]:
        """Generations whose present row the manifest does not know; those that have ended, or all."""
        which = "" if open_too else "AND state<>'active' "
        query = f"SELECT data FROM sessions WHERE told=0 {which}LIMIT ?"  # noqa: S608 - our own texts
        return list(_all(self._query(query, limit), Session))

    def stands(self, row: Session) -> Stands:
        """What the manifest is told of a generation."""
        traces: list[Trace] = []
        if row.generation > 1 or len(row.session_id) == _TRACE_ID:
            query = "SELECT data FROM traces WHERE session_id=?"
            traces = list(_all(self._query(query, text(row.session_id)), Trace))
        own = [t for t in traces if t.generation == row.generation and (t.generation > 1 or t.joined)]
        return Stands(row=row, traces=[(t.trace_id.hex(), t.joined, t.joined_generation) for t in own])

    def totals(self) -> Totals:
        """What the manifest is told of the last checkpoint."""
        meta = self.meta()
        return Totals(
            ledger=meta.get("ledger", {}),
            expired=meta.get("expired", NOTHING),
            cursor=meta["cursor"],
            next=meta.get("next_file", 1),
            engine=str(meta.get("engine_time", 0)),
        )

    def finding_revisions(self) -> set[tuple[str, int]]:
        """`(id, revision)` of every finding there is."""
        return set(self._query("SELECT id, revision FROM signals"))

    def signals(self) -> Iterator[dict[str, Any]]:
        """Every revision of every finding, as its JSON object."""
        for (data,) in self._query("SELECT data FROM signals ORDER BY id, revision"):
            yield msgspec.json.decode(data)

    def close(self) -> None:
        """Close the database; the last connection folds the WAL in."""
        self._database.close()

    def abandon_after_fork(self) -> None:
        """Keep the connection for ever, in a forked child: SQLite forbids to use or close it there.

        Closing it, which happens at the latest when Python frees it, could fold in the parent's WAL.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._database.connection))


def _one(rows: list[Any], kind: type[_Row]) -> _Row | None:
    return msgspec.msgpack.decode(rows[0][0], type=kind) if rows else None


def _all(rows: list[Any], kind: type[_Row]) -> Iterator[_Row]:
    return (msgspec.msgpack.decode(data, type=kind) for (data,) in rows)
