"""What the manifest says, one struct a fact.

Law of this file: a fact is never taken back, only followed by another one about the same name.
"""

from typing import Any, Final

import msgspec

from otel_ext.sessions.checkpoint import FileRow
from otel_ext.sessions.database import text

VERSION: Final = 1
"""Of the manifest's format."""


class Fact(msgspec.Struct, kw_only=True, tag_field="fact"):
    """One line's content."""


class Begun(Fact, tag="manifest"):
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


class Packed(Fact, tag="compressed"):
    """A sealed file's bytes lie in `<name>.zst` now; length and hash are of that file."""

    name: str
    length: int
    sha256: str


class Removed(Fact, tag="removed"):
    """Retention removed a file that held so many spans and took so many bytes."""

    name: str
    spans: int
    derived: int
    length: int


class Quarantined(Fact, tag="quarantined"):
    """A crash left a file that the journal, read again, did not write; it was moved away."""

    name: str
    length: int


class Totals(Fact, tag="ledger"):
    """The ledger, the journal's cursor and the next file's number, as of the checkpoint before this line."""

    ledger: dict[str, Any]
    expired: dict[str, int]
    cursor: list[int]
    next: int


class Torn(Fact, tag="torn"):
    """The `length` bytes at `at` are an unfinished write; `before` is the check of the line before them."""

    at: int
    length: int
    before: int


AnyFact = Begun | Sealed | Packed | Removed | Quarantined | Totals | Torn


def sealed(row: FileRow, sha256: str) -> Sealed:
    """What is told of a sealed file."""
    return Sealed(
        name=row.name,
        session=text(row.session_id),
        length=row.length,
        spans=row.spans,
        derived=row.derived,
        crc=row.crc,
        sha256=sha256,
        at=str(row.sealed_at),
    )
