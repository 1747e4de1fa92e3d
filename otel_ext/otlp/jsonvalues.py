"""Attribute values as OTLP/JSON.

Law of this file: 64-bit integers are decimal strings, bytes are base64, NaN and the infinities are strings,
an empty AnyValue is `{}` and an absent value has no key (OTLP/JSON, protobuf's JSON mapping).
"""

import math
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from otel_ext.otlp.schema import AnyValue, KeyValue
from otel_ext.span import Value

quote: Final = msgspec.json.Encoder().encode
"""A str as a JSON string in UTF-8, escaped."""


def attribute(key: str, value: Value) -> bytes:
    """The JSON object of one attribute given in Python's own types."""
    return b'{"key":%b,"value":%b}' % (quote(key), _python_value(value))


def key_value(pair: KeyValue) -> bytes:
    """The JSON object of an attribute; fields that the schema does not name are not in it."""
    if not pair.HasField("value"):
        return b'{"key":%b}' % quote(pair.key)
    return b'{"key":%b,"value":%b}' % (quote(pair.key), any_value(pair.value))


def any_value(value: AnyValue) -> bytes:
    """The JSON of one value; fields that the schema does not name are not in it."""
    match value.WhichOneof("value"):
        case "string_value":
            return b'{"stringValue":%b}' % quote(value.string_value)
        case "int_value":
            return b'{"intValue":"%d"}' % value.int_value
        case "bool_value":
            return b'{"boolValue":true}' if value.bool_value else b'{"boolValue":false}'
        case "double_value":
            return b'{"doubleValue":%b}' % double_text(value.double_value)
        case "array_value":
            return _items(b"arrayValue", map(any_value, value.array_value.values))
        case "kvlist_value":
            return _items(b"kvlistValue", map(key_value, value.kvlist_value.values))
        case "bytes_value":
            return b'{"bytesValue":"%b"}' % b2a_base64(value.bytes_value, newline=False)
        case _:
            return b"{}"


def _python_value(value: Value) -> bytes:
    match value:
        case None:
            return b"{}"
        case str():
            return b'{"stringValue":%b}' % quote(value)
        case bool():
            return b'{"boolValue":true}' if value else b'{"boolValue":false}'
        case int():
            return b'{"intValue":"%d"}' % value
        case float():
            return b'{"doubleValue":%b}' % double_text(value)
        case bytes():
            return b'{"bytesValue":"%b"}' % b2a_base64(value, newline=False)
        case Mapping():
            return _items(b"kvlistValue", (attribute(key, item) for key, item in value.items()))
        case _:
            return _items(b"arrayValue", map(_python_value, value))


def _items(kind: bytes, texts: Iterable[bytes]) -> bytes:
    return b'{"%b":{"values":[%b]}}' % (kind, b",".join(texts))


def double_text(value: float) -> bytes:
    """The JSON of a double: the shortest number that is it, or a string."""
    if math.isfinite(value):
        return repr(value).encode()
    if math.isnan(value):
        return b'"NaN"'
    return b'"Infinity"' if value > 0 else b'"-Infinity"'
