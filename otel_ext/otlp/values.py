"""AnyValue and attribute lists in Python's own types.

Law of this file: conversion is exact (64-bit integers, bytes, NaN, an empty value as None) and its depth
is bounded by protobuf's own limit of 100 nested messages.
"""

from collections.abc import Iterable
from typing import Final

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.schema import AnyValue, KeyValue, RawLog, RawSpan
from otel_ext.span import Value

_SHORT: Final = 128
"""Bytes of an encoded attribute up to which it is remembered."""
_MOST: Final = 16_384
"""Attributes remembered; a full memo is emptied at once."""


def value_of(value: AnyValue) -> Value:
    """The Python value; None for an AnyValue with nothing set."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return value.int_value
        case "bool_value":
            return value.bool_value
        case "double_value":
            return value.double_value
        case "array_value":
            return [value_of(item) for item in value.array_value.values]
        case "kvlist_value":
            return {pair.key: value_of(pair.value) for pair in value.kvlist_value.values}
        case "bytes_value":
            return value.bytes_value
        case _:
            return None


def attribute_dict(pairs: Iterable[bytes]) -> dict[str, Value]:
    """Encoded KeyValues as a dict, in order; of equal keys the last value counts.

    Raises:
        InvalidRequest: an element is not a KeyValue.
    """
    try:
        parsed = [KeyValue.FromString(pair) for pair in pairs]
    except DecodeError:
        raise InvalidRequest("an attribute that is not a KeyValue") from None
    return {pair.key: value_of(pair.value) for pair in parsed}


def attributes(span: RawSpan | RawLog) -> dict[str, Value]:
    """A span's or log record's attributes in order of first appearance; of equal keys the last value counts.

    Most attributes of a service repeat from span to span, so short ones are read once and remembered by
    their wire bytes. Values are shared between spans: treat them as read-only.

    Raises:
        InvalidRequest: an element is not a KeyValue.
    """
    return dict(map(_pair_of, span.attributes))


class _Memo(dict[bytes, tuple[str, Value]]):
    """Encoded KeyValue -> (key, value), bounded."""

    def __missing__(self, data: bytes) -> tuple[str, Value]:
        try:
            parsed = KeyValue.FromString(data)
        except DecodeError:
            raise InvalidRequest("an attribute that is not a KeyValue") from None
        value = parsed.value
        # By far the most values are text, and asking for it is cheaper than asking what there is.
        pair = parsed.key, value.string_value or value_of(value)
        if len(data) <= _SHORT:
            if len(self) >= _MOST:
                self.clear()
            self[data] = pair
        return pair


_pair_of: Final = _Memo().__getitem__
