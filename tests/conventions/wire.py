"""Fixtures as protobuf, by the official classes."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1 import trace_pb2

from otel_ext.span import Log, Span
from tests.builders import Logs


def any_value(value: Any) -> AnyValue:
    """A value as AnyValue."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
        case _:
            return AnyValue(array_value=ArrayValue(values=map(any_value, value)))


def pairs(values: Mapping[str, Any]) -> list[KeyValue]:
    """Attributes."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def proto_span(span: Span) -> trace_pb2.Span:
    """A span."""
    made = trace_pb2.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        name=span.name,
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.end,
        attributes=pairs(span.attributes),
        status=trace_pb2.Status(code=span.status_code, message=span.status_message),  # type: ignore[arg-type]
    )
    for event in span.events:
        made.events.add(name=event.name, time_unix_nano=event.time, attributes=pairs(event.attributes))
    return made


def span_bytes(span: Span) -> bytes:
    """A span, encoded."""
    return proto_span(span).SerializeToString()


def proto_log(log: Log) -> LogRecord:
    """A log record."""
    return LogRecord(
        time_unix_nano=log.time,
        trace_id=log.trace_id,
        span_id=log.span_id,
        event_name=log.name,
        body=None if log.body is None else any_value(log.body),
        attributes=pairs(log.attributes),
    )


def log_bytes(log: Log) -> bytes:
    """A log record, encoded."""
    return proto_log(log).SerializeToString()


def span_request(span: Span) -> bytes:
    """A request of one span."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    scope.scope.name = span.scope
    scope.spans.append(proto_span(span))
    return message.SerializeToString()


def log_request(log: Log) -> Logs:
    """A request of one log record."""
    message = ExportLogsServiceRequest()
    scope = message.resource_logs.add().scope_logs.add()
    scope.scope.name = log.scope
    scope.log_records.append(proto_log(log))
    return Logs(message.SerializeToString())
