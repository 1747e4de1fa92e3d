"""Attributes as protobuf wire bytes, written directly: the stock encoder builds message objects first.

Law of this file: it never raises, whatever a value is, and what the stock encoder can encode decodes to the
same message. What that one drops is kept as text here: integers beyond 64 bits in decimal, lone surrogates as
backslash escapes, values nested deeper than protobuf reads as their Python text.

Instrumentations repeat a small set of short attributes on every span; their bytes are remembered (`_MEMO`,
bounded by `MEMO` entries of at most `SHORT` characters and dropped as a whole when full). Field numbers are
those of opentelemetry-proto `common.proto`.
"""

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final

MEMO: Final = 4096
"""Remembered attributes at most."""

SHORT: Final = 64
"""Characters of a string value up to which it is remembered."""

_DEEPEST: Final = 28
"""Levels of nesting; each is up to three messages, and protobuf reads 100 of them, the request included."""

_SMALL: Final = tuple(bytes((n,)) for n in range(128))
_DOUBLE: Final = Struct("<d")
_MEMO: Final[dict[tuple[str, type, object], bytes]] = {}


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


def attributes(items: Mapping[str, object] | None, tag: bytes) -> bytes:
    """Every attribute as a KeyValue in a field of the given tag."""
    if not items:
        return b""
    try:
        # SDK attributes lock and copy for each look; their `copy` is one call in C.
        items = items.copy()  # type: ignore[attr-defined]
    except AttributeError:
        items = dict(items)
    parts = [b""]
    for key, value in items.items():
        kind = value.__class__
        if (kind is str and len(value) <= SHORT) or kind is bool:  # type: ignore[arg-type]
            known = _MEMO.get((key, kind, value))
            if known is None:
                known = _key_value(key, value)
                if len(_MEMO) >= MEMO:
                    _MEMO.clear()
                _MEMO[key, kind, value] = known
            parts.append(known)
        else:
            parts.append(_key_value(key, value))
    return tag.join(parts)


def _key_value(key: str, value: object, depth: int = 0) -> bytes:
    """A KeyValue, its length before it."""
    name = utf8(key if key.__class__ is str else str(key))
    content = _any_value(value, depth)
    body = b"".join((b"\x0a", varint(len(name)), name, b"\x12", varint(len(content)), content))
    return varint(len(body)) + body


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
