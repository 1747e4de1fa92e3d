"""What the manifest says, one struct a fact.

Law of this file: a fact is never taken back, only followed by another one about the same name. What is said
is enough to make the catalog anew where its files alone do not say it.
"""

from typing import Any, Final

import msgspec

from otel_ext.sessions.checkpoint import COUNTS, FileRow, FileState
from otel_ext.sessions.database import text
from otel_ext.sessions.names import Name
from otel_ext.sessions.state import Session
from otel_ext.telemetry import Telemetry

VERSION: Final = 1
"""Of the manifest's format."""


class Fact(msgspec.Struct, kw_only=True, tag_field="fact"):
    """One line's content."""


class Opening(Fact, tag="manifest"):
    """The first line."""

    version: int
    engine: str


class Sealed(Fact, tag="sealed"):
    """No byte will be added to a file; `sha256` is "" when its bytes were not those committed."""

    name: str
    session: str
    length: int
    spans: int
    derived: int
    crc: int
    sha256: str
    at: str
    logs: int = 0
    points: int = 0


class Packed(Fact, tag="compressed"):
    """A sealed file's bytes lie in `<name>.zst` now; length and hash are of that file."""

    name: str
    length: int
    sha256: str


class Removed(Fact, tag="removed"):
    """Retention removed a file that held so much and took so many bytes."""

    name: str
    spans: int
    derived: int
    length: int
    logs: int = 0
    points: int = 0


class Quarantined(Fact, tag="quarantined"):
    """A crash left a file that the journal, read again, did not write; it was moved away."""

    name: str
    length: int


class Damaged(Fact, tag="damaged"):
    """A file did not hold what was promised of it; what is left of it was moved away."""

    name: str
    spans: int
    derived: int
    length: int
    logs: int = 0
    points: int = 0


class Expired(Fact, tag="expired"):
    """What was removed according to lines that could not be read any more when the manifest was made anew."""

    files: int
    spans: int
    derived: int
    bytes: int
    logs: int = 0
    points: int = 0


class Stands(Fact, tag="session"):
    """How a generation of a session stands: it has ended, or the engine stopped politely.

    Attributes:
        row: what the catalog says of it.
        traces: of its traces those whose place cannot be seen in its files: `(trace id, session id that was
            learnt later, that session's generation)`.
    """

    row: Session
    traces: list[tuple[str, str, int]] = []


class Totals(Fact, tag="ledger"):
    """The ledger, the journal's cursor and the next file's number, as of the checkpoint before this line.

    Said before a segment of the journal goes, so what the journal holds always begins before the last one.
    `engine` is the engine time, a decimal string of ns.
    """

    ledger: dict[str, Any]
    expired: dict[str, int]
    cursor: list[int]
    next: int
    engine: str = "0"


class Torn(Fact, tag="torn"):
    """The `length` bytes at `at` are an unfinished write; `before` is the check of the line before them."""

    at: int
    length: int
    before: int


AnyFact = Opening | Sealed | Packed | Removed | Quarantined | Damaged | Expired | Stands | Totals | Torn


def sealed(row: FileRow, sha256: str) -> Sealed:
    """What is told of a sealed file."""
    return Sealed(
        name=row.name,
        session=text(row.session_id),
        length=row.length,
        **row.counts,
        crc=row.crc,
        sha256=sha256,
        at=str(row.sealed_at),
    )


def unsealed(fact: Sealed, name: Name | None) -> FileRow:
    """The row of a file as it was before the manifest was told of it; `name` is what its name says."""
    return FileRow(
        name=fact.name,
        session_id=fact.session,
        sequence=name.sequence if name else 0,
        telemetry=name.telemetry if name else Telemetry.TRACES,
        length=fact.length,
        crc=fact.crc,
        **{count: getattr(fact, count) for count in COUNTS},
        sealed_at=int(fact.at),
        state=FileState.SEALED,
    )
