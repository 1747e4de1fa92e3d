"""Small helpers for tests that look into a journal."""

from otel_ext.files import Files
from otel_ext.journal import Journal, Position, Record


def read_all(journal: Journal, after: Position | None = None, max_bytes: int = 1 << 20) -> list[Record]:
    """All records after a position (the journal's start when None), read in steps of `max_bytes`."""
    records: list[Record] = []
    place = journal.start if after is None else after
    while batch := journal.read(place, max_bytes):
        records += batch
        place = batch[-1].end
    return records


def content(files: Files, path: str) -> bytes:
    """A file's whole content."""
    file = files.open(path, read_only=True)
    try:
        return file.read(0, file.size())
    finally:
        file.close()


def overwrite(files: Files, path: str, data: bytes) -> None:
    """Give a file another content, as damage or a hostile hand would; made when missing."""
    file = files.open(path) if files.exists(path) else files.create(path)
    try:
        file.truncate(0)
        file.append(data)
        file.sync()
    finally:
        file.close()
