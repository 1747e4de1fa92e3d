"""The catalog's side of the files: which are open, sealed, told, compressed, and which must go.

Law of this file: a file's row and what is said of it in the manifest change together, in one transaction
that also keeps how much of the manifest it reflects. A name that must leave the disk stands in `doomed`
from that transaction until it has left, so that a crash between the two leaves no stranger behind.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from otel_ext.sessions.checkpoint import COUNTS, FileRow, FileState
from otel_ext.sessions.database import Database, text
from otel_ext.sessions.facts import Damaged, Expired, Fact, Packed, Removed, Sealed, Stands
from otel_ext.sessions.manifest import Place

_PAGES: Final = 256
"""Free pages given back to the file system in one transaction."""
NOTHING: Final = {"files": 0, **dict.fromkeys(COUNTS, 0), "bytes": 0}
"""What has expired while nothing has."""
_pack = msgspec.msgpack.encode


class Stock:
    """Files of one catalog; used by the thread that uses the catalog."""

    def __init__(self, database: Database) -> None:
        self._database, self._query = database, database.query

    def put(self, rows: Iterable[FileRow]) -> None:
        """Write rows, inside a transaction."""
        self._database.connection.executemany(
            "REPLACE INTO files VALUES(?,?,?,?,?,?,?)",
            (
                (r.name, text(r.session_id), r.sequence, r.state, r.sealed_at, r.stored_length, _pack(r))
                for r in rows
            ),
        )

    def file(self, name: str) -> FileRow | None:
        """One file by the name it has uncompressed."""
        return next(iter(self._rows("WHERE name=?", name)), None)

    def files(self) -> list[FileRow]:
        """Every file, each session's in writing order."""
        return self._rows("ORDER BY session_id, sequence")

    def files_of(self, session_id: str) -> list[FileRow]:
        """A session's files in writing order."""
        return self._rows("WHERE session_id=? ORDER BY sequence", text(session_id))

    def open(self) -> list[FileRow]:
        """Files to which lines are added, oldest first."""
        return self._rows("WHERE state=0 ORDER BY sequence")

    def untold(self, limit: int) -> list[FileRow]:
        """Sealed files of which the manifest does not know yet."""
        return self._rows("WHERE state=1 ORDER BY sealed_at, sequence LIMIT ?", limit)

    def plain(self, before: int, limit: int) -> list[FileRow]:
        """Told files that were sealed up to `before` and are not compressed, oldest first."""
        return self._rows(
            "WHERE state=2 AND sealed_at<=? ORDER BY sealed_at, sequence LIMIT ?", before, limit
        )

    def removable(self, limit: int) -> list[FileRow]:
        """Told files of sessions without an active generation, oldest first.

        Of a trace that joined a session later, that session counts too.
        """
        return self._rows(
            "WHERE state>=2 AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.session_id=files.session_id AND "
            "(s.open OR s.state='active')) AND NOT EXISTS (SELECT 1 FROM traces t JOIN sessions s "
            "ON s.session_id=t.joined WHERE t.session_id=files.session_id AND t.joined<>'' AND "
            "(s.open OR s.state='active')) ORDER BY sealed_at, sequence LIMIT ?",
            limit,
        )

    def totals(self) -> tuple[int, int]:
        """Files, and the bytes they take on the disk, open ones included."""
        ((files, size),) = self._query("SELECT count(*), coalesce(sum(bytes), 0) FROM files")
        return files, size

    def doomed(self) -> list[str]:
        """Names of which the files are not needed any more and may still be there."""
        return [name for (name,) in self._query("SELECT name FROM doomed ORDER BY name")]

    def keep(self, facts: Sequence[Fact], manifest: Place, gone: Iterable[str]) -> list[str]:
        """Make what the manifest says true, in one transaction. Facts that are true already change nothing.

        Args:
            facts: lines of the manifest, in order.
            manifest: how far it goes with them.
            gone: names of `doomed` that have left the disk, durably.

        Returns:
            Ids of sessions whose last file was removed and of which no row is left.

        Raises:
            OSError: nothing changed.
        """
        with self._database.transaction() as db:
            emptied: set[str] = set()
            expired = self.meta("expired") or dict(NOTHING)
            for fact in facts:
                if isinstance(fact, Stands):
                    key = text(fact.row.session_id), fact.row.generation
                    db.execute("UPDATE sessions SET told=1 WHERE session_id=? AND generation=?", key)
                if isinstance(fact, Damaged):
                    self._lose(fact)
                if isinstance(fact, Expired):
                    expired = {name: getattr(fact, name) for name in NOTHING}
                row = self.file(fact.name) if isinstance(fact, Sealed | Packed | Removed) else None
                if row is None:
                    continue
                match fact:
                    case Sealed() if row.state is FileState.SEALED:
                        row.state = FileState.TOLD if fact.sha256 else FileState.DAMAGED
                        row.sha256 = fact.sha256
                        self.put([row])
                    case Packed() if row.state is FileState.TOLD:
                        self._doom(row)
                        row.state, row.packed, row.packed_sha256 = FileState.PACKED, fact.length, fact.sha256
                        self.put([row])
                    case Removed() if row.state >= FileState.TOLD:
                        self._doom(row)
                        db.execute("DELETE FROM files WHERE name=?", (row.name,))
                        expired["files"] += 1
                        for name, count in row.counts.items():
                            expired[name] += count
                        expired["bytes"] += row.length
                        emptied.add(row.session_id)
            purged = [session_id for session_id in sorted(emptied) if self._purge(session_id)]
            db.executemany("DELETE FROM doomed WHERE name=?", ((name,) for name in gone))
            meta = {"manifest": list(manifest), "expired": expired}
            db.executemany("REPLACE INTO meta VALUES(?,?)", ((k, _pack(v)) for k, v in meta.items()))
        if purged:
            self._query(f"PRAGMA incremental_vacuum({_PAGES})")
        return purged

    def meta(self, key: str) -> Any:
        """One small value of the catalog, None when it was never written."""
        rows = self._query("SELECT value FROM meta WHERE key=?", key)
        return msgspec.msgpack.decode(rows[0][0]) if rows else None

    def _lose(self, fact: Damaged) -> None:
        """A file is gone: what it held is lost, not stored. Of a file that is not here, nothing changes."""
        row, ledger = self.file(fact.name), self.meta("ledger")
        if row is None:
            return
        db = self._database.connection
        if ledger is not None:
            ledger["derived"] -= row.derived
            for counts, count in (
                (ledger, row.spans),
                (ledger["logs"], row.logs),
                (ledger["metrics"], row.points),
            ):
                counts["stored"] -= count
                if count:
                    counts["lost"]["damage"] = counts["lost"].get("damage", 0) + count
            db.execute("REPLACE INTO meta VALUES('ledger',?)", (_pack(ledger),))
        db.execute("DELETE FROM files WHERE name=?", (row.name,))

    def _doom(self, row: FileRow) -> None:
        self._database.connection.execute("REPLACE INTO doomed VALUES(?)", (row.stored_name,))

    def _purge(self, session_id: str) -> bool:
        """Delete what is known of a session that has no file and no active generation left."""
        db, key = self._database.connection, text(session_id)
        left = db.execute(
            "SELECT 1 FROM files WHERE session_id=? UNION ALL "
            "SELECT 1 FROM sessions WHERE session_id=? AND (open OR state='active') LIMIT 1",
            (key, key),
        ).fetchone()
        if left:
            return False
        for table in ("sessions", "traces", "signals"):
            db.execute(f"DELETE FROM {table} WHERE session_id=?", (key,))  # noqa: S608 - our own names
        return True

    def _rows(self, condition: str, *values: object) -> list[FileRow]:
        rows = self._query(f"SELECT data FROM files {condition}", *values)  # noqa: S608 - our own texts
        return [msgspec.msgpack.decode(data, type=FileRow) for (data,) in rows]
