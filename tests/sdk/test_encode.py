"""The wire encoder against the stock one."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_ext import otlp
from otel_ext.otlp import wire
from otel_ext.sdk.encode import encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
SCALARS = (
    st.none()
    | TEXT
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=200)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUES, max_size=8)
TIMES = st.integers(0, (1 << 64) - 1)
DROPPED = st.integers(0, 300)
STATES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True),
    st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True),
    max_size=3,
).map(lambda pairs: TraceState(list(pairs.items())))


@st.composite
def contexts(draw: st.DrawFn) -> SpanContext:
    """Any valid span context."""
    return SpanContext(
        draw(st.integers(1, (1 << 128) - 1)),
        draw(st.integers(1, (1 << 64) - 1)),
        is_remote=draw(st.booleans()),
        trace_flags=TraceFlags(draw(st.integers(0, 1))),
        trace_state=draw(STATES),
    )


@st.composite
def bounded(draw: st.DrawFn) -> Any:
    """Attributes as the SDK holds them, some dropped; or none."""
    items = draw(st.none() | ATTRIBUTES)
    if items is None:
        return None
    found = BoundedAttributes(attributes=items, immutable=False)
    found.dropped = draw(DROPPED)
    return found


def dropping(items: Sequence[Any], dropped: int) -> Any:
    """A list as the SDK holds events and links, some dropped."""
    found = BoundedList.from_seq(None, items)
    found.dropped = dropped
    return found


RESOURCES = [Resource({}), Resource({"service.name": "a", "n": 1, "l": ["x"]}, "https://schema/1")]
SCOPES = [
    None,
    InstrumentationScope("lib"),
    InstrumentationScope("lib", "1.2", "https://schema/2", {"a": True}),
]


@st.composite
def readable(draw: st.DrawFn) -> ReadableSpan:
    """Any span that has ended, or not."""
    events = [Event(draw(TEXT), draw(bounded()), draw(TIMES)) for _ in range(draw(st.integers(0, 2)))]
    links = [Link(draw(contexts()), draw(bounded())) for _ in range(draw(st.integers(0, 2)))]
    code = draw(st.sampled_from(list(StatusCode)))
    return ReadableSpan(
        name=draw(TEXT),
        context=draw(contexts()),
        parent=draw(st.none() | contexts()),
        resource=draw(st.sampled_from(RESOURCES)),
        attributes=draw(bounded()),
        events=dropping(events, draw(DROPPED)),
        links=dropping(links, draw(DROPPED)),
        kind=draw(st.sampled_from(list(SpanKind))),
        status=Status(code, draw(TEXT) if code is StatusCode.ERROR else None),
        start_time=draw(TIMES),
        end_time=draw(st.none() | TIMES),
        instrumentation_scope=draw(st.sampled_from(SCOPES)),
    )


def decoded(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """What our bytes say."""
    return ExportTraceServiceRequest.FromString(encode(spans))


@given(st.lists(readable(), min_size=1, max_size=4))
def test_it_decodes_to_what_the_stock_encoder_makes(spans: list[ReadableSpan]) -> None:
    """Every field of every span, with resources and scopes, equal to the stock encoder's message."""
    assert decoded(spans) == encode_spans(spans)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abc"), SCALARS), max_size=30))
def test_what_is_remembered_is_what_was_asked(pairs: list[tuple[str, Any]]) -> None:
    """The memo never gives one value's bytes for another's: 1, True, 1.0 and "1" are equal keys to a dict."""
    for key, value in [*pairs, ("a", 1), ("a", True), ("a", 1.0), ("a", "1"), ("a", 0.0), ("a", -0.0)]:
        span = plain({key: value})
        assert decoded([span]) == encode_spans([span])


def plain(attributes: dict[str, Any]) -> ReadableSpan:
    """A span with these attributes."""
    return ReadableSpan(
        "n", SpanContext(1, 2, False), attributes=attributes, resource=RESOURCES[0], start_time=1
    )


class Hostile:
    """Nothing about it can be asked."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def nested(depth: int) -> Any:
    """Mappings in mappings."""
    value: Any = "end"
    for _ in range(depth):
        value = {"k": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("\ud800x", "string_value", "\\ud800x"),
        (1 << 80, "string_value", str(1 << 80)),
        (10**5000, "string_value", "<int>"),
        (Hostile(), "string_value", "<Hostile>"),
        (bytearray(b"ab"), "bytes_value", b"ab"),
        (math.inf, "double_value", math.inf),
    ],
    ids=["surrogate", "wide", "huge", "hostile", "bytearray", "infinity"],
)
def test_what_protobuf_cannot_hold_is_kept_as_text(value: object, kind: str, expected: object) -> None:
    """Lone surrogates, huge integers and strangers' objects neither raise nor take their span with them."""
    (attribute,) = decoded([plain({"k": value})]).resource_spans[0].scope_spans[0].spans[0].attributes
    assert getattr(attribute.value, kind) == expected


def test_nan_stays_nan() -> None:
    """It is no equal of itself, so it is looked at alone."""
    (attribute,) = decoded([plain({"k": math.nan})]).resource_spans[0].scope_spans[0].spans[0].attributes
    assert math.isnan(attribute.value.double_value)


@pytest.mark.parametrize("depth", [5, 13, 14, 15, 40, 400])
def test_any_depth_is_admitted(depth: int) -> None:
    """Deeper than protobuf reads becomes text, so the span is never refused for it."""
    body = encode([plain({"k": nested(depth), "after": "here"})])
    assert otlp.admit(body).rejected == {}
    last = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans[0].attributes[1]
    assert last.value.string_value == "here"


def test_odd_times_and_names_do_not_raise() -> None:
    """Negative and huge times are held at the bounds; a surrogate in a name is escaped."""
    span = ReadableSpan(
        "\udfff",
        SpanContext(1, 2, False),
        resource=RESOURCES[0],
        start_time=-5,
        end_time=1 << 70,
        status=Status(StatusCode.ERROR, "\ud801"),
    )
    found = decoded([span]).resource_spans[0].scope_spans[0].spans[0]
    assert (found.name, found.start_time_unix_nano) == ("\\udfff", 0)
    assert found.end_time_unix_nano == (1 << 64) - 1
    assert found.status.message == "\\ud801"


def test_memory_is_bounded() -> None:
    """Keys that never repeat do not fill the memo, nor resources that never do."""
    for number in range(3 * wire.MEMO):
        encode([plain({f"key {number}": 1})])
    assert len(wire._HEADS) <= wire.MEMO
    for number in range(300):
        span = ReadableSpan("n", SpanContext(1, 2, False), resource=Resource({"n": number}), start_time=1)
        assert decoded([span]) == encode_spans([span])
