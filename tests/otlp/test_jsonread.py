"""Tolerance of the JSON reader, case by case, and what it refuses with which words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp
from otel_ext.errors import InvalidRequest
from tests.otlp.build import SPAN, TRACE, instant


def line_of(**fields: Any) -> str:
    """A line with one span of `fields`."""
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]})


def read(line: str | bytes, **options: bool) -> Span:
    """The only span of a line."""
    request = ExportTraceServiceRequest.FromString(otlp.read_traces(line, instant=instant, **options))
    return request.resource_spans[0].scope_spans[0].spans[0]


def value(json_value: object) -> AnyValue:
    """The AnyValue that a JSON value in a KeyValue is read as."""
    return read(line_of(attributes=[{"key": "k", "value": json_value}])).attributes[0].value


TRACE_64 = "AQIDBAUGBwgJCgsMDQ4PEA=="
FIELDS = [
    ("traceId", TRACE.hex(), "trace_id", TRACE),
    ("traceId", TRACE.hex().upper(), "trace_id", TRACE),
    ("traceId", "0x" + TRACE.hex(), "trace_id", TRACE),
    ("traceId", TRACE_64, "trace_id", TRACE),
    ("traceId", list(TRACE), "trace_id", TRACE),
    ("traceId", {"type": "Buffer", "data": list(TRACE)}, "trace_id", TRACE),
    ("traceId", None, "trace_id", b""),
    ("traceId", "", "trace_id", b""),
    ("traceId", "abcd", "trace_id", b"\xab\xcd"),
    ("traceId", "not hex", "trace_id", b"not hex"),
    ("traceId", "sixteen letters!", "trace_id", b"sixteen letters!\0"),
    ("spanId", "AQIDBAUGBwg=", "span_id", SPAN),
    ("span_id", SPAN.hex(), "span_id", SPAN),
    ("parentSpanId", SPAN.hex(), "parent_span_id", SPAN),
    ("kind", 3, "kind", 3),
    ("kind", "3", "kind", 3),
    ("kind", "SPAN_KIND_CLIENT", "kind", 3),
    ("kind", "client", "kind", 3),
    ("kind", 99, "kind", 99),
    ("kind", None, "kind", 0),
    ("startTimeUnixNano", "17", "start_time_unix_nano", 17),
    ("startTimeUnixNano", 17, "start_time_unix_nano", 17),
    ("start_time_unix_nano", 17, "start_time_unix_nano", 17),
    ("endTimeUnixNano", str(2**64 - 1), "end_time_unix_nano", 2**64 - 1),
    ("flags", "257", "flags", 257),
    ("droppedAttributesCount", 2.0, "dropped_attributes_count", 2),
    ("dropped_links_count", 2, "dropped_links_count", 2),
    ("name", 5, "name", "5"),
    ("name", "nul\0", "name", "nul\0"),
    ("traceState", "a=b", "trace_state", "a=b"),
    ("somethingNew", {"deep": [1]}, "name", ""),
]


@pytest.mark.parametrize(("key", "given_value", "field", "expected"), FIELDS)
def test_fields(key: str, given_value: object, field: str, expected: object) -> None:
    """A field in each known spelling is read as meant."""
    assert getattr(read(line_of(**{key: given_value})), field) == expected


ARRAY = AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()]))
PAIRS = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="a")]))
VALUES = [
    ({"stringValue": "s"}, AnyValue(string_value="s")),
    ({"string_value": "s"}, AnyValue(string_value="s")),
    ({"stringValue": 1.5}, AnyValue(string_value="1.5")),
    ({"intValue": "-9223372036854775808"}, AnyValue(int_value=-(2**63))),
    ({"intValue": 9223372036854775807}, AnyValue(int_value=2**63 - 1)),
    ({"intValue": 1e3}, AnyValue(int_value=1000)),
    ({"doubleValue": 1}, AnyValue(double_value=1)),
    ({"doubleValue": "-Infinity"}, AnyValue(double_value=float("-inf"))),
    ({"doubleValue": "0.25"}, AnyValue(double_value=0.25)),
    ({"boolValue": False}, AnyValue(bool_value=False)),
    ({"boolValue": "true"}, AnyValue(bool_value=True)),
    ({"bytesValue": "-_8"}, AnyValue(bytes_value=b"\xfb\xff")),
    ({"bytesValue": "+/8="}, AnyValue(bytes_value=b"\xfb\xff")),
    ({"arrayValue": {"values": [{"intValue": 1}, {}]}}, ARRAY),
    ({"arrayValue": {}}, AnyValue(array_value=ArrayValue())),
    ({"kvlistValue": {"values": [{"key": "a"}]}}, PAIRS),
    ({}, AnyValue()),
    ({"newValue": 1}, AnyValue()),
    ({"stringValue": None, "intValue": 1}, AnyValue(int_value=1)),
    ("plain", AnyValue(string_value="plain")),
    (True, AnyValue(bool_value=True)),
    (2**64, AnyValue(double_value=2.0**64)),
]


@pytest.mark.parametrize(("json_value", "expected"), VALUES)
def test_values(json_value: object, expected: AnyValue) -> None:
    """An attribute's value in each known spelling is read as meant."""
    assert value(json_value) == expected


def test_attributes_as_a_plain_map() -> None:
    """A map is read as a list of attributes, its values by their JSON types."""
    read_span = read(
        line_of(attributes={"a": "x", "b": 1, "c": [1.5], "d": {"e": None, "f": 2}, "g": {"intValue": "3"}})
    )
    raw = read_span.SerializeToString()
    assert dict(otlp.attributes(otlp.parse(raw))) == {
        "a": "x",
        "b": 1,
        "c": [1.5],
        "d": {"e": None, "f": 2},
        "g": 3,
    }


def test_a_byte_order_mark_and_snake_case() -> None:
    """A BOM is passed over, as text and as bytes, and envelope names may be snake_case."""
    line = '\ufeff{"resource_spans":[{"scope_spans":[{"spans":[{"name":"a"}],"schema_url":"u"}]}]}'
    assert read(line).name == "a"
    assert read(line.encode()).name == "a"


@pytest.mark.parametrize(
    "line", ["{}", '{"resourceSpans":null}', '{"resourceSpans":[]}', '{"resourceLogs":[{}]}']
)
def test_lines_without_spans(line: str) -> None:
    """An object without spans is an empty request."""
    assert otlp.read_traces(line, instant=instant) == b""


def test_null_is_absent() -> None:
    """Null for any field of a span equals its absence."""
    names = ["traceId", "spanId", "name", "kind", "startTimeUnixNano", "attributes", "events", "links"]
    names += ["status", "flags", "traceState", "droppedEventsCount"]
    assert read(line_of(**dict.fromkeys(names))) == Span()


def test_base64_ids_can_be_refused() -> None:
    """A strict door reads base64 as no id, so that admission rejects the span."""
    assert read(line_of(traceId=TRACE_64), base64_ids=False).trace_id == TRACE_64.encode()


def test_events_links_and_status() -> None:
    """Nested messages are read with the same tolerance."""
    fields = {
        "events": [{"time_unix_nano": "5", "name": "e", "attributes": {"a": 1}, "droppedAttributesCount": 1}],
        "links": [{"traceId": TRACE.hex(), "span_id": SPAN.hex(), "flags": 1, "traceState": "s"}],
        "status": {"code": "STATUS_CODE_ERROR", "message": "m"},
    }
    got = read(line_of(**fields))
    assert (got.events[0].time_unix_nano, got.events[0].dropped_attributes_count) == (5, 1)
    assert (got.links[0].trace_id, got.links[0].span_id, got.links[0].flags) == (TRACE, SPAN, 1)
    assert (got.status.code, got.status.message) == (2, "m")


def test_unreadable_times_are_kept_as_text() -> None:
    """A time that nobody can read becomes 0, its text an attribute of its owner."""
    got = read(
        line_of(
            startTimeUnixNano="yesterday",
            endTimeUnixNano=-5,
            events=[{"timeUnixNano": {"a": 1}}],
            attributes={"k": 1},
        )
    )
    assert (got.start_time_unix_nano, got.end_time_unix_nano, got.events[0].time_unix_nano) == (0, 0, 0)
    assert dict(otlp.attributes(otlp.parse(got.SerializeToString()))) == {
        "k": 1,
        otlp.UNREADABLE + "start": "yesterday",
        otlp.UNREADABLE + "end": "-5",
    }
    assert got.events[0].attributes[0].key == otlp.UNREADABLE + "time"
    assert got.events[0].attributes[0].value.string_value == '{"a": 1}'


REFUSED = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"{} {}", "not JSON"),
    (b"[]", "expected a JSON object, found an array"),
    (b'"x"', "found a string"),
    (b'{"a":"\xff"}', "not UTF-8: invalid start byte at byte 6"),
    (b'{"a":NaN}', "NaN is not a JSON number"),
    (b'{"a":1,"a":2}', "same key twice"),
    (b'{"a":%s}' % (b"9" * 5000), "not JSON"),
    (b'{"a":' + b"[" * 100_000, "nested too deeply"),
    (b'{"a":' * 100_000, "nested too deeply"),
    (b'{"resourceSpans":{}}', "resourceSpans: expected an array, found an object"),
    (b'{"resourceSpans":[1]}', "resourceSpans[0]: expected an object, found a number"),
    (line_of(name={}), "resourceSpans[0].scopeSpans[0].spans[0].name: expected a string, found an object"),
    (line_of(kind="SPAN_KIND_NONE"), "spans[0].kind: unknown name"),
    (line_of(flags=2**32), "spans[0].flags: 4294967296 is out of range"),
    (line_of(flags=True), "spans[0].flags: expected an integer, found a boolean"),
    (line_of(traceId=7), "spans[0].traceId: expected an id in hex"),
    (line_of(traceId=[256]), "spans[0].traceId: expected an id as an array of bytes"),
    (line_of(status={"code": []}), "spans[0].status.code: expected an integer, found an array"),
    (line_of(attributes=3), "spans[0].attributes: expected an array, found a number"),
    (line_of(attributes=[3]), "spans[0].attributes[0]: expected an object, found a number"),
    (line_of(attributes=[{"key": "k", "value": {"intValue": 2**63}}]), "attributes[0].value.intValue"),
    (line_of(attributes=[{"key": "k", "value": {"intValue": 10**30}}]), "out of range"),
    (line_of(attributes=[{"key": "k", "value": {"bytesValue": "?"}}]), "expected base64"),
    (line_of(attributes=[{"key": "k", "value": {"doubleValue": "x"}}]), "expected a number, found a string"),
    (line_of(attributes=[{"key": "k", "value": {"stringValue": "\ud800"}}]), "surrogate"),
    (line_of(name="\udc00"), "surrogate"),
    (line_of(traceId="\udc00"), None),
]


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_read_is_named(line: str | bytes, words: str | None) -> None:
    """A refusal is an InvalidRequest that says what and where; ids alone are left to admission."""
    if words is None:
        otlp.read_traces(line, instant=instant)
        return
    with pytest.raises(InvalidRequest) as caught:
        otlp.read_traces(line, instant=instant)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "wrap", ['{"arrayValue":{"values":[%s]}}', '{"kvlistValue":{"values":[{"key":"k","value":%s}]}}', "[%s]"]
)
def test_depth_bombs(wrap: str) -> None:
    """A thousand levels of values are refused in words, 60 are read and left to admission."""
    for levels, refused in ((60, False), (150, True), (1000, True)):
        value_text = "{}"
        for _ in range(levels):
            value_text = wrap % value_text
        line = line_of(attributes=[{"key": "k", "value": "HERE"}]).replace('"HERE"', value_text)
        if refused:
            with pytest.raises(InvalidRequest, match="nested"):
                otlp.read_traces(line, instant=instant)
        else:
            assert otlp.admit(otlp.read_traces(line, instant=instant)).received == 1


_keys = st.sampled_from(
    ["resourceSpans", "scopeSpans", "spans", "resource", "scope", "traceId", "name", "kind", "flags"]
    + ["attributes", "key", "value", "events", "links", "status", "code", "startTimeUnixNano"]
    + ["intValue", "doubleValue", "bytesValue", "arrayValue", "kvlistValue", "values"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_keys, _json, max_size=6))
def test_no_shape_raises_anything_else(fields: dict[str, Any]) -> None:
    """Any JSON under known keys is read or refused with InvalidRequest."""
    for line in (json.dumps(fields), line_of(**fields)):
        try:
            otlp.admit(otlp.read_traces(line, instant=instant))
        except InvalidRequest as error:
            assert str(error)  # noqa: PT017
