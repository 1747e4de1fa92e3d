"""A packed span against the same span encoded at once."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.errors import InvalidRequest
from otel_ext.otlp import split
from otel_ext.otlp.packed import PACKED, VERSION, PackedSpan, group, pack, request, unpack

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
ODD = st.sampled_from(["\ud800", 1 << 70, object, ("a", ["b"]), {"k": 1}, bytearray(b"x")])
VALUES = SCALARS | st.lists(SCALARS, max_size=3).map(tuple) | ODD
KEYS = st.text() | st.just("\ud800")
GROUPS = st.tuples(st.binary(), st.just(b""), st.binary(), st.sampled_from([b"", b"https://schema/1"]))


def span(name: str, attributes: dict[str, Any], shared: tuple[bytes, bytes, bytes, bytes]) -> PackedSpan:
    """A span that began."""
    return PackedSpan(VERSION, bytes(16), bytes(8), b"", name, b"", attributes, b"", group(shared))


@given(KEYS, st.dictionaries(KEYS, VALUES, max_size=6), GROUPS)
def test_what_is_packed_reads_as_what_is_encoded_at_once(
    name: str, attributes: dict[str, Any], shared: tuple[bytes, bytes, bytes, bytes]
) -> None:
    """Either the bytes are the same, whatever the values, or it says that it cannot pack them."""
    made = span(name, attributes, shared)
    packed = pack(made)
    if packed is not None:
        assert packed[:1] == PACKED
        assert request(unpack(packed)) == request(made)
    assert [(one.resource, one.scope) for one in split(request(made))] == [(shared[0], shared[2])]


@pytest.mark.parametrize("value", [1, 1.5, True, None, "text", b"bytes", ("stop", "length"), (1, None)])
def test_what_instrumentations_write_is_packed(value: object) -> None:
    """Nothing common falls back to the slow way."""
    assert pack(span("n", {"k": value}, (b"", b"", b"", b""))) is not None


def test_what_is_no_packed_span_is_refused() -> None:
    """Cut, of another version, or something else: an error that the pipeline knows."""
    packed = pack(span("n", {}, (b"", b"", b"", b"")))
    assert packed is not None
    later = msgspec.msgpack.encode([VERSION + 1, *msgspec.msgpack.decode(packed)[1:]])
    for payload in (packed[:-1], later, b"\x99" + b"\xff" * 9, b"\n\x00"):
        with pytest.raises(InvalidRequest):
            unpack(payload)
