"""Attributes read once: as JSON text and as Python's own value.

Law of this file: one encoded KeyValue gives one reading, always the same, so readings are remembered by
wire bytes: most attributes of a service repeat from span to span. Only short ones are kept and the memo is
bounded. Values are shared between spans: treat them as read-only.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.jsonvalues import attribute, key_value, quote
from otel_ext.otlp.schema import KeyValue, RawLog, RawSpan
from otel_ext.otlp.unknown import RAW_ATTRIBUTE, UNKNOWN_FIELDS
from otel_ext.otlp.values import value_of
from otel_ext.span import Value

Reading: TypeAlias = tuple[bytes, tuple[str, Value]]
"""An attribute's JSON, and its key and value."""

_SHORT: Final = 128
"""Bytes of an encoded attribute up to which its reading is kept."""
_MOST: Final = 16_384
"""Readings kept: at most about 15 MB. A full memo is emptied at once, which costs less than tracking use."""

_KEY, _VALUE, _STRING, _INTEGER = 0x0A, 0x12, 0x0A, 0x18
"""Wire tags: KeyValue.key, KeyValue.value, AnyValue.string_value, AnyValue.int_value."""
_RAW_HEAD: Final = bytes((_KEY, len(RAW_ATTRIBUTE))) + RAW_ATTRIBUTE.encode()
_UNKNOWN_JSON: Final = b'{"key":"%b"' % UNKNOWN_FIELDS.encode()


class _Memo(dict[bytes, Reading]):
    """Encoded KeyValue -> its reading, bounded."""

    def __missing__(self, pair: bytes) -> Reading:
        try:
            reading = _common(pair) or _parsed(pair)
        except (DecodeError, UnicodeDecodeError):
            raise InvalidRequest("an attribute that is not a KeyValue, or not UTF-8") from None
        if len(pair) <= _SHORT:
            if len(self) >= _MOST:
                self.clear()
            self[pair] = reading
        return reading


reading_of: Final = _Memo().__getitem__
"""The reading of an encoded KeyValue. Raises `InvalidRequest` when it is none."""


def attributes(span: RawSpan | RawLog) -> dict[str, Value]:
    """A span's or log record's attributes in order of first appearance; of equal keys the last value counts.

    Raises:
        InvalidRequest: an element is not a KeyValue.
    """
    return dict([pair for _, pair in map(reading_of, span.attributes)])


def attribute_list(pairs: Sequence[bytes], unknown: bytes) -> bytes:
    """The items of a JSON attribute list, in order: `pairs`, and the mark of unknown fields.

    Raises:
        InvalidRequest: an element of `pairs` is not a KeyValue.
    """
    return joined([text for text, _ in map(reading_of, pairs)], (), unknown)


def joined(texts: list[bytes], extra: Sequence[tuple[str, Value]], unknown: bytes) -> bytes:
    """The items of a JSON attribute list: attributes, `extra`, and the mark of unknown fields."""
    if extra:
        texts += [attribute(key, value) for key, value in extra]
    if unknown or (texts and texts[-1].startswith(_UNKNOWN_JSON)):
        texts.append(attribute(UNKNOWN_FIELDS, unknown))
    return b",".join(texts)


def _common(pair: bytes) -> Reading | None:
    """The reading of a string or integer attribute laid out as every encoder does; None for any other."""
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
    key = pair[2:after].decode()
    if tag == _STRING and at + number == len(pair):
        text = pair[at:].decode()
        return b'{"key":%b,"value":{"stringValue":%b}}' % (quote(key), quote(text)), (key, text)
    if tag == _INTEGER and at == len(pair) and number < 2**63:
        return b'{"key":%b,"value":{"intValue":"%d"}}' % (quote(key), number), (key, number)
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


def _parsed(pair: bytes) -> Reading:
    parsed = KeyValue.FromString(pair)
    size, named = parsed.ByteSize(), (parsed.key, value_of(parsed.value))
    parsed.DiscardUnknownFields()
    text = key_value(parsed)
    if parsed.ByteSize() != size or parsed.key == RAW_ATTRIBUTE:
        text += b"," + attribute(RAW_ATTRIBUTE, pair)
    return text, named
