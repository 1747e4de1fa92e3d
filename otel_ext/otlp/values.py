"""AnyValue and attribute lists in Python's own types.

Law of this file: conversion is exact (64-bit integers, bytes, NaN, an empty value as None) and its depth
is bounded by protobuf's own limit of 100 nested messages.
"""

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.schema import AnyValue, KeyValue
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
