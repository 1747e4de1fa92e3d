"""What a checkpoint consists of: rows, handed over by those who own them.

Law of this file: plain data. Whoever fills a row decides what is true; the catalog only keeps it.
"""

from enum import IntEnum
from typing import Any, Final

import msgspec

from otel_ext.sessions.names import PACKED
from otel_ext.sessions.state import Session, Trace
from otel_ext.telemetry import Telemetry

COUNTS: Final = ("spans", "derived", "logs", "points")
"""What is counted of a file: spans received, spans of our own, log records, data points."""


class FileState(IntEnum):
    """How far a session file has come; it only ever goes on."""

    OPEN = 0
    """Lines are added to it."""
    SEALED = 1
    """No byte will ever be added."""
    TOLD = 2
    """The manifest says so, with its SHA-256."""
    PACKED = 3
    """Its bytes are in a compressed file instead."""
    DAMAGED = 4
    """When it was to be told, its bytes were not those committed; kept as it is."""


class FileRow(msgspec.Struct, kw_only=True, gc=False):
    """One session file, as far as the checkpoint knows it.

    Attributes:
        sequence: its number among all files of the engine, in the order of creation.
        length: bytes that are committed; what lies behind is replayed and compared.
        crc: CRC-32 of those bytes.
        spans: spans received that are in those bytes; `derived` are our own.
        telemetry: what it holds; a file of logs counts `logs`, its records, one of metrics `points`.
        opened_at, sealed_at: engine times in ns; `sealed_at` is 0 while open.
        sha256: of all its bytes, in hex; "" before it is told, and for ever when it was found damaged.
        packed: bytes of the compressed file, `packed_sha256` their hash.
    """

    name: str
    session_id: str
    sequence: int
    length: int = 0
    crc: int = 0
    spans: int = 0
    derived: int = 0
    telemetry: Telemetry = Telemetry.TRACES
    logs: int = 0
    points: int = 0
    opened_at: int = 0
    sealed_at: int = 0
    state: FileState = FileState.OPEN
    sha256: str = ""
    packed: int = 0
    packed_sha256: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """What it holds, by the names of `COUNTS`."""
        return {name: getattr(self, name) for name in COUNTS}

    @property
    def stored_name(self) -> str:
        """The name under which its bytes lie."""
        return self.name + PACKED if self.state is FileState.PACKED else self.name

    @property
    def stored_length(self) -> int:
        """How many bytes it takes there."""
        return self.packed if self.state is FileState.PACKED else self.length


class Checkpoint(msgspec.Struct, kw_only=True):
    """What one transaction writes; rows are those that changed since the last one.

    Attributes:
        meta: cursor, engine time, ledger and other small values, by name.
        signals: `(id, revision, session_id, trace_id, json)`.
        folds: new dump by key; empty bytes delete the key.
        dedup: `(index of the block's first entry, entries)`, or None when nothing was added.
        dedup_from: blocks that end before this index are deleted.
        outbox: `(segment, offset, entry)` of journal records; those before `outbox_from` are deleted.
    """

    meta: dict[str, Any]
    sessions: list[Session] = []
    traces: list[Trace] = []
    files: list[FileRow] = []
    signals: list[tuple[str, int, str, bytes, bytes]] = []
    folds: dict[str, bytes] = {}
    dedup: tuple[int, bytes] | None = None
    dedup_from: int = 0
    outbox: list[tuple[int, int, bytes]] = []
    outbox_from: tuple[int, int] | None = None
