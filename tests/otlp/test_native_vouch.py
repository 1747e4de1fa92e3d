"""The compiled helper vouches for usual requests, and never for what Python would not vouch for."""

import random
import sys
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ext import otlp
from otel_ext.bench.payload import Requests
from otel_ext.otlp import native
from otel_ext.telemetry import Telemetry
from tests.fuzz import mutate
from tests.otlp.build import SPAN, TRACE, deep_span, instant, request_of, requests, sized, span, varint
from tests.otlp.test_corpus import CORPUS, FILES
from tests.otlp.test_native import FULL
from tests.otlp.test_vouch import IDS, S, T, judged

pytestmark = pytest.mark.skipif(native._voucher is None, reason="the helper is not compiled, or not wanted")

EVENTS = [FULL.Event(time_unix_nano=1, name="e\u00e9", attributes=FULL.attributes)]
LINKS = [FULL.Link(trace_id=TRACE, span_id=SPAN, trace_state="a=b", attributes=FULL.attributes, flags=1)]
RICH = span(events=EVENTS, links=LINKS, attributes=FULL.attributes, flags=257).SerializeToString()
BODY = request_of(RICH, FULL.SerializeToString())


def check(body: bytes) -> int | None:
    """What the helper says; if it vouches for a request, this must be good by the plainest means."""
    found = native.vouch(body)
    assert found is None or found == judged(body, Telemetry.TRACES), body
    return found


@given(requests())
def test_usual_requests_are_vouched_for(request: ExportTraceServiceRequest) -> None:
    """Whatever an encoder of OTLP writes; else it would be of no use."""
    count = sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
    assert check(request.SerializeToString()) == count


@pytest.mark.parametrize("mix", ["service", "agent"])
@pytest.mark.parametrize("size", [600, 20_000])
def test_requests_of_the_benchmark_are_vouched_for(mix: Any, size: int) -> None:
    """What is measured is the helper."""
    made = Requests(20, size, 0, mix=mix)
    assert check(made.next()) == made.spans


@given(requests(), st.integers(0, 2**32))
def test_damaged_requests(request: ExportTraceServiceRequest, seed: int) -> None:
    """Fields doubled, dropped, shuffled, renumbered, nested deeper, bits flipped."""
    rng, body = random.Random(seed), request.SerializeToString()
    for _ in range(40):
        check(mutate.protobuf(rng, body))


def test_every_byte_changed() -> None:
    """Each byte of a request of everything, by each bit, and made each of the bytes that mean something."""
    kept = 0
    for at in range(len(BODY)):
        for byte in {*(BODY[at] ^ 1 << bit for bit in range(8)), 0, 1, 0x7F, 0x80, 0xFF} - {BODY[at]}:
            kept += check(BODY[:at] + bytes((byte,)) + BODY[at + 1 :]) is not None
    assert kept > len(BODY)  # letters of names and texts, bits of numbers and ids


def test_a_request_cut_at_every_byte() -> None:
    """No beginning of a group is a group; the whole one is, and so are two."""
    assert [end for end in range(len(BODY) + 1) if check(BODY[:end]) is not None] == [0, len(BODY)]
    assert check(BODY + BODY) == 4
    for end in range(1, len(BODY)):
        assert check(BODY + BODY[:end]) is None


@pytest.mark.parametrize("case", IDS)
def test_ids_wherever_they_stand(case: str) -> None:
    """Each span has its own two, and only good ones; which of several is the span's Python finds out."""
    spans, verdict = IDS[case]
    assert check(request_of(*spans)) == (None if case == "twice, the last one good" else verdict)


def test_good_ids_may_be_given_again() -> None:
    """Whichever of them are the span's."""
    assert check(request_of(T + S + sized(0x12, b"otherone") + T)) == 1


def fields(message: Any, above: tuple[FieldDescriptor, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """The way to each field of a message, through no message twice."""
    for field in message.fields:
        yield (*above, field)
        inner = field.message_type
        if inner is not None and all(inner is not each.message_type for each in above):
            yield from fields(inner, (*above, field))


def name_of(way: tuple[FieldDescriptor, ...]) -> str:
    """Where a field stands."""
    return ".".join(field.name for field in way)


IN_SPAN = "resource_spans.scope_spans.spans"
WAYS = {name_of(way): way for way in fields(ExportTraceServiceRequest.DESCRIPTOR)}
# Spans need ids, of which there are tests above; numbers are skipped like fields that nobody knows.
CHECKED = sorted({*WAYS} - {IN_SPAN, f"{IN_SPAN}.trace_id", f"{IN_SPAN}.span_id"})
KIND = FieldDescriptor
GOOD = {
    **dict.fromkeys((KIND.TYPE_FIXED64, KIND.TYPE_DOUBLE), (1, bytes(8))),
    **dict.fromkeys((KIND.TYPE_STRING, KIND.TYPE_BYTES), (2, b"\x02\xc3\xa9")),
    KIND.TYPE_MESSAGE: (2, b"\0"),
    KIND.TYPE_FIXED32: (5, bytes(4)),
}
"""Of what is no varint: its wire type, and data."""
WIRES = {0: b"\1", 1: bytes(8), 2: b"\0", 3: b"", 4: b"", 5: bytes(4), 6: b"", 7: b""}


def put(way: tuple[FieldDescriptor, ...], wire: int, data: bytes) -> bytes:
    """A request in which this field is written so, in a span that has ids."""
    data = varint(way[-1].number << 3 | wire) + data
    for depth in range(len(way) - 1, 0, -1):
        if name_of(way[:depth]) == IN_SPAN:
            data = sized(0x0A, TRACE) + sized(0x12, SPAN) + data
        data = sized(way[depth - 1].number << 3 | 2, data)
    return data


@pytest.mark.parametrize("name", CHECKED)
def test_each_field_is_known_as_what_it_is(name: str) -> None:
    """As OTLP's own schema has it: of its wire type and no other; texts are UTF-8, bytes need not be."""
    way = WAYS[name]
    wire, data = GOOD.get(way[-1].type, (0, b"\x96\x01"))
    assert check(put(way, wire, data)) == int(name.startswith(IN_SPAN))
    for other, text in WIRES.items():
        if other != wire:
            assert check(put(way, other, text)) is None
    bad = check(put(way, 2, b"\x01\xff"))
    assert (bad is not None) == (way[-1].type == KIND.TYPE_BYTES)


@pytest.mark.parametrize(
    ("field", "vouched"),
    [
        pytest.param(b"\x88\x01\x05", True, id="number"),
        pytest.param(b"\xc1\x3e" + bytes(8), True, id="eight bytes"),
        pytest.param(b"\xc5\x3e" + bytes(4), True, id="four bytes"),
        pytest.param(b"\xc5\x3e" + bytes(3), False, id="three of four bytes"),
        pytest.param(b"\xc2\x3e\x01u", False, id="bytes: a newer schema may call them text"),
        pytest.param(b"\xd3\x3e\x08\x01\xd4\x3e", False, id="group"),
        pytest.param(b"\x02\x00", False, id="field zero"),
        pytest.param(b"\x88\x81\x00\x05", False, id="tag in more bytes than it needs"),
        pytest.param(varint(2**32 + 0x30) + b"\1", False, id="tag beyond 32 bits"),
        pytest.param(varint(2**32 - 8) + b"\1", True, id="the greatest field number"),
    ],
)
def test_unknown_fields(field: bytes, vouched: bool) -> None:
    """Fields of a known size are good by the wire format alone; all others are left to Python."""
    assert check(request_of(RICH + field)) == (1 if vouched else None)


@pytest.mark.parametrize(
    ("number", "vouched"),
    [(varint(n), True) for n in (0, 127, 128, 2**31, 2**32, 2**63, 2**64 - 1)]
    + [(b"\x80\x00", False), (varint(2**64), False), (b"\xff" * 10 + b"\x01", False), (b"\xff", False)],
)
def test_numbers(number: bytes, vouched: bool) -> None:
    """Up to ten bytes and 64 bits, in as few as possible, and whole."""
    assert check(request_of(span().SerializeToString() + b"\x30" + number)) == (1 if vouched else None)


@pytest.mark.parametrize("size", [*range(20), 127, 128, 129, 16383, 16384, 2**21])
def test_lengths_on_both_sides_of_each_encoding(size: int) -> None:
    """A text of every length; one that says a byte more than there is goes nowhere."""
    for letters in (b"x" * size, b"\xff" * size):
        good = sized(0x2A, letters)
        assert check(request_of(RICH + good)) == (None if size and letters[0] > 127 else 1)
        assert check(request_of(RICH + b"\x2a" + varint(size + 1) + letters)) is None
        for huge in (2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1):
            assert check(request_of(RICH + b"\x2a" + varint(huge) + letters)) is None


def is_utf8(text: bytes) -> bool:
    """What Python says."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


EDGES = b"\x00\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xff"
"""Second and later bytes on both sides of each border of UTF-8."""


def test_text_is_utf8_as_python_reads_it() -> None:
    """Every first byte before every border, alone and at any place of a word of eight letters."""
    texts = [bytes(text) for many in range(4) for text in product(range(0x7E, 0x100), *[EDGES] * many)]
    texts += [bytes((a, b)) for a in range(0x100) for b in range(0x100)]
    for place, text in enumerate(texts):
        around = b"a" * (place % 9)
        name = around + text + around
        assert (native.vouch(sized(0x0A, sized(0x1A, name))) == 0) == is_utf8(name), name


@pytest.mark.parametrize("letter", ["\u00e9", "\u20ac", "\U0001f600"])
def test_a_letter_does_not_go_on_behind_its_text(letter: str) -> None:
    """The tag of the field after it would do as its last byte."""
    flags = b"\x85\x01" + bytes(4)
    for end in range(1, len(letter.encode())):
        cut = sized(0x2A, b"name" + letter.encode()[:end])
        assert check(request_of(RICH + cut + flags)) is None


@pytest.mark.parametrize(("tag", "most"), [(0x2A, 13), (0x32, 8)])
def test_deep_values_are_left_to_python(tag: int, most: int) -> None:
    """Up to 32 messages, the request included, are vouched for; whatever is deeper Python judges."""
    for levels in (0, 1, most):
        assert check(request_of(deep_span(levels, tag))) == 1
    for levels in (most + 1, 40, 10_000):
        assert native.vouch(request_of(deep_span(levels, tag))) is None


def test_other_objects_than_bytes_are_refused() -> None:
    """As a mistake of ours, which it would be."""
    wrong: Any = bytearray(BODY)
    with pytest.raises(TypeError):
        native.vouch(wrong)


@pytest.mark.parametrize("body", [BODY, BODY[:-1], b"", BODY * 300])
def test_nothing_is_kept_between_calls(body: bytes) -> None:
    """Objects are not left behind by any call."""
    for _ in range(10):
        native.vouch(body)
    before = sys.getallocatedblocks()
    for _ in range(1000):
        native.vouch(body)
    assert sys.getallocatedblocks() - before < 500


@pytest.mark.skipif(not FILES, reason=f"no real traces in {CORPUS}; name their folder in OTEL_EXT_CORPUS")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_requests(path: Any) -> None:
    """Requests of real agents are vouched for, all of them."""
    zstd = pytest.importorskip("backports.zstd", reason="reading .zst needs backports.zstd")
    with zstd.open(path, "rb") as file:
        for line in islice(file, 0, None, 5):
            assert check(otlp.read_traces(line, instant=instant)) is not None
