"""Attribute values as OTLP/JSON.

Law of this file: one encoded KeyValue gives one JSON text, always the same, so the texts are memoised by
wire bytes; only short ones are kept and the memo is bounded. 64-bit integers are decimal strings, bytes
are base64, NaN and the infinities are strings, an empty AnyValue is `{}` and an absent value has no key
(OTLP/JSON, protobuf's JSON mapping).
"""

import math
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.schema import AnyValue, KeyValue
from otel_ext.otlp.unknown import RAW_ATTRIBUTE, UNKNOWN_FIELDS
from otel_ext.span import Value

_SHORT: Final = 128
"""Bytes of an encoded attribute up to which its JSON is kept."""
_MOST: Final = 16_384
"""Texts kept: at most about 10 MB. A full memo is emptied at once, which costs less than tracking use."""

_KEY, _VALUE, _STRING, _INTEGER = 0x0A, 0x12, 0x0A, 0x18
"""Wire tags: KeyValue.key, KeyValue.value, AnyValue.string_value, AnyValue.int_value."""
_RAW_HEAD: Final = bytes((_KEY, len(RAW_ATTRIBUTE))) + RAW_ATTRIBUTE.encode()
_UNKNOWN_JSON: Final = b'{"key":"%b"' % UNKNOWN_FIELDS.encode()

quote: Final = msgspec.json.Encoder().encode
"""A str as a JSON string in UTF-8, escaped."""


class _Memo(dict[bytes, bytes]):
    """Encoded KeyValue -> its JSON, bounded."""

    def __missing__(self, pair: bytes) -> bytes:
        try:
            text = _common_attribute(pair) or _parsed_attribute(pair)
        except (DecodeError, UnicodeDecodeError):
            raise InvalidRequest("an attribute that is not a KeyValue, or not UTF-8") from None
        if len(pair) <= _SHORT:
            if len(self) >= _MOST:
                self.clear()
            self[pair] = text
        return text


_json_of: Final = _Memo().__getitem__


def attribute_list(pairs: Sequence[bytes], extra: Sequence[tuple[str, Value]], unknown: bytes) -> bytes:
    """The items of a JSON attribute list, in order: `pairs`, `extra`, and the mark of unknown fields.

    Raises:
        InvalidRequest: an element of `pairs` is not a KeyValue.
    """
    texts = list(map(_json_of, pairs))
    if extra:
        texts += [attribute(key, value) for key, value in extra]
    if unknown or (texts and texts[-1].startswith(_UNKNOWN_JSON)):
        texts.append(attribute(UNKNOWN_FIELDS, unknown))
    return b",".join(texts)


def attribute(key: str, value: Value) -> bytes:
    """The JSON object of one attribute given in Python's own types."""
    return b'{"key":%b,"value":%b}' % (quote(key), _python_value(value))


def _common_attribute(pair: bytes) -> bytes | None:
    """The JSON of a string or integer attribute laid out as every encoder does; None for any other."""
    try:
        after = pair[1] + 2
        if pair[0] != _KEY or pair[1] > 0x7F or pair[after] != _VALUE or pair.startswith(_RAW_HEAD):
            return None
        length, at = _varint(pair, after + 1)
        tag = pair[at]
        if at + length != len(pair) or tag not in (_STRING, _INTEGER):
            return None
        number, at = _varint(pair, at + 1)
    except IndexError:
        return None
    key = quote(pair[2:after].decode())
    if tag == _STRING and at + number == len(pair):
        return b'{"key":%b,"value":{"stringValue":%b}}' % (key, quote(pair[at:].decode()))
    if tag == _INTEGER and at == len(pair) and number < 2**63:
        return b'{"key":%b,"value":{"intValue":"%d"}}' % (key, number)
    return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at `at` and the index after it."""
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value, shift = value & 0x7F, 7
    while shift < 64:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise IndexError("a varint of more than ten bytes")


def _parsed_attribute(pair: bytes) -> bytes:
    parsed = KeyValue.FromString(pair)
    size = parsed.ByteSize()
    parsed.DiscardUnknownFields()
    text = _key_value(parsed)
    if parsed.ByteSize() != size or parsed.key == RAW_ATTRIBUTE:
        text += b"," + attribute(RAW_ATTRIBUTE, pair)
    return text


def _key_value(pair: KeyValue) -> bytes:
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
            return _items(b"kvlistValue", map(_key_value, value.kvlist_value.values))
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
