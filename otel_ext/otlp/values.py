"""AnyValue and attribute lists in Python's own types.

Law of this file: conversion is exact (64-bit integers, bytes, NaN, an empty value as None) and its depth
is bounded by protobuf's own limit of 100 nested messages.
"""

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.schema import AnyValue, KeyValue, MapSpan, RawSpan
from otel_ext.span import Value


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


class Attributes(Mapping[str, Value]):
    """A span's attributes, read on demand: nothing is parsed before the first question.

    Of equal keys the last value counts. Iteration is in the order of first appearance. Only the map is
    built for `get`, `in` and `len`; a value is converted each time it is asked for.
    """

    __slots__ = ("_map", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._map: Mapping[str, AnyValue] | None = None

    def __getitem__(self, key: str) -> Value:
        values = self._values()
        # A protobuf map would insert what it is asked for.
        if key not in values:
            raise KeyError(key)
        return value_of(values[key])

    def get(self, key: str, default: Value = None) -> Value:  # type: ignore[override]
        """The value of `key`, or `default`; an empty AnyValue is None either way."""
        values = self._values()
        return value_of(values[key]) if key in values else default

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._values()

    def __iter__(self) -> Iterator[str]:
        # A protobuf map's own order is arbitrary; the wire's is not.
        keys = (KeyValue.FromString(pair).key for pair in RawSpan.FromString(self._raw).attributes)
        return iter(dict.fromkeys(keys))

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return f"Attributes({dict(self)!r})"

    def _values(self) -> Mapping[str, AnyValue]:
        values = self._map
        if values is None:
            try:
                values = self._map = MapSpan.FromString(self._raw).attributes
            except DecodeError:
                raise InvalidRequest(f"{len(self._raw)} bytes that are not a span") from None
        return values
