"""The table of answers, row by row."""

import json

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_ext import otlp
from otel_ext.errors import (
    Busy,
    ConfigError,
    DamageError,
    InvalidRequest,
    NoSuchPath,
    Retryable,
    ShuttingDown,
    Throttled,
    TooLarge,
    Unsupported,
    WrongMethod,
)
from otel_ext.telemetry import Telemetry

TRACES = Telemetry.TRACES
ROWS: list[tuple[Exception, int, str, int, str, float | None]] = [
    (InvalidRequest("bad"), 3, "INVALID_ARGUMENT", 400, "bad", None),
    (TooLarge("big"), 8, "RESOURCE_EXHAUSTED", 413, "big", None),
    (NoSuchPath("where"), 12, "UNIMPLEMENTED", 404, "where", None),
    (WrongMethod("GET"), 12, "UNIMPLEMENTED", 405, "GET", None),
    (Unsupported("br"), 12, "UNIMPLEMENTED", 415, "br", None),
    (Throttled("your share", 3.0), 8, "RESOURCE_EXHAUSTED", 429, "your share", 3.0),
    (Busy("full", 2.5), 14, "UNAVAILABLE", 503, "full", 2.5),
    (ShuttingDown("bye"), 14, "UNAVAILABLE", 503, "bye", 1.0),
    (Retryable("later", 0.1), 14, "UNAVAILABLE", 503, "later", 0.1),
    (DamageError("broken"), 13, "INTERNAL", 500, "broken", None),
    (ConfigError("odd"), 13, "INTERNAL", 500, "odd", None),
    (RuntimeError("secret path"), 13, "INTERNAL", 500, "internal error", None),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_rows(row: tuple[Exception, int, str, int, str, float | None]) -> None:
    """Code, status, words and retry advice of each error, alike on both protocols."""
    error, code, name, http, text, retry = row
    answer = otlp.grpc_status(error)
    assert (answer.code, answer.name, answer.message) == (code, name, text)
    trailers = dict(answer.trailers)
    status = Status.FromString(trailers.pop("grpc-status-details-bin"))
    assert (status.code, status.message) == (code, text)
    retries = [seconds(detail) for detail in status.details if detail.Is(RetryInfo.DESCRIPTOR)]
    assert retries == ([] if retry is None else [retry])
    assert [
        RetryInfo.FromString(data).retry_delay.ToNanoseconds() / 1e9 for data in trailers.values()
    ] == retries
    assert list(trailers) == ([] if retry is None else ["google.rpc.retryinfo-bin"])
    web = otlp.http_status(error)
    assert web.status == http
    assert Status.FromString(web.protobuf) == status
    assert json.loads(web.json)["message"] == text
    assert web.retry_after == (None if retry is None else max(1, -(-retry // 1)))


def seconds(detail: AnyMessage) -> float:
    """The delay of a packed RetryInfo."""
    info = RetryInfo()
    detail.Unpack(info)
    return float(info.retry_delay.ToNanoseconds() / 1e9)


def test_a_bad_request_has_its_detail() -> None:
    """InvalidRequest carries a BadRequest that repeats the reason."""
    status = Status.FromString(otlp.http_status(InvalidRequest("why")).protobuf)
    detail = BadRequest()
    assert status.details[0].Unpack(detail)
    assert detail.field_violations[0].description == "why"


def test_long_and_odd_texts_fit() -> None:
    """A text is shortened, and half a surrogate pair does not break the answer."""
    assert len(otlp.grpc_status(InvalidRequest("x" * 10_000)).message) == 1024
    assert otlp.grpc_status(InvalidRequest("\ud800")).message == "?"


def test_success() -> None:
    """Full success is empty; rejections and warnings fill partial_success, the count a JSON string."""
    assert otlp.success(TRACES, 0, "") == b""
    assert otlp.success_json(TRACES, 0, "") == b"{}"
    partial = ExportTraceServiceResponse.FromString(otlp.success(TRACES, 3, "why")).partial_success
    assert (partial.rejected_spans, partial.error_message) == (3, "why")
    assert json.loads(otlp.success_json(TRACES, 3, "why")) == {
        "partialSuccess": {"rejectedSpans": "3", "errorMessage": "why"}
    }
    warning = ExportTraceServiceResponse.FromString(otlp.success(TRACES, 0, "careful"))
    assert (warning.partial_success.rejected_spans, warning.partial_success.error_message) == (0, "careful")
    long = ExportTraceServiceResponse.FromString(otlp.success(TRACES, 1, "x" * 10_000))
    assert len(long.partial_success.error_message) == 1024


@pytest.mark.parametrize(
    ("telemetry", "key"),
    [
        (Telemetry.TRACES, "rejectedSpans"),
        (Telemetry.LOGS, "rejectedLogRecords"),
        (Telemetry.METRICS, "rejectedDataPoints"),
    ],
)
def test_each_telemetry_counts_in_its_own_words(telemetry: Telemetry, key: str) -> None:
    """The count has the name that the telemetry's response gives it, in both encodings."""
    assert json.loads(otlp.success_json(telemetry, 2, "why"))["partialSuccess"][key] == "2"
    assert otlp.success(telemetry, 2, "why") == b"\x0a\x07\x08\x02\x12\x03why"
    assert otlp.success(telemetry, 0, "") == b""
