"""What a checkpoint consists of: rows, handed over by those who own them.

Law of this file: plain data. Whoever fills a row decides what is true; the catalog only keeps it.
"""

from typing import Any

import msgspec

from otel_ext.sessions.state import Session, Trace


class FileRow(msgspec.Struct, kw_only=True):
    """One session file, as far as the checkpoint knows it.

    Attributes:
        length: bytes that are committed; what lies behind is replayed and compared.
        crc: CRC-32 of those bytes.
        spans: spans received that are in those bytes; `derived` are our own.
        sealed: no byte will ever be added.
    """

    name: str
    session_id: str
    sequence: int
    length: int = 0
    crc: int = 0
    spans: int = 0
    derived: int = 0
    sealed: bool = False


class Checkpoint(msgspec.Struct, kw_only=True):
    """What one transaction writes; rows are those that changed since the last one.

    Attributes:
        meta: cursor, engine time, ledger and other small values, by name.
        signals: `(id, revision, session_id, trace_id, json)`.
        folds: new dump by key; empty bytes delete the key.
        dedup: `(index of the block's first entry, entries)`, or None when nothing was added.
        dedup_from: blocks that end before this index are deleted.
    """

    meta: dict[str, Any]
    sessions: list[Session] = []
    traces: list[Trace] = []
    files: list[FileRow] = []
    signals: list[tuple[str, int, str, bytes, bytes]] = []
    folds: dict[str, bytes] = {}
    dedup: tuple[int, bytes] | None = None
    dedup_from: int = 0
