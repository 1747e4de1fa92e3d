"""Attributes as protobuf wire bytes, written directly: the stock encoder builds message objects first.

Law of this file: it never raises, whatever a value is, and what the stock encoder can encode decodes to the
same message. What that one drops is kept as text here: integers beyond 64 bits in decimal, lone surrogates as
backslash escapes, values nested deeper than protobuf reads as their Python text.

What stands before a value depends on its key alone, and instrumentations have few keys: that is remembered
(`_HEADS`, bounded by `MEMO` keys of at most `SHORT` characters and dropped as a whole when full). Field
numbers are those of opentelemetry-proto `common.proto`.
"""

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, Final

MEMO: Final = 4096
"""Remembered keys at most."""

SHORT: Final = 96
"""Characters of a key up to which it is remembered."""

_DEEPEST: Final = 28
"""Levels of nesting; each is up to three messages, and protobuf reads 100 of them, the request included."""

_SMALL: Final = tuple(bytes((n,)) for n in range(128))
_DOUBLE: Final = Struct("<d")
_HEADS: Final[dict[str, bytes]] = {}
# The lengths of an AnyValue that holds a short text, and of the text.
_LENGTHS: Final = tuple(bytes((n + 2, 0x0A, n)) for n in range(126))


def varint(number: int) -> bytes:
    """A number from 0 to 2^64-1 as a varint."""
    if number < 128:
        return _SMALL[number]
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def utf8(text: str) -> bytes:
    """The text's bytes; lone surrogates, which UTF-8 does not have, as backslash escapes."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def field(tag: bytes, data: bytes) -> bytes:
    """A length-delimited field."""
    return b"".join((tag, varint(len(data)), data))


def plain_dict(items: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy that nobody else holds; SDK attributes lock for each look, and their `copy` is one call in C."""
    if items is None:
        return {}
    try:
        return items.copy()  # type: ignore[attr-defined, no-any-return]
    except AttributeError:
        return dict(items)


def attributes(items: Mapping[str, Any] | None, tag: bytes) -> bytes:
    """Every attribute as a KeyValue in a field of the given tag."""
    if not items:
        return b""
    parts: list[bytes] = []
    for key, value in plain_dict(items).items():
        head = _HEADS.get(key) or _head(key)
        if value.__class__ is str:  # most are texts, and nearly all of these are short
            text = utf8(value)
            size = len(head) + 3 + len(text)
            if size < 128:
                parts += (tag, _SMALL[size], head, _LENGTHS[len(text)], text)
                continue
            content = field(b"\x0a", text)
        else:
            content = _any_value(value, 0)
        length = varint(len(content))
        parts += (tag, varint(len(head) + len(length) + len(content)), head, length, content)
    return b"".join(parts)


def _head(key: str) -> bytes:
    """What stands in a KeyValue before the length of its value."""
    plain = key.__class__ is str
    head = field(b"\x0a", utf8(key if plain else str(key))) + b"\x12"
    if plain and len(key) <= SHORT:  # to a dictionary 1 and True are one key
        if len(_HEADS) >= MEMO:
            _HEADS.clear()
        _HEADS[key] = head
    return head


def _key_value(key: str, value: object, depth: int) -> bytes:
    """A KeyValue, its length before it."""
    head, content = _HEADS.get(key) or _head(key), _any_value(value, depth)
    length = varint(len(content))
    return b"".join((varint(len(head) + len(length) + len(content)), head, length, content))


def _any_value(value: object, depth: int) -> bytes:
    """An AnyValue without its length."""
    if value is None:
        return b""
    if isinstance(value, str):
        return field(b"\x0a", utf8(value))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            return b"\x18" + varint(value & 0xFFFFFFFFFFFFFFFF)
        return field(b"\x0a", _text(value))
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return field(b"\x3a", bytes(value))
    if depth >= _DEEPEST or not isinstance(value, Sequence | Mapping):
        return field(b"\x0a", _text(value))
    if isinstance(value, Sequence):
        items = [field(b"\x0a", _any_value(item, depth + 1)) for item in value]
        return field(b"\x2a", b"".join(items))
    pairs = [b"", *(_key_value(key, item, depth + 1) for key, item in value.items())]
    return field(b"\x32", b"\x0a".join(pairs))


def _text(value: object) -> bytes:
    try:
        return utf8(str(value))
    except Exception:  # noqa: BLE001 - a stranger's __str__, or an int of more digits than Python prints
        return utf8(f"<{type(value).__name__}>")
