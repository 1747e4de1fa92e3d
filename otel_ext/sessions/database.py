"""The catalog's SQLite file: its schema, its version, how it is opened.

Law of this file: WAL mode with synchronous=FULL, so a committed checkpoint survives a power cut. WAL needs
memory that all users share, so network file systems are refused. A newer schema is never touched.
"""

import sqlite3
from pathlib import Path
from typing import Final

from otel_ext.errors import DamageError, DataFolderError, UnsupportedVersion
from otel_ext.sessions.network import refuse_network

VERSION: Final = 1
"""Version of the schema below."""

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


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a catalog's database, making it when it is missing and may be written.

    Raises:
        UnsupportedVersion: a newer program wrote it.
        DamageError: SQLite cannot read it.
        DataFolderError: it is missing (read-only), on a network file system, or cannot be written.
    """
    if not read_only:
        refuse_network(path.parent)
        path.touch(mode=0o600)
    try:
        if read_only:
            uri = f"{path.resolve().as_uri()}?mode=ro"
            database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        else:
            database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA busy_timeout=5000")
        _prepare(database, path, read_only=read_only)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "open" in str(error):
            raise DataFolderError(f"cannot open the catalog {path}: {error}") from error
        raise damaged(path, error) from error
    return database


def damaged(path: Path, error: Exception) -> DamageError:
    """The error of a catalog whose bytes SQLite cannot read."""
    return DamageError(
        f"the catalog {path} is damaged: {error}; move the data folder away and replay its session files "
        f"into a new one with `otel-ext replay`"
    )


def _prepare(database: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        database.close()
        raise UnsupportedVersion(
            f"{path} has catalog version {version}, this otel-ext reads up to {VERSION}; "
            f"upgrade otel-ext or choose another --data folder"
        )
    if version == 0:
        if read_only:
            raise DataFolderError(f"{path} holds no catalog yet")
        database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}; PRAGMA user_version={VERSION}; COMMIT;")
