"""Whether two results are the same: strictly, and apart from what is volatile.

Law of this file: the strict hash forgives nothing. A result that changed in one digit is progress, and only
the relaxed hash (which a detector must treat as weaker evidence) looks past times, uuids, addresses,
durations, process and request ids.
"""

import hashlib
import re
from typing import Final

from otel_ext.dedup.arguments import canonical
from otel_ext.dedup.volatile import without_volatile

MAX_WHOLE: Final = 262_144
"""Characters up to which a result is hashed whole."""
EDGE: Final = 32_768
"""Characters hashed at each end of a longer result, together with its length."""

# Claude Code appends its own record of the call ("[metadata] {..}") to the text that the model saw.
_METADATA = re.compile(r"\n+\[metadata\] \{[^\n]*\}\s*\Z")


def result_hash(result: object) -> bytes:
    """16 bytes of SHA-256 over the result's text; a structure's text is its canonical JSON.

    Of a result longer than `MAX_WHOLE` its length and both ends are hashed: two such results that differ
    only in the middle, and not in length, count as equal.
    """
    text, size = _text(result)
    return _digest(text, size)


def result_hashes(result: object) -> tuple[bytes, bytes]:
    """`result_hash` and `relaxed_result_hash` in one, for mostly they are the same."""
    text, size = _text(result)
    strict, relaxed = _digest(text, size), without_volatile(without_record(text))
    return strict, strict if relaxed is text or relaxed == text else _digest(relaxed, size)


def relaxed_result_hash(result: object) -> bytes:
    """The same over the text without its volatile parts and without Claude Code's metadata suffix."""
    text, size = _text(result)
    return _digest(without_volatile(without_record(text)), size)


def without_record(text: str) -> str:
    """The text without the record of the call that Claude Code appends for the user interface."""
    # The record is the end of its text, and an end is looked at faster than a text is searched.
    if text[-1:] != "}" and not text.rstrip().endswith("}"):
        return text
    if (at := text.rfind("\n[metadata] {")) >= 0 and (match := _METADATA.search(text, max(0, at - 2))):
        return text[: match.start()]
    return text


def _text(result: object) -> tuple[str, int]:
    """(the text or both its ends, the length if only the ends are there, else 0)."""
    text = result if isinstance(result, str) else canonical(result)
    if len(text) <= MAX_WHOLE:
        return text, 0
    return text[:EDGE] + text[-EDGE:], len(text)


def _digest(text: str, size: int) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    # The zero byte keeps a long result's length apart from the text of a short one.
    return hashlib.sha256(b"%d\0" % size + data if size else data).digest()[:16]
