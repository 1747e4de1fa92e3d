"""Attribute lists of OTLP/JSON as encoded KeyValues.

Law of this file: it writes the wire form itself, so that depth is bounded by one constant here and by
nothing else, and so that the encoding equals that of every OTLP library byte for byte.
"""

import struct
from typing import Any, Final

from google.protobuf.message import Message

from otel_ext.otlp.jsonscalars import Fault, Json, base64, boolean, double, integer, kind_of, text
from otel_ext.otlp.unknown import RAW_ATTRIBUTE, UNKNOWN_FIELDS, is_key_value, is_residue
from otel_ext.otlp.wire import field, varint

_DEEPEST: Final = 64
"""Levels of nested values read. Admission lets at most 47 pass; a deeper span is its to reject."""

_MASK: Final = 2**64 - 1
_double = struct.Struct("<d").pack


def attribute_pairs(items: object, schema: type[Message]) -> tuple[list[bytes], bytes]:
    """Encoded KeyValues of an attribute list, and the unknown fields that it carries for its owner.

    Args:
        items: a KeyValue list, or, as some producers write, a plain map; None is an empty list.
        schema: the owner's message; only fields unknown to it are taken from the mark.

    Raises:
        Fault: the list or a value cannot be read.
    """
    if items is None:
        return [], b""
    if isinstance(items, dict):
        return [_plain_pair(key, value) for key, value in items.items()], b""
    if not isinstance(items, list):
        raise Fault(f".attributes: expected an array, found {kind_of(items)}")
    pairs, marked = [], False
    for index, item in enumerate(items):
        try:
            pairs.append(_pair(item, 0))
        except Fault as fault:
            raise fault.inside(f".attributes[{index}]") from None
        marked = marked or item.get("key") == RAW_ATTRIBUTE
    unknown = b""
    if items and items[-1].get("key") == UNKNOWN_FIELDS:
        data = _bytes_of(items[-1])
        if data is not None and is_residue(schema, data):
            pairs.pop()
            unknown = data
    return _restored(items, pairs) if marked else pairs, unknown


def encoded_value(value: object) -> bytes:
    """An encoded AnyValue of one that stands alone, as the body of a log record does.

    Raises:
        Fault: it cannot be read.
    """
    return _any_value(value, 0) if isinstance(value, dict) else _plain(value, 0)


def encoded_pair(key: str, value: str) -> bytes:
    """An encoded KeyValue with a string value."""
    return _key_value(key, _text(value))


def _restored(items: list[Json], pairs: list[bytes]) -> list[bytes]:
    """`pairs` with each attribute that is followed by its raw form replaced by it."""
    restored, at = [], len(pairs) - 1
    # Backwards, because a mark speaks of what is before it and may itself be so spoken of.
    while at >= 0:
        raw = _bytes_of(items[at]) if items[at].get("key") == RAW_ATTRIBUTE and at else None
        if raw is not None and is_key_value(raw):
            restored.append(raw)
            at -= 2
        else:
            restored.append(pairs[at])
            at -= 1
    return restored[::-1]


def _bytes_of(item: Json) -> bytes | None:
    value = item.get("value")
    if not isinstance(value, dict) or "bytesValue" not in value:
        return None
    return base64(value["bytesValue"], "bytesValue")


def _pair(item: object, depth: int) -> bytes:
    if not isinstance(item, dict):
        raise Fault(f"expected an object, found {kind_of(item)}")
    key = text(item.get("key"), "key")
    value = item.get("value")
    if value is None:
        return _key_value(key, None)
    try:
        return _key_value(key, _any_value(value, depth) if isinstance(value, dict) else _plain(value, depth))
    except Fault as fault:
        raise fault.inside(".value") from None


def _any_value(value: Json, depth: int) -> bytes:
    """An AnyValue object; the first member that is known and not null counts."""
    for name, item in value.items():
        read = _READERS.get(name)
        if read is not None and item is not None:
            return read(item, depth)
    return b""


def _string(value: object, _depth: int) -> bytes:
    return _text(text(value, "stringValue"))


def _boolean(value: object, _depth: int) -> bytes:
    return b"\x10\x01" if boolean(value, "boolValue") else b"\x10\x00"


def _integer(value: object, _depth: int) -> bytes:
    return b"\x18" + varint(integer(value, "intValue", -(2**63), 2**63 - 1) & _MASK)


def _number(value: object, _depth: int) -> bytes:
    return b"\x21" + _double(double(value, "doubleValue"))


def _bytes(value: object, _depth: int) -> bytes:
    return field(b"\x3a", base64(value, "bytesValue"))


def _array(value: object, depth: int) -> bytes:
    items = _values(value, "arrayValue", depth)
    parts = [_any_value(i, depth + 1) if isinstance(i, dict) else _plain(i, depth + 1) for i in items]
    return field(b"\x2a", b"".join([field(b"\x0a", part) for part in parts]))


def _pairs(value: object, depth: int) -> bytes:
    parts = [_pair(item, depth + 1) for item in _values(value, "kvlistValue", depth)]
    return field(b"\x32", b"".join([field(b"\x0a", part) for part in parts]))


_READERS: Final = {
    name: read
    for camel, snake, read in (
        ("stringValue", "string_value", _string),
        ("boolValue", "bool_value", _boolean),
        ("intValue", "int_value", _integer),
        ("doubleValue", "double_value", _number),
        ("arrayValue", "array_value", _array),
        ("kvlistValue", "kvlist_value", _pairs),
        ("bytesValue", "bytes_value", _bytes),
    )
    for name in (camel, snake)
}


def _values(value: object, name: str, depth: int) -> list[Any]:
    if depth >= _DEEPEST:
        raise Fault(f"values are nested deeper than {_DEEPEST} levels")
    items = value.get("values") if isinstance(value, dict) else value
    if items is None:
        return []
    if not isinstance(items, list):
        raise Fault(f".{name}.values: expected an array, found {kind_of(items)}")
    return items


def _plain_pair(key: str, value: object) -> bytes:
    try:
        return _key_value(key, _plain(value, 0))
    except Fault as fault:
        raise fault.inside(f".attributes[{key[:40]!r}]") from None


def _plain(value: object, depth: int) -> bytes:
    """An AnyValue of a JSON value that is not wrapped as one."""
    match value:
        case None:
            return b""
        case bool():
            return _boolean(value, depth)
        case int() if -(2**63) <= value < 2**63:
            return _integer(value, depth)
        case int() | float():
            return _number(value, depth)
        case str():
            return _text(value)
        case list():
            return _array(value, depth)
        case dict() if len(value) == 1 and _READERS.keys() & value.keys():
            return _any_value(value, depth)
        case dict():
            _values(None, "kvlistValue", depth)
            parts = [_key_value(key, _plain(item, depth + 1)) for key, item in value.items()]
            return field(b"\x32", b"".join([field(b"\x0a", part) for part in parts]))
        case _:
            raise Fault(f"unexpected {kind_of(value)}")


def _key_value(key: str, value: bytes | None) -> bytes:
    pair = field(b"\x0a", _utf8(key)) if key else b""
    return pair if value is None else pair + field(b"\x12", value)


def _text(value: str) -> bytes:
    return field(b"\x0a", _utf8(value))


def _utf8(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Fault("a string holds half of a surrogate pair, which UTF-8 cannot encode") from None
