"""Protobuf to JSON lines and back, against protobuf's own JSON reader."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext import otlp
from otel_ext.errors import InvalidRequest
from tests.otlp.build import (
    as_line,
    attributes,
    instant,
    key_values,
    oracle,
    regrouped,
    request_of,
    requests,
    sized,
    span,
    spans,
)


def same(left: ExportTraceServiceRequest, right: ExportTraceServiceRequest) -> None:
    """Compare by encoding, because a NaN is not equal to itself."""
    assert left.SerializeToString(deterministic=True) == right.SerializeToString(deterministic=True)


@given(requests())
def test_protobufs_own_reader_sees_the_request(request: ExportTraceServiceRequest) -> None:
    """A line of ours, read by `json_format`, is the request."""
    same(oracle(as_line(request.SerializeToString())), regrouped(request))


@given(requests())
def test_our_reader_gives_the_request_back(request: ExportTraceServiceRequest) -> None:
    """A line of ours, read by `read_traces`, is the request."""
    back = otlp.read_traces(as_line(request.SerializeToString()), instant=instant)
    same(ExportTraceServiceRequest.FromString(back), regrouped(request))


@given(requests())
def test_lines_are_single(request: ExportTraceServiceRequest) -> None:
    """The only newline is the last byte, and the text is UTF-8 JSON."""
    line = as_line(request.SerializeToString())
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    json.loads(line.decode())


def unknown(number: int, data: bytes) -> bytes:
    """An unknown length-delimited field."""
    tag = number << 3 | 2
    return bytes((tag & 0x7F | 0x80, tag >> 7)) + bytes((len(data),)) + data


@given(
    spans,
    st.binary(max_size=9),
    st.sets(st.sampled_from(["span", "status", "event", "link", "pair", "deep"])),
)
def test_unknown_fields_survive_json(message: Span, data: bytes, places: set[str]) -> None:
    """Fields that no schema names come back bit for bit, wherever they were."""
    extra = unknown(1000, data)
    raw = message.SerializeToString()
    if "status" in places:
        raw += sized(0x7A, b"\x18\x02" + extra)
    if "event" in places:
        raw += sized(0x5A, b"\x12\x01e" + extra)
    if "link" in places:
        raw += sized(0x6A, b"\x0a\x01x" + extra)
    if "pair" in places:
        raw += sized(0x4A, b"\x0a\x01k" + b"\x12\x02\x18\x05" + extra)
    if "deep" in places:
        raw += sized(0x4A, b"\x0a\x01d" + sized(0x12, sized(0x2A, sized(0x0A, b"\x40\x07"))))
    if "span" in places:
        raw += extra
    back = otlp.read_traces(as_line(request_of(raw)), instant=instant)
    same(ExportTraceServiceRequest.FromString(back), ExportTraceServiceRequest.FromString(request_of(raw)))


def test_unknown_fields_of_resource_and_scope_survive_json() -> None:
    """A resource's entity references and a scope's unknown fields come back."""
    resource = b"\x1a\x04\x12\x02id" + unknown(900, b"r")
    scope = b"\x0a\x01s" + unknown(901, b"s")
    body = sized(0x0A, sized(0x0A, resource) + sized(0x12, sized(0x0A, scope)))
    back = otlp.read_traces(as_line(body), instant=instant)
    same(ExportTraceServiceRequest.FromString(back), ExportTraceServiceRequest.FromString(body))


marked = st.builds(
    KeyValue,
    key=st.sampled_from([otlp.UNKNOWN_FIELDS, otlp.RAW_ATTRIBUTE]),
    value=st.builds(AnyValue, bytes_value=st.binary(max_size=4) | st.just(b"\x0a\x01a"))
    | st.just(AnyValue()),
)


@given(st.lists(key_values | marked, max_size=5))
def test_attributes_named_as_our_marks_are_not_mistaken(pairs: list[KeyValue]) -> None:
    """A producer's attribute that has the name of a mark comes back as itself."""
    raw = span(attributes=pairs).SerializeToString()
    back = otlp.read_traces(as_line(request_of(raw)), instant=instant)
    same(ExportTraceServiceRequest.FromString(back), ExportTraceServiceRequest.FromString(request_of(raw)))


def test_a_mark_from_elsewhere_cannot_replace_an_id() -> None:
    """Unknown fields are restored only if they are unknown: a forged trace id stays an attribute."""
    forged = KeyValue(key=otlp.UNKNOWN_FIELDS, value=AnyValue(bytes_value=b"\x0a\x10" + b"z" * 16))
    line = (
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01","attributes":[{"key":"%b","value":'
        b'{"bytesValue":"ChB6enp6enp6enp6enp6enp6"}}]}]}]}]}' % otlp.UNKNOWN_FIELDS.encode()
    )
    request = ExportTraceServiceRequest.FromString(otlp.read_traces(line, instant=instant))
    read = request.resource_spans[0].scope_spans[0].spans[0]
    assert read.trace_id == b"\x01"
    assert list(read.attributes) == [forged]


@given(attributes)
@example([KeyValue(key="k" * 200, value=AnyValue(string_value="v" * 200))])
@example([KeyValue(key="nul", value=AnyValue(string_value='\0"\\\n\x7f\u2028é😀'))])
def test_the_memo_does_not_change_a_text(pairs: list[KeyValue]) -> None:
    """The JSON of a span is the same the first and the second time."""
    raw = span(attributes=pairs).SerializeToString()
    assert otlp.span_json(raw) == otlp.span_json(raw)


def test_extra_attributes_and_times() -> None:
    """Marks are appended and repaired times replace the span's own."""
    raw = span(attributes=[KeyValue(key="a", value=AnyValue(bool_value=True))]).SerializeToString()
    extra: list[tuple[str, otlp.Value]] = [
        ("s", "text"),
        ("i", -(2**63)),
        ("f", float("-inf")),
        ("b", b"\xff"),
        ("n", None),
        ("t", True),
        ("l", ["x", 1]),
        ("m", {"k": 0.5}),
    ]
    read = json.loads(otlp.span_json(raw, extra, start=7, end=9))
    assert (read["startTimeUnixNano"], read["endTimeUnixNano"]) == ("7", "9")
    assert [(pair["key"], pair["value"]) for pair in read["attributes"]] == [
        ("a", {"boolValue": True}),
        ("s", {"stringValue": "text"}),
        ("i", {"intValue": "-9223372036854775808"}),
        ("f", {"doubleValue": "-Infinity"}),
        ("b", {"bytesValue": "/w=="}),
        ("n", {}),
        ("t", {"boolValue": True}),
        ("l", {"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": "1"}]}}),
        ("m", {"kvlistValue": {"values": [{"key": "k", "value": {"doubleValue": 0.5}}]}}),
    ]


def test_header_line() -> None:
    """A file's first line starts with our key, holds no span, and both readers pass over it."""
    line = otlp.header_line('file-"1"', "a/\N{SNOWMAN}\n")
    assert line.startswith(b'{"otel_ext":{"file":"file-\\"1\\"","session":')
    assert otlp.read_header(line) == ('file-"1"', "a/\N{SNOWMAN}\n")
    assert otlp.read_header(otlp.line([])) is None
    assert line.endswith(b"\n")
    assert otlp.read_traces(line, instant=instant) == b""
    assert oracle(line) == ExportTraceServiceRequest()


@pytest.mark.parametrize("field", [9, 11, 13])
def test_broken_parts_are_refused(field: int) -> None:
    """An attribute, event or link that is not one raises InvalidRequest, not protobuf's error."""
    raw = span().SerializeToString() + sized(field << 3 | 2, b"\x0a\xff")
    with pytest.raises(InvalidRequest):
        otlp.span_json(raw)
