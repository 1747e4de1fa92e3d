"""The short way of reading an attribute against protobuf's own."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.common.v1.common_pb2 import KeyValue as Official

from otel_ext.errors import InvalidRequest
from otel_ext.otlp.attributes import Reader
from otel_ext.otlp.jsonvalues import key_value
from otel_ext.otlp.schema import KeyValue
from otel_ext.otlp.values import value_of
from tests.otlp.build import key_values, sized, varint

LENGTHS = [0, 1, 123, 124, 125, 126, 127, 128, 129, 130, 16_376, 16_380, 16_383, 16_384, 16_385]


def padded(number: int) -> bytes:
    """A number in one byte more than it needs."""
    *most, last = varint(number)
    return bytes((*most, last | 0x80, 0))


def lengthy(tag: int, data: bytes) -> bytes:
    """A length-delimited field whose length takes one byte more than it needs."""
    return bytes((tag,)) + padded(len(data)) + data


def check(pair: bytes, size: int) -> None:
    """One encoded KeyValue without unknown fields, read by the short way and by protobuf's."""
    parsed, reader = KeyValue.FromString(pair), Reader(len)
    for _ in range(2):  # the second time from memory
        texts, notes = reader.readings([pair, pair], size)
        assert list(texts) == [key_value(parsed)] * 2
        assert notes == (len(parsed.key),) * 2
        assert repr(reader.attributes([pair])) == repr({parsed.key: value_of(parsed.value)})


@given(key_values, st.sampled_from([0, 100_000]))
def test_any_attribute(pair: Official, size: int) -> None:
    """What the encoder of the official classes writes."""
    check(pair.SerializeToString(), size)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("key", ["", "k", "k" * 127, "k" * 128])
def test_lengths_at_which_encodings_grow(length: int, key: str) -> None:
    """A text is found whatever its length takes."""
    for text in ("x" * length, "é" * (length // 2), '"\\\n' * (length // 3)):
        pair = Official(key=key, value=AnyValue(string_value=text))
        check(pair.SerializeToString(), len(text))


@given(st.binary(max_size=300), st.sampled_from([sized, lengthy]), st.sampled_from([sized, lengthy]))
@example(b"\x0a\x01v\x0a\x01w", sized, sized)  # two texts, of which the last counts
@example(b"\x18\x80\x00", sized, sized)
@example(b"\x18" + varint(2**63), sized, sized)
@example(b"\x18" + varint(2**64 - 1), sized, lengthy)
@example(b"\x0a\x03v", sized, sized)  # a text that would end outside
@example(b"\x0a\x02\xc3\x28", sized, sized)  # no UTF-8
def test_any_bytes_as_a_value(value: bytes, around: object, before: object) -> None:
    """An encoding that no encoder writes is read as protobuf reads it, or refused as there."""
    assert callable(around)
    assert callable(before)
    pair = before(0x0A, b"key") + around(0x12, value)
    try:
        parsed = KeyValue.FromString(pair)
    except Exception:  # noqa: BLE001 - protobuf's error differs between its implementations
        with pytest.raises(InvalidRequest):
            Reader().readings([pair], 0)
        return
    size = parsed.ByteSize()
    parsed.DiscardUnknownFields()
    if parsed.ByteSize() == size:
        check(pair, 0)


@given(st.binary(max_size=12))
def test_any_bytes_at_all(pair: bytes) -> None:
    """Bytes are read as protobuf reads them, or refused as there."""
    try:
        parsed = KeyValue.FromString(pair)
    except Exception:  # noqa: BLE001 - protobuf's error differs between its implementations
        with pytest.raises(InvalidRequest):
            Reader().attributes([pair])
        return
    assert repr(Reader().attributes([pair])) == repr({parsed.key: value_of(parsed.value)})
