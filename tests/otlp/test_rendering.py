"""The digest: blind to encoding, sharp to content."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp
from tests.otlp.build import TRACE, sized, span, spans, status, varint


def digest(raw: bytes) -> bytes:
    """The digest of an encoded span."""
    return otlp.content_digest(raw)


def fields_of(raw: bytes) -> list[bytes]:
    """The top-level fields of an encoded span, each with its tag."""
    fields, at = [], 0
    while at < len(raw):
        start = at
        tag, at = read_varint(raw, at)
        if tag & 7 == 2:
            size, at = read_varint(raw, at)
            at += size
        elif tag & 7 == 0:
            _, at = read_varint(raw, at)
        else:
            at += 8 if tag & 7 == 1 else 4
        fields.append(raw[start:at])
    return fields


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and the index after it."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


@given(spans, st.randoms())
def test_order_of_attributes_does_not_matter(message: Span, random: Any) -> None:
    """Attributes in any order give the same digest."""
    before = digest(message.SerializeToString())
    shuffled = list(message.attributes)
    random.shuffle(shuffled)
    del message.attributes[:]
    message.attributes.extend(shuffled)
    assert digest(message.SerializeToString()) == before


@given(spans, st.randoms())
def test_order_of_fields_does_not_matter(message: Span, random: Any) -> None:
    """The span's fields in any order give the same digest, as long as equal numbers keep theirs."""
    message.ClearField("events")
    message.ClearField("links")
    raw = message.SerializeToString() + b"\xc2\x3e\x01u" + b"\xc8\x3e\x07" + b"\xd3\x3e\x08\x01\xd4\x3e"
    fields = fields_of(raw[:-6])
    fields.append(raw[-6:])
    random.shuffle(fields)
    assert digest(b"".join(fields)) == digest(raw)


@given(spans)
def test_what_a_collector_adds_does_not_matter(message: Span) -> None:
    """Explicit defaults and an empty status, as gogo-protobuf writes them, change nothing."""
    raw = message.SerializeToString()
    empty = b"\x22\x00" if not message.parent_span_id else b""
    empty += b"\x7a\x00"
    for field in ("dropped_attributes_count", "dropped_events_count", "dropped_links_count", "kind"):
        if not getattr(message, field):
            empty += varint(Span.DESCRIPTOR.fields_by_name[field].number << 3) + b"\x00"
    assert digest(empty + raw) == digest(raw)


def test_an_explicit_default_in_an_event_does_not_matter() -> None:
    """Events and links are compared by content too."""
    raw = span().SerializeToString()
    assert digest(raw + sized(0x5A, b"\x12\x01e")) == digest(raw + sized(0x5A, b"\x20\x00\x12\x01e"))


BASE = span(
    trace_state="a=b",
    parent_span_id=b"parent12",
    flags=257,
    kind=3,
    attributes=[KeyValue(key="k", value=AnyValue(string_value="v"))],
    events=[Span.Event(name="one"), Span.Event(name="two")],
    links=[Span.Link(trace_id=TRACE), Span.Link(trace_id=bytes(16))],
    status=status(2, "m"),
)
CHANGES: dict[str, dict[str, Any]] = {
    "trace_id": {"trace_id": b"x" * 16},
    "span_id": {"span_id": b"x" * 8},
    "trace_state": {"trace_state": ""},
    "parent": {"parent_span_id": b""},
    "flags": {"flags": 1},
    "name": {"name": "x"},
    "kind": {"kind": 1},
    "start": {"start_time_unix_nano": 1},
    "end": {"end_time_unix_nano": 1},
    "attribute value": {"attributes": [KeyValue(key="k", value=AnyValue(string_value="w"))]},
    "attribute type": {"attributes": [KeyValue(key="k", value=AnyValue(bytes_value=b"v"))]},
    "attribute key": {"attributes": [KeyValue(key="l", value=AnyValue(string_value="v"))]},
    "attribute twice": {"attributes": [KeyValue(key="k", value=AnyValue(string_value="v"))] * 2},
    "attribute gone": {"attributes": []},
    "dropped attributes": {"dropped_attributes_count": 1},
    "dropped events": {"dropped_events_count": 1},
    "dropped links": {"dropped_links_count": 1},
    "events in another order": {"events": [Span.Event(name="two"), Span.Event(name="one")]},
    "event gone": {"events": [Span.Event(name="one")]},
    "link changed": {"links": [Span.Link(trace_id=TRACE), Span.Link(trace_id=TRACE)]},
    "status code": {"status": status(1, "m")},
    "status message": {"status": status(2, "n")},
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_shows(change: str) -> None:
    """A change of any field gives another digest."""
    changed = Span.FromString(BASE.SerializeToString())
    field: Any
    for field, value in CHANGES[change].items():
        changed.ClearField(field)
        changed.MergeFrom(Span(**{field: value}))
    assert digest(changed.SerializeToString()) != digest(BASE.SerializeToString())


@pytest.mark.parametrize("extra", [b"\xc2\x3e\x01u", b"\xc8\x3e\x07", b"\x7a\x04\xc2\x3e\x01u"])
def test_unknown_fields_show(extra: bytes) -> None:
    """Unknown fields of the span and of its status are content."""
    raw = BASE.SerializeToString()
    assert digest(raw + extra) != digest(raw)


def test_the_digest_is_durable() -> None:
    """The digest is stored, so its value for a given span never changes within a version."""
    assert len(digest(BASE.SerializeToString())) == 16
    assert digest(BASE.SerializeToString()).hex() == "9ad0340556db3053d49e1589a8a49741"


@given(spans)
def test_a_prefix_of_attributes_is_not_their_join(message: Span) -> None:
    """Two attributes never equal one attribute of their joined bytes."""
    raw = message.SerializeToString()
    one, two = b"\x0a\x01a", b"\x12\x02\x18\x01"
    assert digest(raw + sized(0x4A, one) + sized(0x4A, two)) != digest(raw + sized(0x4A, one + two))
