"""Logs and metrics through JSON and back, and a door's JSON bodies."""

import json
import random
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otel_ext import otlp
from otel_ext.errors import InvalidRequest
from otel_ext.telemetry import Telemetry

CLASSES: dict[Telemetry, Any] = {
    Telemetry.TRACES: ExportTraceServiceRequest,
    Telemetry.LOGS: ExportLogsServiceRequest,
    Telemetry.METRICS: ExportMetricsServiceRequest,
}
WHOLE = [Telemetry.LOGS, Telemetry.METRICS]
UNKNOWN = bytes.fromhex("c23e03616263")
"""Field 1000, a string: no schema of ours names it."""


def fill(message: Message, chance: random.Random, depth: int = 0) -> None:
    """Random content in each field, and an unknown field now and then."""
    for field in message.DESCRIPTOR.fields:
        if "strindex" in field.name or chance.random() < 0.25:
            continue
        if field.message_type is not None:
            if depth > 11:
                continue
            target = getattr(message, field.name)
            if field.is_repeated:
                for _ in range(chance.randrange(3)):
                    fill(target.add(), chance, depth + 1)
            else:
                target.SetInParent()
                fill(target, chance, depth + 1)
            continue
        values = [scalar(field, chance) for _ in range(chance.randrange(4))]
        if field.is_repeated:
            getattr(message, field.name).extend(values)
        elif values:
            setattr(message, field.name, values[0])
    if chance.random() < 0.05:
        message.MergeFromString(UNKNOWN)


def scalar(field: Any, chance: random.Random) -> object:
    """A value of the field's type, extremes included."""
    if field.enum_type is not None:
        return chance.choice([0, 1, 2, 77, -5])
    match field.cpp_type:
        case field.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
            return chance.randbytes(chance.choice([0, 3, 8, 16]))
        case field.CPPTYPE_STRING:
            return chance.choice(["", "x", 'nul\0 \u2028 é 🙂 "\\', "otel_ext.unknown_fields", "y" * 200])
        case field.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case field.CPPTYPE_DOUBLE:
            return chance.choice([0.0, -0.0, 1.5, 1e300, float("inf"), float("-inf"), 0.1])
        case field.CPPTYPE_INT64:
            return chance.choice([0, -(2**63), 2**63 - 1, 17])
        case field.CPPTYPE_UINT64:
            return chance.choice([0, 2**64 - 1, 17])
        case field.CPPTYPE_INT32:
            return chance.choice([0, -(2**31), 2**31 - 1])
        case _:
            return chance.choice([0, 2**32 - 1, 256])


@pytest.mark.parametrize("telemetry", WHOLE)
@pytest.mark.parametrize("seed", range(60))
def test_a_line_reads_back_to_equal_protobuf(telemetry: Telemetry, seed: int) -> None:
    """Every field of every kind of log and metric, unknown ones included, survives a line of JSON."""
    message = CLASSES[telemetry]()
    fill(message, random.Random(seed))
    line = otlp.json_line(telemetry, message.SerializeToString())
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    json.loads(line)
    assert CLASSES[telemetry].FromString(otlp.read_json(telemetry, line)) == message


def test_a_difference_is_seen() -> None:
    """The comparison above can fail: an unknown field less, and a zero that is set, are differences."""
    message = ExportMetricsServiceRequest()
    message.resource_metrics.add().scope_metrics.add().metrics.add().sum.data_points.add().as_int = 0
    line = otlp.json_line(Telemetry.METRICS, message.SerializeToString())
    assert b'"asInt":"0"' in line
    assert ExportMetricsServiceRequest.FromString(otlp.read_json(Telemetry.METRICS, line)) == message
    less = otlp.read_json(Telemetry.METRICS, line.replace(b'"asInt":"0"', b""))
    assert ExportMetricsServiceRequest.FromString(less) != message
    message.MergeFromString(UNKNOWN)
    assert ExportMetricsServiceRequest.FromString(otlp.read_json(Telemetry.METRICS, line)) != message


def test_a_line_of_logs_is_what_the_specification_says() -> None:
    """Ids in lower-case hex, 64-bit integers as strings, enums as numbers, keys in lowerCamelCase."""
    message = ExportLogsServiceRequest()
    record = (
        message.resource_logs.add()
        .scope_logs.add()
        .log_records.add(
            time_unix_nano=2**63, observed_time_unix_nano=1, severity_number=9, event_name="e", flags=1
        )
    )
    record.trace_id, record.span_id = b"\xab" * 16, b"\xcd" * 8
    record.body.kvlist_value.values.add(key="k").value.int_value = -5
    record.attributes.add(key="a").value.bytes_value = b"\xff"
    line = json.loads(otlp.json_line(Telemetry.LOGS, message.SerializeToString()))
    assert line["resourceLogs"][0]["scopeLogs"][0]["logRecords"] == [
        {
            "timeUnixNano": str(2**63),
            "observedTimeUnixNano": "1",
            "severityNumber": 9,
            "eventName": "e",
            "flags": 1,
            "traceId": "ab" * 16,
            "spanId": "cd" * 8,
            "body": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "-5"}}]}},
            "attributes": [{"key": "a", "value": {"bytesValue": "/w=="}}],
        }
    ]


LOG = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}'
POINT = '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[%s]}}]}]}]}'
SPAN = '{"resourceSpans":[{"scopeSpans":[{"spans":[%s]}]}]}'


def log(text: str) -> Any:
    """The only log record of a body."""
    body = otlp.read_json(Telemetry.LOGS, (LOG % text).encode())
    return ExportLogsServiceRequest.FromString(body).resource_logs[0].scope_logs[0].log_records[0]


def point(text: str) -> Any:
    """The only data point of a body."""
    body = otlp.read_json(Telemetry.METRICS, (POINT % text).encode())
    request = ExportMetricsServiceRequest.FromString(body)
    return request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ('{"timeUnixNano":"17"}', "time_unix_nano", 17),
        ('{"timeUnixNano":17}', "time_unix_nano", 17),
        ('{"observed_time_unix_nano":"17"}', "observed_time_unix_nano", 17),
        ('{"severityNumber":77}', "severity_number", 77),
        ('{"severityNumber":"SEVERITY_NUMBER_WARN"}', "severity_number", 13),
        ('{"severityText":null}', "severity_text", ""),
        ('{"severityText":"a\\u0000b"}', "severity_text", "a\0b"),
        ('{"traceId":"ABab"}', "trace_id", b"\xab\xab"),
        ('{"traceId":"AQIDBAUGBwgJCgsMDQ4PEA=="}', "trace_id", b"AQIDBAUGBwgJCgsMDQ4PEA=="),
        ('{"body":{"doubleValue":"-Infinity"}}', "body", AnyValue(double_value=float("-inf"))),
        ('{"body":{}}', "body", AnyValue()),
        ('{"body":"plain"}', "body", AnyValue(string_value="plain")),
        ('{"novel":{"deep":[{"er":1}]},"flags":3}', "flags", 3),
        ('{"otel_ext.unknown_fields":"GgF4"}', "severity_text", ""),
    ],
)
def test_fields_of_a_log_record(text: str, field: str, expected: object) -> None:
    """Strict OTLP/JSON, and what the Collector tolerates, is read as meant; a forged mark sets no field."""
    record = log(text)
    assert getattr(record, field) == expected
    assert record.HasField("body") == ("body" in text)


def test_fields_of_a_data_point() -> None:
    """Each way of writing a number, and zero that is there."""
    assert point('{"asInt":"-9223372036854775808"}').as_int == -(2**63)
    assert point('{"asInt":0}').WhichOneof("value") == "as_int"
    assert point('{"asDouble":"Infinity"}').as_double == float("inf")
    (exemplar,) = point('{"exemplars":[{"spanId":"AB","filteredAttributes":[{"key":"k"}]}]}').exemplars
    assert (exemplar.span_id, exemplar.filtered_attributes[0].key) == (b"\xab", "k")


@pytest.mark.parametrize("telemetry", Telemetry)
@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf{}",
        b"[]",
        b"1",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        "{}".encode("utf-16"),
        b"{" * 100_000,
        b'{"a":' + b"[" * 100_000,
        b"{}{}",
    ],
    ids=range(11),
)
def test_what_is_not_one_strict_object_is_refused(telemetry: Telemetry, body: bytes) -> None:
    """Byte order marks, repeated keys, other encodings, bombs and trailing rubbish, whatever is sent."""
    with pytest.raises(InvalidRequest):
        otlp.read_json(telemetry, body)


DEEP = '{"arrayValue":{"values":[' * 1000 + "]}}" * 1000


@pytest.mark.parametrize(
    ("telemetry", "text", "says"),
    [
        (Telemetry.LOGS, LOG % '{"severityText":"\\ud800"}', "surrogate"),
        (Telemetry.LOGS, LOG % '{"body":{"intValue":"x"}}', "logRecords[0].body"),
        (Telemetry.LOGS, LOG % f'{{"body":{DEEP}}}', "deep"),
        (Telemetry.LOGS, LOG % '{"timeUnixNano":-1}', "logRecords[0].timeUnixNano"),
        (Telemetry.LOGS, LOG % '{"attributes":[{"key":"k","value":{"boolValue":3}}]}', "attributes[0].value"),
        (Telemetry.LOGS, LOG % "3", "logRecords[0]"),
        (Telemetry.METRICS, POINT % '{"asDouble":"x"}', "dataPoints[0].asDouble"),
        (Telemetry.METRICS, POINT % '{"exemplars":[{"filteredAttributes":3}]}', "filteredAttributes"),
        (Telemetry.METRICS, POINT % '{"exemplars":{}}', "exemplars"),
        (Telemetry.METRICS, '{"resourceMetrics":[{"resource":[]}]}', "resource"),
        (Telemetry.TRACES, SPAN % '{"attributes":[{"key":"k","value":%s}]}' % DEEP, "deep"),
    ],
    ids=range(11),
)
def test_a_field_that_cannot_be_read_is_named(telemetry: Telemetry, text: str, says: str) -> None:
    """The refusal tells where in the body, or what of it."""
    with pytest.raises(InvalidRequest) as caught:
        otlp.read_json(telemetry, text.encode())
    assert says in str(caught.value)


def test_a_time_of_a_span_that_is_not_a_whole_number_is_kept_as_text() -> None:
    """As in files: the span stays, its time is 0 beside its text, unless the door reads such times."""
    body = (SPAN % '{"startTimeUnixNano":"2026-01-01T00:00:00Z"}').encode()
    span = ExportTraceServiceRequest.FromString(otlp.read_json(Telemetry.TRACES, body))
    (found,) = span.resource_spans[0].scope_spans[0].spans
    assert found.start_time_unix_nano == 0
    assert found.attributes[0].key == otlp.UNREADABLE + "start"
