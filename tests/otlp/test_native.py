"""The compiled helper says what Python says, or nothing."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp
from otel_ext.errors import InvalidRequest
from otel_ext.otlp import native, rendering
from otel_ext.otlp.native import Usual
from tests.otlp.build import TRACE, instant, sized, span, spans, status, varint
from tests.otlp.test_corpus import CORPUS, FILES

needs_helper = pytest.mark.skipif(not otlp.COMPILED, reason="the helper is not compiled, or not wanted")
FIELDS = ("trace_id", "span_id", "parent_id", "name", "start", "end", "flags", "failed", "pairs", "notes")
EXTRA = (("otel_ext.x", 'of "ours"'), ("n", 7))
BOUNDARIES = (0, 1, 2**7 - 1, 2**7, 2**8 - 1, 2**8, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**64 - 1)


def _usual(message: Span) -> Span:
    """What is left of a span when that is gone which the helper leaves to Python."""
    message.ClearField("events")
    message.ClearField("links")
    kept = [pair for pair in message.attributes if pair.key]
    del message.attributes[:]
    message.attributes.extend(kept)
    return message


usual_spans = spans.map(_usual)


READER = otlp.Reader(len)
"""Notes how long a key is."""


def helped(raw: bytes, reader: Any = READER, make: Any = Usual) -> Usual | None:
    """What the helper alone makes of a span."""
    assert native._helper is not None
    return native._helper(raw, reader, make)


def check(raw: bytes) -> bool:
    """Whether the helper read a span; if so it must have read it as Python does."""
    seen = helped(raw)
    if seen is None:
        return False
    expected = otlp.rendered(raw, READER)
    for name in FIELDS:
        assert getattr(seen, name) == getattr(expected, name), name
    assert seen.has_events is expected.has_events
    assert seen.json() == expected.json()
    assert seen.json(EXTRA) == expected.json(EXTRA)
    assert seen.json((), 1, None) == expected.json((), 1, None)
    assert seen.json(EXTRA, seen.start, 2**64 - 1) == expected.json(EXTRA, expected.start, 2**64 - 1)
    assert seen.digest() == expected.digest()
    assert seen.attributes() == expected.attributes() or "nan" in str(seen.attributes())
    return True


def text(key: str, value: str) -> KeyValue:
    """An attribute with a string value."""
    return KeyValue(key=key, value=AnyValue(string_value=value))


FULL = span(
    trace_state="a=b",
    parent_span_id=b"parent12",
    flags=257,
    kind=3,
    name='na"me\n',
    attributes=[
        text("text", "a\\b\x01\u00e9\U0001f600"),
        KeyValue(key="whole", value=AnyValue(int_value=-5)),
        KeyValue(key="yes", value=AnyValue(bool_value=True)),
        KeyValue(key="half", value=AnyValue(double_value=0.5)),
        KeyValue(key="bytes", value=AnyValue(bytes_value=b"\0\1")),
        KeyValue(key="nothing", value=AnyValue()),
        KeyValue(key="absent"),
        text("otel_ext.raw_attribute", "a mark's name"),
    ],
    dropped_attributes_count=3,
    dropped_events_count=4,
    dropped_links_count=2**32 - 1,
    status=status(2, "me\tssage"),
)
RAW = FULL.SerializeToString()


@needs_helper
@given(usual_spans)
def test_usual_spans_are_read_as_python_reads_them(message: Span) -> None:
    """Whatever a usual span holds, the helper reads it, and to the same."""
    assert check(message.SerializeToString())


@needs_helper
@given(spans)
def test_no_span_is_read_otherwise(message: Span) -> None:
    """Of any span the helper says what Python says, or nothing."""
    read = check(message.SerializeToString())
    assert not (read and (message.events or message.links))


@needs_helper
@given(usual_spans, st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255), st.sampled_from("=+-"))))
def test_a_damaged_span_is_read_as_python_reads_it_or_not_at_all(
    message: Span, changes: list[tuple[int, int, str]]
) -> None:
    """Bytes changed, put in and taken out: what Python refuses the helper does not read."""
    raw = bytearray(message.SerializeToString())
    for place, byte, change in changes:
        at = place % (len(raw) + 1)
        raw[at : at + (change != "+")] = b"" if change == "-" else bytes((byte,))
    check(bytes(raw))


@needs_helper
def test_a_span_cut_at_any_byte() -> None:
    """Each beginning of a span is read as Python reads it, or not at all; the whole is read."""
    read = [check(RAW[:end]) for end in range(len(RAW) + 1)]
    assert read[-1]
    assert not any(read[:26])  # the ids are not whole


@needs_helper
@pytest.mark.parametrize("size", [*range(20), *range(124, 129), 254, 255, 256, 16383, 16384, 65535, 65536])
def test_lengths_on_both_sides_of_each_encoding(size: int) -> None:
    """Names, keys, values and messages of every length that is written in another way than the one before."""
    for letter in ("x", "\n", "\u00e9", "\x00"):
        word = letter * size
        pairs = [text("k", word), text(word or "k", word), text("k", "")]
        assert check(span(name=word, attributes=pairs, status=status(1, word)).SerializeToString())


@needs_helper
@pytest.mark.parametrize("letter", [*map(chr, range(0x23)), "\\", "\x7f", "\x80", "\u2028", "\U0010ffff"])
def test_each_character_at_each_place_of_a_word(letter: str) -> None:
    """Text is looked at eight bytes at a time: a character is escaped wherever it stands."""
    for before in range(17):
        word = "a" * before + letter + "b" * (20 - before)
        assert check(span(name=word, attributes=[text(word, word)]).SerializeToString())


@needs_helper
@pytest.mark.parametrize("number", BOUNDARIES)
def test_numbers_on_both_sides_of_each_encoding(number: int) -> None:
    """Times, integers and counts at the ends of their ranges."""
    signed = number - 2**64 if number >= 2**63 else number
    fields = {"start_time_unix_nano": number, "end_time_unix_nano": 2**64 - 1 - number}
    value = [KeyValue(key="k", value=AnyValue(int_value=n)) for n in (signed, -signed, -(2**63), 2**63 - 1)]
    small = number & 0xFFFFFFFF
    counts = {"flags": small, "dropped_attributes_count": small}
    assert check(span(**fields, **counts, attributes=value, kind=small & 0x7FFFFFFF).SerializeToString())


@needs_helper
@pytest.mark.parametrize("many", [0, 1, 15, 16, 17, 127, 128])
def test_many_attributes(many: int) -> None:
    """Attributes are sorted for the digest as Python sorts them, however many."""
    names = [f"{'ab'[n % 2]}{n * 7919 % 101}" for n in range(many)]
    assert check(span(attributes=[text(name, name * (len(name) % 3)) for name in names]).SerializeToString())


@needs_helper
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(RAW + sized(0x5A, b"\x12\x01e"), id="event"),
        pytest.param(RAW + sized(0x6A, b"\x0a\x10" + TRACE), id="link"),
        pytest.param(RAW + b"\xc2\x3e\x01u", id="unknown field"),
        pytest.param(RAW + b"\xd3\x3e\x08\x01\xd4\x3e", id="group"),
        pytest.param(RAW + b"\x2a\x01n", id="name twice"),
        pytest.param(RAW + b"\x7a\x00", id="status twice"),
        pytest.param(RAW + b"\x4a\x80\x00", id="length in more bytes than it needs"),
        pytest.param(RAW + b"\x00", id="field zero"),
        pytest.param(RAW + sized(0x4A, b"\x12\x02\x10\x01"), id="attribute without a key"),
        pytest.param(RAW + sized(0x4A, b"\x12\x02\x10\x01\x0a\x01k"), id="value before key"),
        pytest.param(RAW + sized(0x4A, b"\x0a\x01\xff\x12\x02\x10\x01"), id="key not UTF-8"),
        pytest.param(RAW + sized(0x4A, b"\x0a\x01k\x12\x04\x0a\x02\xc0\x80"), id="value not UTF-8"),
        pytest.param(RAW + sized(0x4A, b"\x0a\x01k\x12\x05\x0a\x03\xed\xa0\x80"), id="half a surrogate pair"),
        pytest.param(span(attributes=[text("otel_ext.unknown_fields", "")]).SerializeToString(), id="mark"),
        pytest.param(span(trace_id=b"short").SerializeToString(), id="trace id"),
        pytest.param(span(span_id=b"").SerializeToString(), id="no span id"),
        pytest.param(span(parent_span_id=b"p").SerializeToString(), id="parent id"),
        pytest.param(span().SerializeToString() + b"\x30" + varint(2**64 - 1), id="negative kind"),
        pytest.param(span().SerializeToString() + b"\x50" + varint(2**32), id="count beyond 32 bits"),
        pytest.param(span().SerializeToString() + b"\x7a\x04\xc2\x3e\x01u", id="unknown field in status"),
        pytest.param(span().SerializeToString() + b"\x7a\x04\x12\x02\xc0\x80", id="message not UTF-8"),
        pytest.param(span(attributes=[text("k", "")] * 129).SerializeToString(), id="129 attributes"),
    ],
)
def test_what_is_unusual_is_left_to_python(raw: bytes) -> None:
    """Each of these is Python's to read, or to refuse, and `read` answers as Python does."""
    assert helped(raw) is None
    try:
        expected = otlp.rendered(raw, READER)
    except InvalidRequest as error:
        with pytest.raises(InvalidRequest, match=str(error)):
            otlp.read(raw)
    else:
        seen = otlp.read(raw)
        assert (seen.json(), seen.digest()) == (expected.json(), expected.digest())


class Wrong:
    """Reads attributes as it is told."""

    def __init__(self, json: Callable[[bytes], object]) -> None:
        self.json = json


NOTHING: dict[bytes, bytes] = {}


@needs_helper
def test_wrong_values_of_what_it_calls_are_left_to_python_and_interrupts_pass() -> None:
    """An attribute's reader that raises or returns no bytes gives nothing; an interrupt is not swallowed."""

    def interrupt(_: bytes) -> bytes:
        raise KeyboardInterrupt

    assert helped(RAW, Wrong(lambda _: "text")) is None
    assert helped(RAW, Wrong(NOTHING.__getitem__)) is None
    assert helped(RAW, None) is None
    assert helped(RAW, make=lambda: None) is None
    with pytest.raises(KeyboardInterrupt):
        helped(RAW, Wrong(interrupt))
    not_bytes: Any = "text"
    assert helped(not_bytes) is None


@needs_helper
@pytest.mark.parametrize(
    ("raw", "reader"),
    [
        pytest.param(RAW, READER, id="read"),
        pytest.param(RAW[:-1], READER, id="cut"),
        pytest.param(RAW, Wrong(NOTHING.__getitem__), id="raising"),
        pytest.param(RAW, Wrong(lambda _: "text"), id="no bytes"),
        pytest.param(RAW + sized(0x4A, b"\x0a\x01k\x12\x04\x0a\x02\xc0\x80"), READER, id="not UTF-8"),
    ],
)
def test_nothing_is_kept_between_calls(raw: bytes, reader: Any) -> None:
    """Objects are not left behind by any call, whether the span was read or not: a leak is one each."""

    def grown(calls: int) -> int:
        before = sys.getallocatedblocks()
        for _ in range(calls):
            helped(raw, reader)
        return sys.getallocatedblocks() - before

    grown(10)
    assert grown(1000) < 500


@needs_helper
def test_memory_that_is_not_to_be_had() -> None:
    """Each piece of memory in turn is refused: the span is left to Python, or read without that piece."""
    testing = pytest.importorskip("_testcapi", reason="this Python is built without its test helpers")
    helper: Any = native._helper
    expected, failed, counted = otlp.rendered(RAW).json(), 0, 0
    assert helped(RAW) is not None  # what is remembered is remembered now
    for piece in range(200):
        seen = None
        testing.set_nomemory(piece, piece + 1)
        try:
            seen = helper(RAW, READER, Usual)
        except MemoryError:
            counted += 1
        finally:
            testing.remove_mem_hooks()
        failed += seen is None
        assert seen is None or seen.json() == expected
    assert 30 < failed < 200
    assert counted <= 1  # the call itself


@needs_helper
def test_damage_under_a_checking_allocator() -> None:
    """Thousands of damaged spans, in a process whose allocator puts guards around every piece of memory."""
    environment = os.environ | {"PYTHONMALLOC": "debug"}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.otlp.test_native", "8", "3000"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read, left = map(int, done.stdout.split())
    assert read > 100
    assert left > 100


@needs_helper
@pytest.mark.skipif(not FILES, reason=f"no real traces in {CORPUS}; name their folder in OTEL_EXT_CORPUS")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_spans(path: Any) -> None:
    """Spans of real agents are read as Python reads them."""
    zstd = pytest.importorskip("backports.zstd", reason="reading .zst needs backports.zstd")
    with zstd.open(path, "rb") as file:
        for line in islice(file, 0, None, 5):
            for group in otlp.split(otlp.read_traces(line, instant=instant)):
                for raw in group.items:
                    check(raw)


def test_python_reads_where_the_helper_is_not_wanted() -> None:
    """With OTEL_EXT_PURE=1 nothing compiled is imported, and `read` is Python's."""
    code = (
        "import sys; from otel_ext import otlp; seen = otlp.read(bytes.fromhex(sys.argv[1]));"
        "print(otlp.COMPILED, type(seen).__name__, 'otel_ext.otlp.native._read' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, RAW.hex()],
        env=os.environ | {"OTEL_EXT_PURE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "Rendered", "False"]


@needs_helper
def test_a_helper_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled module left from before the digest changed would give other digests."""
    assert native._compiled() is not None
    monkeypatch.setattr(rendering, "VERSION", rendering.VERSION + 1)
    assert native._compiled() is None


def _damage(seed: int, rounds: int) -> tuple[int, int]:
    """How many damaged spans the helper read, and how many it left."""
    chance = random.Random(seed)
    bases = [RAW, span(attributes=[text(f"k{n}", "v" * n) for n in range(40)]).SerializeToString()]
    read = 0
    for _ in range(rounds):
        raw = bytearray(chance.choice(bases))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(raw))
            if chance.random() < 0.2:
                del raw[at : at + chance.randrange(1, 40)]
            elif chance.random() < 0.2:
                raw[at:at] = raw[chance.randrange(len(raw)) :][: chance.randrange(40)]
            raw[min(at, len(raw) - 1)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        read += check(bytes(raw))
    return read, rounds - read


if __name__ == "__main__":
    print(*_damage(int(sys.argv[1]), int(sys.argv[2])))
