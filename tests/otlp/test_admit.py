"""Admission: every reason, alone and among good spans; no batch is ever lost for one span."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_ext import otlp
from otel_ext.errors import InvalidRequest
from otel_ext.telemetry import Telemetry
from tests.otlp.build import deep_span, request_of, requests, sized, span

pytestmark = pytest.mark.usefixtures("vouching")
GOOD = span().SerializeToString()
BAD = {
    "no trace id": (span(trace_id=b"").SerializeToString(), "trace_id"),
    "trace id of 8 bytes": (span(trace_id=b"12345678").SerializeToString(), "trace_id"),
    "trace id of zeros": (span(trace_id=bytes(16)).SerializeToString(), "trace_id"),
    "no span id": (span(span_id=b"").SerializeToString(), "span_id"),
    "span id of 16 bytes": (span(span_id=b"1" * 16).SerializeToString(), "span_id"),
    "span id of zeros": (span(span_id=bytes(8)).SerializeToString(), "span_id"),
    "name not UTF-8": (GOOD + b"\x2a\x01\xff", "utf8"),
    "attribute not UTF-8": (GOOD + sized(0x4A, b"\x0a\x01k\x12\x03\x0a\x01\xff"), "utf8"),
    "event name not UTF-8": (GOOD + sized(0x5A, b"\x12\x01\xff"), "utf8"),
    "status not UTF-8": (GOOD + sized(0x7A, b"\x12\x01\xff"), "utf8"),
    "cut short": (GOOD + b"\x0a\x10abc", "undecodable"),
    "broken attribute": (GOOD + sized(0x4A, b"\x0a\xff"), "undecodable"),
    "broken link": (GOOD + sized(0x6A, b"\xff"), "undecodable"),
    "60 arrays": (deep_span(60), "depth"),
    "1,000 arrays": (deep_span(1000), "depth"),
    "1,000 key-value lists": (deep_span(1000, 0x32), "depth"),
    "40 key-value lists": (deep_span(40, 0x32), "depth"),
}


def test_a_good_request_is_passed_on_untouched() -> None:
    """Nothing rejected: the very same bytes object."""
    body = request_of(GOOD, GOOD, deep_span(40))
    admitted = otlp.admit(body)
    assert admitted == otlp.Admitted(body, 3, {}, "")
    assert admitted.body is body


@pytest.mark.parametrize("case", BAD)
def test_a_bad_span_is_rejected_alone(case: str) -> None:
    """The bad span is counted by its reason; its neighbours stay, byte for byte."""
    bad, reason = BAD[case]
    other = span(name="other").SerializeToString()
    admitted = otlp.admit(request_of(GOOD, bad, other))
    assert (admitted.received, admitted.rejected) == (3, {reason: 1})
    assert [list(spans) for *_, spans in otlp.split(admitted.body)] == [[GOOD, other]]
    assert admitted.message.startswith("1 of 3 spans were rejected: 1 ")
    ExportTraceServiceRequest.FromString(admitted.body)


def test_all_reasons_at_once() -> None:
    """A batch of every kind of bad span keeps its good ones, and the message names each reason."""
    admitted = otlp.admit(request_of(GOOD, *(bad for bad, _ in BAD.values()), GOOD))
    assert admitted.received == len(BAD) + 2
    assert admitted.rejected == {"trace_id": 3, "span_id": 3, "utf8": 4, "undecodable": 3, "depth": 4}
    assert otlp.count(admitted.body) == 2
    assert len(admitted.message.encode()) <= 1024


def test_all_spans_invalid_is_still_a_partial_success() -> None:
    """A decodable envelope without one good span is admitted with everything rejected."""
    admitted = otlp.admit(request_of(span(span_id=b"").SerializeToString()))
    assert (admitted.received, admitted.rejected) == (1, {"span_id": 1})
    assert otlp.count(admitted.body) == 0


@pytest.mark.parametrize("part", ["resource", "scope", "resource url", "scope url"])
def test_text_that_is_not_utf8_in_an_envelope_rejects_what_is_beneath(part: str) -> None:
    """A bad resource, scope or schema URL costs its own spans and no others."""
    broken = sized(0x0A, b"\x0a\x03\x0a\x01\xff") if part == "resource" else b""
    scope = sized(0x0A, b"\x0a\x01\xff") if part == "scope" else b""
    scope_url = sized(0x1A, b"\xff") if part == "scope url" else b""
    url = sized(0x1A, b"\xff") if part == "resource url" else b""
    group = sized(0x0A, broken + sized(0x12, scope + sized(0x12, GOOD) + scope_url) + url)
    admitted = otlp.admit(group + request_of(GOOD))
    assert (admitted.received, admitted.rejected) == (2, {"utf8": 1})
    assert [list(spans) for *_, spans in otlp.split(admitted.body)] == [[GOOD]]
    ExportTraceServiceRequest.FromString(admitted.body)


@pytest.mark.parametrize("body", [b"", b"\x0a\x00", sized(0x0A, sized(0x12, b""))])
def test_requests_without_spans(body: bytes) -> None:
    """Empty requests and envelopes are received as nothing."""
    assert otlp.admit(body) == otlp.Admitted(body, 0, {}, "")


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05abc", b"not protobuf at all", sized(0x0A, b"\x12\x05a")])
def test_an_envelope_that_cannot_be_read_is_refused(body: bytes) -> None:
    """There is nothing to be partial about."""
    with pytest.raises(InvalidRequest, match=f"{len(body)} bytes"):
        otlp.admit(body)


def test_unknown_fields_pass_in_every_envelope() -> None:
    """Unknown fields are neither refused nor lost when a neighbour is rejected."""
    extra = b"\xc2\x3e\x01u"
    inner = sized(0x12, GOOD + extra) + sized(0x12, BAD["no span id"][0]) + extra
    body = sized(0x0A, sized(0x12, inner) + extra) + extra
    admitted = otlp.admit(body)
    assert admitted.rejected == {"span_id": 1}
    assert admitted.body.count(extra) == 4


@given(requests(), st.data())
def test_damage_never_raises_anything_else(request: ExportTraceServiceRequest, data: Any) -> None:
    """Flipped and cut bytes give a verdict or InvalidRequest, and what is admitted is sound."""
    body = bytearray(request.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body
    sound(bytes(body))


@given(st.binary(max_size=60))
def test_noise_never_raises_anything_else(body: bytes) -> None:
    """Random bytes give a verdict or InvalidRequest."""
    sound(body)


def sound(body: bytes) -> None:
    """Admit `body`; if that works, the counts balance and a second admission finds nothing."""
    try:
        admitted = otlp.admit(body)
    except InvalidRequest:
        return
    assert otlp.count(admitted.body) == admitted.received - sum(admitted.rejected.values())
    assert otlp.admit(admitted.body).rejected == {}
    assert bool(admitted.message) == bool(admitted.rejected)
    for *_, spans in otlp.split(admitted.body):
        for raw in spans:
            read = otlp.parse(raw)
            otlp.content_digest(raw)
            otlp.span_json(raw)
            otlp.attributes(read)


def logs_request(*logs: LogRecord) -> bytes:
    """An encoded request of log records under one scope."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.extend(logs)
    return request.SerializeToString()


def metrics_request(*metrics: Metric) -> bytes:
    """An encoded request of metrics under one scope."""
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend(metrics)
    return request.SerializeToString()


def points(name: str, count: int) -> Metric:
    """A sum of so many data points."""
    metric = Metric(name=name)
    for number in range(count):
        metric.sum.data_points.add(as_int=number)
    return metric


def test_a_good_request_of_logs_or_metrics_is_passed_on_untouched() -> None:
    """Log records and data points are counted; a log record's ids may be missing or zero."""
    body = logs_request(
        LogRecord(trace_id=b"t" * 16, span_id=b"s" * 8),
        LogRecord(trace_id=bytes(16), span_id=bytes(8)),
        LogRecord(severity_text="INFO"),
    )
    assert otlp.admit(body, Telemetry.LOGS) == otlp.Admitted(body, 3, {}, "")
    summary = Metric(name="s")
    summary.summary.data_points.add()
    body = metrics_request(points("a", 3), Metric(name="without data"), summary)
    admitted = otlp.admit(body, Telemetry.METRICS)
    assert admitted == otlp.Admitted(body, 4, {}, "")
    assert admitted.body is body


BAD_LOGS = {
    "trace id of 8 bytes": (LogRecord(trace_id=b"12345678").SerializeToString(), "trace_id"),
    "span id of 16 bytes": (LogRecord(span_id=b"1" * 16).SerializeToString(), "span_id"),
    "severity not UTF-8": (sized(0x1A, b"\xff"), "utf8"),
    "body not UTF-8": (sized(0x2A, sized(0x0A, b"\xff")), "utf8"),
    "cut short": (b"\x1a\x10abc", "undecodable"),
    "broken attribute": (sized(0x32, b"\x0a\xff"), "undecodable"),
}


@pytest.mark.parametrize("case", BAD_LOGS)
def test_a_bad_log_record_is_rejected_alone(case: str) -> None:
    """The bad record is counted by its reason; its neighbours stay."""
    bad, reason = BAD_LOGS[case]
    good = LogRecord(severity_text="INFO").SerializeToString()
    admitted = otlp.admit(request_of(good, bad, good), Telemetry.LOGS)
    assert (admitted.received, admitted.rejected) == (3, {reason: 1})
    assert admitted.message.startswith("1 of 3 log records were rejected: 1 ")
    assert admitted.body == request_of(good, good)


def deep_log(levels: int, list_tag: int = 0x2A) -> bytes:
    """A log record whose body is nested so deep."""
    value = sized(0x0A, b"end")
    for _ in range(levels):
        inner = sized(0x0A, value) if list_tag == 0x2A else sized(0x0A, sized(0x12, value))
        value = sized(list_tag, inner)
    return sized(0x2A, value)


@pytest.mark.parametrize(("levels", "tag"), [(60, 0x2A), (1000, 0x2A), (1000, 0x32), (40, 0x32)])
def test_a_log_record_that_is_nested_too_deep(levels: int, tag: int) -> None:
    """Its reason is its depth; where protobuf reads it, it is good."""
    admitted = otlp.admit(request_of(deep_log(levels, tag), deep_log(20, tag)), Telemetry.LOGS)
    assert (admitted.received, admitted.rejected) == (2, {"depth": 1})


def test_a_bad_metric_is_rejected_with_its_data_points() -> None:
    """Data points are what is told; a metric that cannot be read at all counts as one."""
    raw = points("x", 4).SerializeToString() + sized(0x0A, b"\xff")
    cut = b"\x0a\x10abc"
    good = points("good", 2).SerializeToString()
    admitted = otlp.admit(request_of(raw, good, cut), Telemetry.METRICS)
    assert (admitted.received, admitted.rejected) == (7, {"utf8": 4, "undecodable": 1})
    assert admitted.message.startswith("5 of 7 data points were rejected: ")
    assert admitted.body == request_of(good)


@pytest.mark.parametrize("telemetry", list(Telemetry))
def test_a_bad_resource_costs_what_is_beneath_it(telemetry: Telemetry) -> None:
    """Also of logs and metrics."""
    good = {
        Telemetry.TRACES: GOOD,
        Telemetry.LOGS: LogRecord().SerializeToString(),
        Telemetry.METRICS: points("m", 1).SerializeToString(),
    }[telemetry]
    broken = sized(0x0A, b"\x0a\x03\x0a\x01\xff")
    group = sized(0x0A, broken + sized(0x12, sized(0x12, good)))
    admitted = otlp.admit(group + request_of(good), telemetry)
    assert (admitted.received, admitted.rejected) == (2, {"utf8": 1})


@given(st.binary(max_size=60), st.sampled_from([Telemetry.LOGS, Telemetry.METRICS]))
def test_noise_is_no_log_and_no_metric(body: bytes, telemetry: Telemetry) -> None:
    """Random bytes, alone and as an item: a verdict or InvalidRequest, and what is admitted is sound."""
    for request in (body, request_of(body)):
        try:
            admitted = otlp.admit(request, telemetry)
        except InvalidRequest:
            continue
        again = otlp.admit(admitted.body, telemetry)
        assert (again.rejected, again.body) == ({}, admitted.body)
        assert again.received == admitted.received - sum(admitted.rejected.values())
