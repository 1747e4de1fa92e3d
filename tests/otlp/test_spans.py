"""Reading spans: exact values, lazily, in the wire's order."""

import math

import pytest
from hypothesis import given
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp
from otel_ext.errors import InvalidRequest
from tests.otlp.build import (
    SPAN,
    START,
    TRACE,
    as_line,
    attributes,
    deep_span,
    instant,
    request_of,
    sized,
    span,
    status,
)

VALUES = {
    "text": (AnyValue(string_value="é\0"), "é\0"),
    "most": (AnyValue(int_value=2**63 - 1), 2**63 - 1),
    "least": (AnyValue(int_value=-(2**63)), -(2**63)),
    "true": (AnyValue(bool_value=True), True),
    "double": (AnyValue(double_value=0.1), 0.1),
    "bytes": (AnyValue(bytes_value=b"\xff"), b"\xff"),
    "empty": (AnyValue(), None),
    "array": (AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()])), [1, None]),
    "map": (
        AnyValue(
            kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(array_value=ArrayValue()))])
        ),
        {"k": []},
    ),
}


def test_every_kind_of_value() -> None:
    """Each AnyValue becomes its Python value, exactly, by `get`, by item and by iteration."""
    raw = span(attributes=[KeyValue(key=k, value=v) for k, (v, _) in VALUES.items()]).SerializeToString()
    read = otlp.attributes(otlp.parse(raw))
    expected = {key: value for key, (_, value) in VALUES.items()}
    assert dict(read) == expected
    assert {key: read.get(key, "absent") for key in expected} == expected
    assert list(read) == list(expected)
    assert len(read) == len(expected)


def test_asking_for_what_is_absent() -> None:
    """An absent key is absent, also after it was asked for."""
    read = otlp.attributes(otlp.parse(span().SerializeToString()))
    assert read.get("a") is None
    assert read.get("a", 1) == 1
    assert "a" not in read
    with pytest.raises(KeyError):
        read["a"]
    assert len(read) == 0
    assert list(read) == []


@given(attributes)
def test_the_last_of_equal_keys_counts(pairs: list[KeyValue]) -> None:
    """The map's answer is that of reading the list in order."""
    read = otlp.attributes(otlp.parse(span(attributes=pairs).SerializeToString()))
    last = {pair.key: pair.value.WhichOneof("value") for pair in pairs}
    assert list(read) == list(last)
    assert {key for key in read if read[key] is None} == {key for key, kind in last.items() if kind is None}


def test_nan_is_nan() -> None:
    """A NaN stays one."""
    raw = span(attributes=[KeyValue(key="n", value=AnyValue(double_value=math.nan))]).SerializeToString()
    value = otlp.attributes(otlp.parse(raw))["n"]
    assert isinstance(value, float)
    assert math.isnan(value)


def test_to_span() -> None:
    """All fields arrive under the names of floor 0."""
    message = span(
        parent_span_id=SPAN,
        kind=3,
        status=status(2, "bad"),
        attributes=[KeyValue(key="a", value=AnyValue(int_value=1))],
        events=[Span.Event(time_unix_nano=5, name="e", attributes=[KeyValue(key="b", value=AnyValue())])],
    )
    raw = message.SerializeToString()
    parsed = otlp.parse(raw)
    read = otlp.to_span(
        parsed, otlp.attributes(parsed), {"service.name": "s"}, "scope", start=START, end=START + 5
    )
    assert (read.trace_id, read.span_id, read.parent_id) == (TRACE, SPAN, SPAN)
    assert (read.name, read.kind, read.start, read.end) == ("chat", 3, START, START + 5)
    assert (read.status_code, read.status_message) == (2, "bad")
    assert (read.resource, read.scope, dict(read.attributes)) == ({"service.name": "s"}, "scope", {"a": 1})
    assert [(e.name, e.time, dict(e.attributes)) for e in read.events] == [("e", 5, {"b": None})]


def test_split_keeps_groups_and_bytes() -> None:
    """Each scope comes with its resource, both schema URLs and its spans' own bytes."""
    raw = span().SerializeToString() + b"\xc2\x3e\x01u"
    scope = sized(0x0A, b"\x0a\x01s") + sized(0x12, raw) + sized(0x1A, b"scope-url")
    body = sized(0x0A, sized(0x0A, b"\x10\x07") + sized(0x12, scope) + sized(0x1A, b"url"))
    groups = [(*rest, list(spans)) for *rest, spans in otlp.split(body)]
    assert groups == [(b"\x10\x07", "url", b"\x0a\x01s", "scope-url", [raw])]
    assert otlp.count(body + body) == 2


def test_a_resource_in_two_parts_is_merged() -> None:
    """A singular field that occurs twice is merged, as protobuf demands."""
    one, two = (sized(0x0A, KeyValue(key=k).SerializeToString()) for k in "ab")
    body = sized(0x0A, sized(0x0A, one) + sized(0x0A, two) + sized(0x12, b""))
    [(resource, *_)] = otlp.split(body)
    assert otlp.resource_attributes(resource) == {"a": None, "b": None}


def test_resource_and_scope() -> None:
    """Absent ones are empty."""
    assert otlp.resource_attributes(b"") == {}
    assert otlp.scope_name(b"") == ""
    assert otlp.scope_name(b"\x0a\x01s") == "s"


def test_bytes_that_are_none_of_these() -> None:
    """Every reader answers broken bytes with InvalidRequest."""
    broken = b"\x0a\xff"
    raw = span().SerializeToString()
    for attempt in (
        lambda: otlp.parse(broken),
        lambda: otlp.attributes(otlp.parse(raw + sized(0x4A, broken))),
        lambda: otlp.resource_attributes(broken),
        lambda: otlp.resource_attributes(sized(0x0A, broken)),
        lambda: otlp.scope_name(broken),
        lambda: otlp.events(otlp.parse(raw + sized(0x5A, broken))),
        lambda: list(otlp.split(broken)),
        lambda: otlp.count(broken),
        lambda: otlp.line([(broken, "", [])]),
        lambda: otlp.line([(b"", "", [(broken, "", [])])]),
    ):
        with pytest.raises(InvalidRequest):
            attempt()


def test_deep_values_can_be_read() -> None:
    """The deepest value that admission lets pass is read and written without a recursion error."""
    deepest = max(n for n in range(30, 60) if not otlp.admit(request_of(deep_span(n))).rejected)
    body = request_of(deep_span(deepest))
    [(*_, [raw])] = otlp.split(body)
    value, levels = otlp.attributes(otlp.parse(raw))["k"], 0
    while isinstance(value, list):
        value, levels = value[0], levels + 1
    assert levels == deepest
    assert otlp.read_traces(as_line(body), instant=instant) == body
