"""The catalog: one SQLite file that is checkpoint and index at once.

Law of this file: everything that must agree after a crash is written in one transaction: the journal
cursor, the lengths of the files, the sessions, the findings, the ledger and the folds (laws L2, L3).
Nothing here reads a span. SQLite runs in WAL mode with synchronous=FULL, so a committed checkpoint
survives a power cut; WAL needs shared memory, so network file systems are refused.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from otel_ext.errors import DamageError, DataFolderError, UnsupportedVersion
from otel_ext.sessions.checkpoint import Checkpoint, FileRow
from otel_ext.sessions.network import refuse_network
from otel_ext.sessions.state import Session, Trace

VERSION = 1
"""Version of the schema below."""

_MOST = 2**63 - 1
"""The largest integer of SQLite; only sorting uses the column, the row itself keeps what was sent."""

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions(session_id TEXT, generation INTEGER, state TEXT NOT NULL, start INTEGER NOT NULL,
    last_seen INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(session_id, generation)) WITHOUT ROWID;
CREATE INDEX active ON sessions(last_seen) WHERE state = 'active';
CREATE TABLE traces(trace_id BLOB PRIMARY KEY, session_id TEXT NOT NULL, joined TEXT NOT NULL,
    data BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX members ON traces(session_id);
CREATE INDEX joined ON traces(joined) WHERE joined <> '';
CREATE TABLE files(name TEXT PRIMARY KEY, session_id TEXT NOT NULL, sequence INTEGER NOT NULL,
    data BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX streams ON files(session_id, sequence);
CREATE TABLE signals(id TEXT, revision INTEGER, session_id TEXT NOT NULL, trace_id BLOB NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY(id, revision)) WITHOUT ROWID;
CREATE TABLE folds(key TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE dedup(first INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""


class Catalog:
    """One open catalog. Used by one thread; `read_only` ones live beside the writer.

    Raises:
        UnsupportedVersion: a newer program wrote it.
        DamageError: SQLite cannot read it.
        DataFolderError: it is missing (read-only), not ours, or cannot be written.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        try:
            if read_only:
                uri = f"{path.resolve().as_uri()}?mode=ro"
                self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            else:
                refuse_network(path.parent)
                path.touch(mode=0o600)
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA busy_timeout=5000")
            self._open(read_only)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "open" in str(error):
                raise DataFolderError(f"cannot open the catalog {path}: {error}") from error
            raise DamageError(
                f"the catalog {path} cannot be read: {error}; it can be rebuilt from the session files"
            ) from error

    def _open(self, read_only: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            self._db.close()
            raise UnsupportedVersion(
                f"{self.path} has catalog version {version}, this otel-ext reads up to {VERSION}; "
                f"upgrade otel-ext or choose another --data folder"
            )
        if version == 0:
            if read_only:
                raise DataFolderError(f"{self.path} holds no catalog yet")
            with self._transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def commit(self, point: Checkpoint) -> None:
        """Write one checkpoint, wholly or not at all.

        Raises:
            OSError: SQLite could not write (full disk, I/O error); nothing changed.
        """
        pack = msgspec.msgpack.encode
        db = self._db
        try:
            with self._transaction():
                db.executemany("REPLACE INTO meta VALUES(?,?)", ((k, pack(v)) for k, v in point.meta.items()))
                db.executemany(
                    "REPLACE INTO sessions VALUES(?,?,?,?,?,?)",
                    (
                        (
                            _text(s.session_id),
                            s.generation,
                            s.state,
                            min(s.start, _MOST),
                            s.last_seen,
                            pack(s),
                        )
                        for s in point.sessions
                    ),
                )
                db.executemany(
                    "REPLACE INTO traces VALUES(?,?,?,?)",
                    ((t.trace_id, _text(t.session_id), _text(t.joined), pack(t)) for t in point.traces),
                )
                db.executemany(
                    "REPLACE INTO files VALUES(?,?,?,?)",
                    ((f.name, _text(f.session_id), f.sequence, pack(f)) for f in point.files),
                )
                db.executemany(
                    "REPLACE INTO signals VALUES(?,?,?,?,?)",
                    ((i, r, _text(s), t, d) for i, r, s, t, d in point.signals),
                )
                db.executemany(
                    "REPLACE INTO folds VALUES(?,?)", ((k, v) for k, v in point.folds.items() if v)
                )
                db.executemany(
                    "DELETE FROM folds WHERE key=?", ((k,) for k, v in point.folds.items() if not v)
                )
                if point.dedup is not None:
                    db.execute("REPLACE INTO dedup VALUES(?,?)", point.dedup)
                db.execute(
                    "DELETE FROM dedup WHERE first < (SELECT max(first) FROM dedup WHERE first <= ?)",
                    (point.dedup_from,),
                )
        except sqlite3.Error as error:
            raise OSError(f"the catalog {self.path} could not be written: {error}") from error

    def save_meta(self, values: Mapping[str, Any]) -> None:
        """Write small values alone, before the first checkpoint."""
        self.commit(Checkpoint(meta=dict(values)))

    def meta(self) -> dict[str, Any]:
        """All small values of the last checkpoint."""
        return {k: msgspec.msgpack.decode(v) for k, v in self._db.execute("SELECT key, value FROM meta")}

    def folds(self) -> Mapping[str, bytes]:
        """Every fold's dump."""
        return dict(self._db.execute("SELECT key, data FROM folds"))

    def dedup_blocks(self) -> Iterable[tuple[int, bytes]]:
        """The re-delivery window's blocks, oldest first."""
        return self._db.execute("SELECT first, data FROM dedup ORDER BY first").fetchall()

    def session(self, session_id: str) -> Session | None:
        """The latest generation of a session."""
        row = self._db.execute(
            "SELECT data FROM sessions WHERE session_id=? ORDER BY generation DESC LIMIT 1",
            (_text(session_id),),
        ).fetchone()
        return msgspec.msgpack.decode(row[0], type=Session) if row else None

    def generation(self, session_id: str, generation: int) -> Session | None:
        """One generation of a session."""
        row = self._db.execute(
            "SELECT data FROM sessions WHERE session_id=? AND generation=?", (_text(session_id), generation)
        ).fetchone()
        return msgspec.msgpack.decode(row[0], type=Session) if row else None

    def trace(self, trace_id: bytes) -> Trace | None:
        """Where a trace belongs."""
        row = self._db.execute("SELECT data FROM traces WHERE trace_id=?", (trace_id,)).fetchone()
        return msgspec.msgpack.decode(row[0], type=Trace) if row else None

    def traces_of(self, session_id: str, generation: int) -> list[bytes]:
        """Ids of the traces stored under a generation of a session."""
        rows = self._db.execute("SELECT trace_id, data FROM traces WHERE session_id=?", (_text(session_id),))
        return [t for t, data in rows if msgspec.msgpack.decode(data, type=Trace).generation == generation]

    def joins(self) -> dict[str, str]:
        """Sessions that are another session's: stored under the trace id, joined when the id was learnt."""
        rows = self._db.execute("SELECT data FROM traces WHERE joined <> ''")
        traces = (msgspec.msgpack.decode(data, type=Trace) for (data,) in rows)
        return {trace.session_id: trace.joined for trace in traces}

    def active(self) -> list[Session]:
        """Generations that had not ended, the longest silent first."""
        rows = self._db.execute(
            "SELECT data FROM sessions WHERE state='active' ORDER BY last_seen, session_id"
        )
        return [msgspec.msgpack.decode(row[0], type=Session) for row in rows]

    def sessions(self) -> Iterator[Session]:
        """Every generation of every session, by start."""
        for (data,) in self._db.execute("SELECT data FROM sessions ORDER BY start, session_id, generation"):
            yield msgspec.msgpack.decode(data, type=Session)

    def last_file(self, session_id: str) -> FileRow | None:
        """The file a session is being written to, or was last."""
        row = self._db.execute(
            "SELECT data FROM files WHERE session_id=? ORDER BY sequence DESC LIMIT 1", (_text(session_id),)
        ).fetchone()
        return msgspec.msgpack.decode(row[0], type=FileRow) if row else None

    def file(self, name: str) -> FileRow | None:
        """One file by name."""
        row = self._db.execute("SELECT data FROM files WHERE name=?", (name,)).fetchone()
        return msgspec.msgpack.decode(row[0], type=FileRow) if row else None

    def files(self, session_id: str | None = None) -> Iterator[FileRow]:
        """Files in writing order, of one session or of all."""
        query, order = "SELECT data FROM files", " ORDER BY session_id, sequence"
        if session_id is None:
            rows = self._db.execute(query + order)
        else:
            rows = self._db.execute(query + " WHERE session_id=?" + order, (_text(session_id),))
        for (data,) in rows:
            yield msgspec.msgpack.decode(data, type=FileRow)

    def signals(self) -> Iterator[dict[str, Any]]:
        """Every revision of every finding, as its JSON object."""
        for (data,) in self._db.execute("SELECT data FROM signals ORDER BY id, revision"):
            yield msgspec.json.decode(data)

    def close(self) -> None:
        """Close the database; the last connection folds the WAL in."""
        self._db.close()


def _text(session_id: str) -> str:
    """A session id as SQLite can hold it: lone surrogates (never from the wire) are escaped."""
    return session_id.encode("utf-8", "backslashreplace").decode()
