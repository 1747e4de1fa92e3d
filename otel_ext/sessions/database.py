"""The catalog's SQLite file: its schema, its version, how it is opened.

Law of this file: WAL mode with synchronous=FULL, so a committed checkpoint survives a power cut. WAL needs
memory that all users share, so network file systems are refused. A newer schema is never touched.
"""

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from otel_ext.errors import DamageError, DataFolderError, UnsupportedVersion
from otel_ext.sessions.forkgate import GATE
from otel_ext.sessions.network import refuse_network

VERSION: Final = 4
"""Version of the schema below."""

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space, or choose another --data folder",
    sqlite3.SQLITE_READONLY: "the file system or the file is read-only: remount it, or give write access",
    sqlite3.SQLITE_IOERR: "the disk reports errors or is full: free some space, see the kernel's log",
    sqlite3.SQLITE_CANTOPEN: "see that it may be read; a copy on a writable disk can be",
    sqlite3.SQLITE_BUSY: "another program holds it: stop that one",
}

# Folds and what goes out may be megabytes: without a rowid such a row is copied whole by every search of the
# tree that meets its key (measured, 0.6 ms for each of thousands of keys of a checkpoint).
_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions(session_id TEXT, generation INTEGER, state TEXT NOT NULL, open INTEGER NOT NULL,
    start INTEGER NOT NULL, last_seen INTEGER NOT NULL, data BLOB NOT NULL, told INTEGER NOT NULL,
    PRIMARY KEY(session_id, generation)) WITHOUT ROWID;
CREATE INDEX awake ON sessions(last_seen) WHERE open;
CREATE INDEX untold ON sessions(session_id) WHERE told=0 AND state<>'active';
CREATE TABLE traces(trace_id BLOB PRIMARY KEY, session_id TEXT NOT NULL, joined TEXT NOT NULL,
    data BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX members ON traces(session_id);
CREATE INDEX joined ON traces(joined) WHERE joined <> '';
CREATE TABLE files(name TEXT PRIMARY KEY, session_id TEXT NOT NULL, sequence INTEGER NOT NULL,
    state INTEGER NOT NULL, sealed_at INTEGER NOT NULL, bytes INTEGER NOT NULL, data BLOB NOT NULL)
    WITHOUT ROWID;
CREATE INDEX streams ON files(session_id, sequence);
CREATE INDEX states ON files(state, sealed_at, sequence);
CREATE INDEX ages ON files(sealed_at, sequence) WHERE state >= 2;
CREATE INDEX sizes ON files(bytes);
CREATE TABLE doomed(name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE signals(id TEXT, revision INTEGER, session_id TEXT NOT NULL, trace_id BLOB NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY(id, revision)) WITHOUT ROWID;
CREATE INDEX findings ON signals(session_id);
CREATE TABLE folds(key TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE dedup(first INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE outbox(segment INTEGER, offset INTEGER, data BLOB NOT NULL, PRIMARY KEY(segment, offset));
"""


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a catalog's database, making it when it is missing and may be written.

    Raises:
        UnsupportedVersion: a newer program wrote it.
        DamageError: SQLite cannot read it.
        DataFolderError: it is missing (read-only), on a network file system, or cannot be written; or this
            process was forked from one whose SQLite was at work and did not come to rest.
    """
    if GATE.doubtful:
        raise DataFolderError(
            f"cannot open the catalog {path}: this process was forked while SQLite worked in its parent, and "
            f"could hang in it; start it by `spawn` or `forkserver` instead"
        )
    try:
        with GATE:
            if read_only:
                return _reader(path)
            refuse_network(path.parent)
            path.touch(mode=0o600)
            return _opened(path, "mode=rw")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # of the disk; SQLite has other words for sick bytes
            advice = _ADVICE.get(error.sqlite_errorcode & 0xFF, "mend that, or choose another --data folder")
            raise DataFolderError(f"cannot open the catalog {path}: {error}; {advice}") from error
        raise damaged(path, error) from error


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that never writes.

    SQLite reads a WAL database only where `-wal` and `-shm` exist or can be made. On a read-only disk they
    cannot; there a catalog without a `-wal` was closed cleanly, is complete, and is read as it lies.
    """
    try:
        return _opened(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN or not path.exists():
            raise
        if path.with_name(f"{path.name}-wal").exists():
            raise
        return _opened(path, "immutable=1")


def _opened(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{how}"
    database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    read_only = how != "mode=rw"
    try:
        if not read_only:
            if not database.execute("PRAGMA page_count").fetchone()[0]:  # only counts before the first table
                database.execute("PRAGMA auto_vacuum=INCREMENTAL")
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA busy_timeout=5000")
        _prepare(database, path, read_only=read_only)
    except BaseException:
        database.close()
        raise
    return database


class Database:
    """One open database: transactions and questions, its failures in the words of this package."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.connection = connect(path, read_only=read_only)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything within is written wholly or not at all.

        Raises:
            OSError: SQLite could not write; ENOSPC when the disk is full. Nothing changed.
        """
        db = self.connection
        with GATE:
            try:
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                except BaseException:
                    if db.in_transaction:  # on a full or sick disk SQLite has taken it back itself
                        db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
            except sqlite3.Error as error:
                if db.in_transaction:  # COMMIT itself failed
                    with contextlib.suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
                text = f"the catalog {self.path} could not be written: {error}"
                raise OSError(errno.ENOSPC if full else errno.EIO, text) from error

    def query(self, query: str, *values: object) -> list[Any]:
        """All rows of an answer.

        Raises:
            OSError: SQLite could not read.
            DamageError: the bytes make no sense.
        """
        try:
            with GATE:
                return self.connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            raise OSError(f"the catalog {self.path} could not be read: {error}") from error
        except sqlite3.DatabaseError as error:
            raise damaged(self.path, error) from error

    def close(self) -> None:
        """Close it; the last connection folds the WAL in."""
        with GATE:
            self.connection.close()


def text(session_id: str) -> str:
    """A session id as SQLite and JSON can hold it: lone surrogates (never from the wire) are escaped."""
    return session_id.encode("utf-8", "backslashreplace").decode()


def damaged(path: Path, error: Exception) -> DamageError:
    """The error of a catalog whose bytes SQLite cannot read."""
    return DamageError(
        f"the catalog {path} is damaged: {error}; `otel-ext reindex` makes it anew from the files beside it"
    )


def _prepare(database: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise UnsupportedVersion(
            f"{path} has catalog version {version}, this otel-ext reads up to {VERSION}; "
            f"upgrade otel-ext or choose another --data folder"
        )
    if 0 < version < VERSION:
        raise UnsupportedVersion(
            f"{path} has catalog version {version}, this otel-ext reads only {VERSION}; "
            f"`otel-ext reindex` makes it anew from the files beside it"
        )
    if version == 0:
        if read_only:
            raise DataFolderError(f"{path} holds no catalog yet")
        database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}; PRAGMA user_version={VERSION}; COMMIT;")
