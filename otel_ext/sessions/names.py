"""File names of sessions: injective, safe, and always inside their folder.

Law of this file: two different session ids never share a name, whatever they hold (`a/b`, `a.b`, `a:b`,
`../../x`, "", NUL, emoji, 10,000 characters), and a name never leaves its folder. Short ids stay readable:
every byte of the id's UTF-8 outside `[A-Za-z0-9_-]` becomes `%XX`; a long one keeps its first characters
and ends in `~` and its SHA-256, and no short form holds a `~`. Files of logs and metrics say so at the end of
their names, so that a pattern finds the files of one telemetry.
"""

import hashlib
import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from otel_ext.telemetry import Telemetry

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_READABLE = 100
"""Longest escaped id that is kept whole, in characters (a name may have 255 bytes)."""
_PREFIX = 40
_NAME = re.compile(
    r"^(?P<stem>[A-Za-z0-9_%~-]+)\.(?P<sequence>\d{6,})(?:\.(?P<telemetry>logs|metrics))?\.jsonl$"
)


class Name(NamedTuple):
    """What a file's name says: its session's `stem`, its number, and what it holds."""

    stem: str
    sequence: int
    telemetry: Telemetry = Telemetry.TRACES


def stem(session_id: str) -> str:
    """The session's part of its file names; between 1 and 105 characters of `[A-Za-z0-9_%~-]`."""
    data = session_id.encode("utf-8", "surrogatepass")
    if not data:
        return "%"  # escapes are never bare, so nothing else can be this
    if len(data) <= _READABLE:
        escaped = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in data)
        if len(escaped) <= _READABLE:
            return escaped
    head = "".join(chr(byte) if byte in _PLAIN else "-" for byte in data[:_PREFIX])
    return f"{head}~{hashlib.sha256(data).hexdigest()}"


def session_of(stem_of_it: str) -> str | None:
    """The session id of which this is the `stem`; None for a long one, which only a header can tell."""
    if stem_of_it == "%":
        return ""
    session_id = unquote(stem_of_it, errors="surrogatepass")
    return session_id if stem(session_id) == stem_of_it else None


PACKED: Final = ".zst"
"""What compression adds to a file's name."""


def file_name(session_id: str, sequence: int, telemetry: Telemetry = Telemetry.TRACES) -> str:
    """The name of a session file; `sequence` counts all files of an engine, so names sort by age."""
    what = "" if telemetry is Telemetry.TRACES else f".{telemetry.value}"
    return f"{stem(session_id)}.{sequence:06d}{what}.jsonl"


def parse_name(name: str) -> Name | None:
    """What a session file's name says, or None for a foreign file."""
    match = _NAME.match(name)
    if match is None:
        return None
    return Name(match["stem"], int(match["sequence"]), Telemetry(match["telemetry"] or "traces"))
