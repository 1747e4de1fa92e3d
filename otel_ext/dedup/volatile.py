"""Parts of a text that differ between two tellings of the same thing.

Law of this file: only what is recognisable as volatile is removed (an instant, a uuid, an address, a
duration, a process or request id). Plain digits stay: `test_0` and `test_1` are two things.

Results are long and mostly hold nothing volatile, and a search for "a digit" costs some 4 ns a character.
So the patterns are searched in the text's *shape*: as long as the text, every digit a 0, so that a pattern
that begins with a digit begins with a literal, and one search for a single character tells that all of them
are in vain. Of a long text only the part that has digits gets a shape before something is found.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)

_BEYOND: Final = 16
"""Characters that a volatile part may have after its last digit, and one more."""


class _Volatile(NamedTuple):
    """One kind of volatile part.

    Attributes:
        name: what stands in its place.
        pattern: what it looks like in the text.
        shape: where a shape does not match this, the text does not match `pattern`.
        exact: `shape` matches the very same places.
        words: without one of these the text is not looked at, if there are any.
        sign: is in each shape that matches `shape`; finding a few letters is cheaper than a search.
    """

    name: str
    pattern: re.Pattern[str]
    shape: re.Pattern[bytes]
    exact: bool
    words: Sequence[str]
    sign: bytes


def _volatile(
    name: str, pattern: str, shape: str | None = None, words: Sequence[str] = (), sign: bytes = b""
) -> _Volatile:
    # Unless said otherwise a pattern begins with a digit and asks for digits only as such.
    hint = pattern.replace(r"\d", "0").replace("µμ", "") if shape is None else shape
    return _Volatile(
        name, re.compile(pattern, re.ASCII), re.compile(hint.encode(), re.ASCII), shape is None, words, sign
    )


# "Not inside a word" is asserted after the first character, by looking back over it: a pattern that begins
# with a literal or a character class lets the engine skip ahead fast.
_PATTERNS: Final = (
    _volatile(
        "<uuid>",
        r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{7}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b",
        "-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-",
        sign=b"-",
    ),
    _volatile("<address>", r"0x(?<!\w0x)[0-9a-fA-F]+\b", "0x", sign=b"0x"),
    # ISO 8601 instants, with and without zone.
    _volatile(
        "<time>",
        r"\d(?<!\w.)\d{3}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?",
        sign=b"-00-00",
    ),
    _volatile("<time>", r"\d(?<!\w.)\d:\d\d:\d\d(?:[.,]\d+)?\b", sign=b":00:00"),
    _volatile(
        "<duration>",
        r"\d(?<![\w.].)\d*(?:\.\d+)?\s?(?:[nuµμm]?s|secs?|seconds?|mins?|minutes?)\b",
    ),
    _volatile(
        "<pid>",
        r"[PpTt](?<!\w.)(?:[Ii][Dd]|rocess(?: [Ii][Dd])?|hread(?: [Ii][Dd])?)[ :=#]{1,2}\d+\b",
        "0(?<=[ :=#]0)(?:(?<=[DdSs].0)|(?<=[DdSs][ :=#].0))",
        ("pid", "PID", "Pid", "rocess", "hread"),
    ),
    _volatile(
        "<request>",
        r"[XxRr](?<!\w.)(?:-?[Rr])?equest[ _-]?[Ii][Dd]\"?[ :=]{1,2}\"?[\w-]+",
        "equest[ _-]?[Ii][Dd]",
        sign=b"equest",
    ),
    _volatile("<request>", r"req_(?<!\wreq_)[0-9A-Za-z]{8,}\b", "req_", sign=b"req_"),
)


# What follows the last digit of a volatile part, or stands around it: one search instead of five, in which
# nearly every digit is done with after a look at the next character.
_UNIT: Final = rb"(?:s(?:ecs?|econds?)?|m(?:s|ins?|inutes?)|[nu]s)\b"
_MAYBE: Final = re.compile(
    rb"0(?:x|:00:00|-00-00[T ]|%b|\s%b|%b)" % (_UNIT, _UNIT, _PATTERNS[-3].shape.pattern[1:]), re.ASCII
)
_UUID, _REQUEST = (re.compile(_PATTERNS[at].shape.pattern.decode()) for at in (0, -2))
_LONG: Final = 2_048
"""Characters above which looking for each digit costs less than a shape."""
_BEFORE: Final = 8
"""Characters before a digit that a shape which begins with it looks at, at most."""


def without_volatile(text: str) -> str:
    """The text with each volatile part replaced by its kind's name."""
    if not text.isascii() and ("µ" in text or "μ" in text):
        return _slow(text)
    if _is_steady(text):
        return text
    shape = _shape(text)
    for name, pattern, hint, exact, words, sign in _PATTERNS:
        if (
            sign not in shape
            or hint.search(shape) is None
            or (words and not any(word in text for word in words))
        ):
            continue
        text = _cut(text, hint.finditer(shape), name) if exact else pattern.sub(name, text)
        shape = _shape(text)
    return text


def _is_steady(text: str) -> bool:
    """Whether surely no pattern matches; looks for single characters before it searches."""
    shape = _shape(_with_digits(text) if len(text) > _LONG else text)
    first = shape.find(b"0")
    if first >= 0 and _MAYBE.search(shape, first, shape.rfind(b"0") + _BEYOND):
        return False
    dash = text.find("-")
    if dash >= 0 and _UUID.search(text, dash, text.rfind("-") + 1):
        return False
    return "q" not in text or not ("req_" in text or ("equest" in text and _REQUEST.search(text)))


def _with_digits(text: str) -> str:
    """The part of a text that holds all its digits and what a pattern may look at around them."""
    found = [digit for digit in "0123456789" if digit in text]
    if not found:
        return ""
    first, last = min(map(text.find, found)), max(map(text.rfind, found))
    return text[max(0, first - _BEFORE) : last + _BEYOND]


def _slow(text: str) -> str:
    """The definition: one pattern after the other, on the text itself."""
    for name, pattern, _, _, words, _ in _PATTERNS:
        if not words or any(word in text for word in words):
            text = pattern.sub(name, text)
    return text


def _shape(text: str) -> bytes:
    # To these patterns a character beyond ASCII (other than a micro sign) is what a question mark is.
    return text.encode("ascii", "replace").translate(_DIGITS)


def _cut(text: str, places: Iterable[re.Match[bytes]], name: str) -> str:
    parts: list[str] = []
    at = 0
    for place in places:
        start, end = place.span()
        parts += (text[at:start], name)
        at = end
    return "".join((*parts, text[at:]))
