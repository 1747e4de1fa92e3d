"""Whether two failures are the same failure.

Law of this file: what the call itself said is not part of the failure. An error that quotes its arguments
("unexpected keyword argument 'x'", "No results for query '..'") would otherwise never match the next attempt
with other arguments, which is the commonest stuck loop in TRAIL: the same tool, refused in the same way,
called with one variation after another. Nothing else is blurred but what is volatile.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from otel_ext.dedup.volatile import without_volatile

MAX_TEXT: Final = 2_000
"""Characters of the normalised error that count, half at each end: the middle of a long one is a dump."""
_MAX_INPUT = 8_000
_MAX_WORDS = 256
_MAX_WORD = 4_096
_MAX_NESTING = 16

_QUOTED = re.compile(r"'([^'\n]{0,500})'|\"([^\"\n]{0,500})\"|`([^`\n]{0,500})`")
_QUOTES = ("'", '"', "`")
_PLACE = "'<arg>'"


def error_fingerprint(text: str, arguments: object) -> bytes:
    """16 bytes of SHA-256 over `error_core`; the tool is no part of it."""
    return hashlib.sha256(error_core(text, arguments).encode("utf-8", "surrogatepass")).digest()[:16]


def error_core(text: str, arguments: object) -> str:
    """The error without the call's own words, which leave "<arg>" behind.

    Quoted text is removed if it is, or occurs in (from three characters on), one of the arguments' keys or
    values; then volatile parts go and blanks are folded. `arguments` may be anything, `NOT_CAPTURED` too.
    """
    if len(text) > _MAX_INPUT:  # a report's summary and a traceback's message come last
        text = text[: _MAX_INPUT // 2] + text[-_MAX_INPUT // 2 :]
    words = set(_words(arguments, 0, [_MAX_WORDS]))
    # Whole values first: a value with a quote in it would end the pattern below too early.
    for word in sorted((w for w in words if len(w) >= 3), key=lambda w: (-len(w), w)):
        if word in text:
            for quote in _QUOTES:
                text = text.replace(quote + word + quote, _PLACE)
    everything = "\n".join(sorted(words))

    def replaced(match: re.Match[str]) -> str:
        quoted = match[match.lastindex or 0]
        known = quoted in words or (len(quoted) >= 3 and quoted in everything)
        return _PLACE if known else match[0]

    text = " ".join(without_volatile(_QUOTED.sub(replaced, text)).split())
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT // 2] + text[-MAX_TEXT // 2 :]
    return text


def _words(value: Any, depth: int, left: list[int]) -> Iterator[str]:
    """Keys and scalar values of the arguments as text, at most `left[0]` of them."""
    if left[0] <= 0 or depth > _MAX_NESTING:
        return
    if isinstance(value, str):
        left[0] -= 1
        yield value[:_MAX_WORD]
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from _words(key, depth + 1, left)
            yield from _words(member, depth + 1, left)
            if left[0] <= 0:
                return
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        for member in value:
            yield from _words(member, depth + 1, left)
            if left[0] <= 0:
                return
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        left[0] -= 1
        yield str(value)
