"""Attributes read once: as JSON text and as Python's own value.

Law of this file: one encoded KeyValue gives one reading, always the same, so readings are remembered by
wire bytes: most attributes of a service repeat from span to span. Only short ones are kept and the memos are
bounded. Values are shared between spans: treat them as read-only.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.jsonvalues import attribute, key_value, quote
from otel_ext.otlp.schema import KeyValue, RawLog, RawSpan
from otel_ext.otlp.unknown import RAW_ATTRIBUTE, UNKNOWN_FIELDS
from otel_ext.otlp.values import value_of
from otel_ext.otlp.wire import varint
from otel_ext.span import Value

T = TypeVar("T")

_SHORT: Final = 128
"""Bytes of an encoded attribute up to which what was read of it is kept."""
_LONG: Final = 4096
"""Bytes of a span from which its attributes are not looked up before it is known that they are short."""
_MOST: Final = 16_384
"""Attributes kept: at most about 10 MB. A full memo is emptied: that costs less than tracking its use."""
_KEYS: Final = 2048
"""Bytes of all of a span's keys up to which the notes on them are kept,"""
_MOST_KEYS: Final = 1024
"""and for how many sequences of keys: at most 2 MB."""

_KEY, _VALUE, _STRING, _INTEGER = b"\n", 0x12, 0x0A, 0x18
"""Wire tags: KeyValue.key, KeyValue.value, AnyValue.string_value, AnyValue.int_value."""
_BAD: Final = "an attribute that is not a KeyValue, or not UTF-8"
_UNKNOWN_JSON: Final = b'{"key":"%b"' % UNKNOWN_FIELDS.encode()


class _Memo(dict[bytes, T]):
    """Bytes -> what `read` makes of them, bounded."""

    def __init__(self, read: Callable[[bytes], T]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, data: bytes) -> T:
        found = self._read(data)
        if len(data) <= _SHORT:
            if len(self) >= _MOST:
                self.clear()
            self[data] = found
        return found


class _Head(NamedTuple):
    """What a key comes to, whatever its value is: values differ where keys repeat."""

    key: str
    json: bytes
    note: int


class Reader:
    """Reads encoded KeyValues.

    Args:
        note: makes a note of a key, always the same of the same. No value is looked at for it.
    """

    def __init__(self, note: Callable[[str], int] = lambda _: 0) -> None:
        self._note = note
        self._heads, self._readings = _Memo(self._head), _Memo(self._read)
        self._named = _Memo(self._pair)
        self._noted: dict[bytes, tuple[int, ...]] = {}

    def readings(self, pairs: Sequence[bytes], size: int) -> tuple[Sequence[bytes], tuple[int, ...]]:
        """The JSON of each encoded KeyValue of a span of `size` bytes, and the notes on their keys.

        Raises:
            InvalidRequest: an element is not a KeyValue.
        """
        known = self._readings
        try:
            if not pairs:
                return (), ()
            if size < _LONG:
                texts, notes = zip(*map(known.__getitem__, pairs), strict=False)
            else:
                texts, notes = zip(*map(self._reading, pairs), strict=False)
        except (DecodeError, UnicodeDecodeError):
            raise InvalidRequest(_BAD) from None
        return texts, notes

    def json(self, pair: bytes) -> bytes:
        """The JSON of one encoded KeyValue.

        Raises:
            DecodeError, UnicodeDecodeError: it is none.
        """
        return self._reading(pair)[0]

    def noted(self, keys: bytes, pairs: Sequence[bytes]) -> tuple[int, ...]:
        """The notes on the keys of `pairs`, looked up together: `keys` is all that are encoded in them."""
        notes = self._noted.get(keys)
        if notes is None:
            notes = self.readings(pairs, _LONG)[1]
            if len(keys) <= _KEYS:
                if len(self._noted) >= _MOST_KEYS:
                    self._noted.clear()
                self._noted[keys] = notes
        return notes

    def attributes(self, pairs: Iterable[bytes]) -> dict[str, Value]:
        """Encoded KeyValues in order of first appearance; of equal keys the last value counts.

        Raises:
            InvalidRequest: an element is not a KeyValue.
        """
        try:
            return dict(map(self._named.__getitem__, pairs))
        except (DecodeError, UnicodeDecodeError):
            raise InvalidRequest(_BAD) from None

    def _reading(self, pair: bytes) -> tuple[bytes, int]:
        """JSON and note of an attribute; a long one is never in the memo, and to look is a pass over it."""
        return self._readings[pair] if len(pair) <= _SHORT else self._read(pair)

    def _read(self, pair: bytes) -> tuple[bytes, int]:
        """JSON and note of an attribute."""
        common = self._common(pair)
        if common is not None:
            head, value = common
            if isinstance(value, str):
                return b'%b{"stringValue":%b}}' % (head.json, quote(value)), head.note
            return b'%b{"intValue":"%d"}}' % (head.json, value), head.note
        parsed = KeyValue.FromString(pair)
        size = parsed.ByteSize()
        parsed.DiscardUnknownFields()
        text = key_value(parsed)
        if parsed.ByteSize() != size or parsed.key == RAW_ATTRIBUTE:
            text += b"," + attribute(RAW_ATTRIBUTE, pair)
        return text, self._note(parsed.key)

    def _pair(self, pair: bytes) -> tuple[str, Value]:
        """Key and value of an attribute."""
        common = self._common(pair)
        if common is not None:
            head, value = common
            return head.key, value
        parsed = KeyValue.FromString(pair)
        return parsed.key, value_of(parsed.value)

    def _common(self, pair: bytes) -> tuple[_Head, str | int] | None:
        """A string or integer attribute laid out as every encoder does; None for any other."""
        try:
            after = pair[1] + 2
            head = self._heads[pair[:after]]
            if head is None:
                return None
            before = _before_text(len(pair) - after)
            if before and pair.startswith(before, after):
                return head, pair[after + len(before) :].decode()
            if (
                pair[after] != _VALUE
                or pair[after + 1] != len(pair) - after - 2
                or pair[after + 2] != _INTEGER
            ):
                return None
            number, end = _varint(pair, after + 3)
        except IndexError:
            return None
        return (head, number) if end == len(pair) and number < 2**63 else None

    def _head(self, field: bytes) -> _Head | None:
        """What an encoded KeyValue.key comes to, None where it is our own mark or not laid out as usual."""
        if field[:1] != _KEY or field[1] > 0x7F or len(field) != field[1] + 2:
            return None
        key = field[2:].decode()
        return (
            None if key == RAW_ATTRIBUTE else _Head(key, b'{"key":%b,"value":' % quote(key), self._note(key))
        )


PLAIN: Final = Reader()
"""Makes no notes."""


def attributes(span: RawSpan | RawLog) -> dict[str, Value]:
    """`Reader.attributes` of a span or log record."""
    return PLAIN.attributes(span.attributes)


def attribute_list(pairs: Sequence[bytes], unknown: bytes) -> bytes:
    """The items of a JSON attribute list, in order: `pairs`, and the mark of unknown fields.

    Raises:
        InvalidRequest: an element of `pairs` is not a KeyValue.
    """
    return joined(PLAIN.readings(pairs, _LONG)[0], (), unknown)


def joined(texts: Sequence[bytes], extra: Sequence[tuple[str, Value]], unknown: bytes) -> bytes:
    """The items of a JSON attribute list: attributes, `extra`, and the mark of unknown fields."""
    if extra:
        texts = [*texts, *(attribute(key, value) for key, value in extra)]
    if unknown or (texts and texts[-1].startswith(_UNKNOWN_JSON)):
        texts = [*texts, attribute(UNKNOWN_FIELDS, unknown)]
    return b",".join(texts)


@lru_cache(maxsize=4096)
def _before_text(size: int) -> bytes:
    """What stands before the text in an encoded KeyValue.value of `size` bytes that holds nothing else.

    An encoder writes every length in as few bytes as it can, so there is one such beginning at most; b"" when
    there is none.
    """
    before = b""
    for tag in (_VALUE, _STRING):
        # Tag and length take 1 + n bytes of the size, which leaves so many to what they stand before.
        rests = ((n, varint(size - 1 - n)) for n in range(1, min(11, size)))
        length = next((found for n, found in rests if len(found) == n), None)
        if length is None:
            return b""
        before, size = before + bytes((tag,)) + length, size - 1 - len(length)
    return before


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at `at` and the index after it."""
    value, shift = 0, 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise IndexError("a varint of more than ten bytes")
