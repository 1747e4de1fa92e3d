"""OTLP requests for tests, built with the official protobuf classes."""

import itertools
import struct
from collections.abc import Iterable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ext.telemetry import Telemetry

START = 1_790_000_000_000_000_000
"""2026-09-21, a time that needs no repair."""
_numbers = itertools.count(1)


class Logs(bytes):
    """An encoded request of log records, among encoded requests of spans."""

    telemetry = Telemetry.LOGS


class Metrics(bytes):
    """An encoded request of metrics, among encoded requests of spans."""

    telemetry = Telemetry.METRICS


def telemetry_of(body: bytes) -> Telemetry:
    """What a request is of; spans unless it says otherwise."""
    return body.telemetry if isinstance(body, Logs | Metrics) else Telemetry.TRACES


def trace_id(number: int) -> bytes:
    """16 bytes that hold a number."""
    return struct.pack(">QQ", 0xABCD, number)


def span_id(number: int) -> bytes:
    """8 bytes that hold a number."""
    return struct.pack(">Q", number)


def attributes(**values: object) -> Iterable[KeyValue]:
    """Attributes by keyword; `__` in a name stands for a dot."""
    for name, value in values.items():
        item = KeyValue(key=name.replace("__", "."))
        match value:
            case bool():
                item.value.bool_value = value
            case int():
                item.value.int_value = value
            case float():
                item.value.double_value = value
            case bytes():
                item.value.bytes_value = value
            case _:
                item.value.string_value = str(value)
        yield item


def span(trace: int = 1, number: int | None = None, parent: int = 0, **values: object) -> Span:
    """A span of one second; attributes by keyword."""
    number = next(_numbers) if number is None else number
    made = Span(
        trace_id=trace_id(trace),
        span_id=span_id(number),
        parent_span_id=span_id(parent) if parent else b"",
        name=f"span {number}",
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=START + number * 10**9,
        end_time_unix_nano=START + (number + 1) * 10**9,
    )
    made.attributes.extend(attributes(**values))
    return made


def request(*spans: Span, service: str = "tests") -> bytes:
    """An encoded request with one resource and one scope."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.extend(attributes(service__name=service))
    scope = resource.scope_spans.add()
    scope.scope.name = "tests"
    scope.spans.extend(spans)
    return message.SerializeToString()


def log(body: str, trace: int = 0, seconds: int = 0, **values: object) -> LogRecord:
    """A log record; of a trace, when its number is given; attributes by keyword."""
    made = LogRecord(time_unix_nano=START + seconds * 10**9, severity_text="INFO")
    made.body.string_value = body
    if trace:
        made.trace_id, made.span_id = trace_id(trace), span_id(trace)
    made.attributes.extend(attributes(**values))
    return made


def logs(*records: LogRecord, **resource: object) -> Logs:
    """An encoded request of log records; the resource's attributes by keyword."""
    message = ExportLogsServiceRequest()
    group = message.resource_logs.add()
    group.resource.attributes.extend(attributes(service__name="tests", **resource))
    scope = group.scope_logs.add()
    scope.scope.name = "tests"
    scope.log_records.extend(records)
    return Logs(message.SerializeToString())


def series(name: str, *values: int) -> Metric:
    """A sum with a data point for each value."""
    metric = Metric(name=name, unit="1")
    for value in values:
        metric.sum.data_points.add(as_int=value, time_unix_nano=START)
    return metric


def metrics(*of: Metric) -> Metrics:
    """An encoded request of metrics."""
    message = ExportMetricsServiceRequest()
    group = message.resource_metrics.add()
    group.resource.attributes.extend(attributes(service__name="tests"))
    group.scope_metrics.add().metrics.extend(of)
    return Metrics(message.SerializeToString())


def tool(
    trace: int, number: int, parent: int, name: str, arguments: str, result: str, session: str = "s"
) -> Span:
    """A successful tool call in the GenAI conventions."""
    return span(
        trace,
        number,
        parent,
        gen_ai__operation__name="execute_tool",
        gen_ai__conversation__id=session,
        gen_ai__tool__name=name,
        gen_ai__tool__call__arguments=arguments,
        gen_ai__tool__call__result=result,
    )


def agent(trace: int, number: int, name: str = "agent", session: str = "s", last: int = 100) -> Span:
    """An agent's span from 0 to `last` seconds: the root of its trace."""
    made = span(
        trace,
        number,
        0,
        gen_ai__operation__name="invoke_agent",
        gen_ai__agent__name=name,
        gen_ai__conversation__id=session,
    )
    made.start_time_unix_nano = START
    made.end_time_unix_nano = START + last * 10**9
    return made


def looping_run(trace: int = 1, session: str = "s", rounds: int = 6) -> list[Span]:
    """An agent that makes the same call with the same result again and again."""
    base = trace * 1000
    calls = [
        tool(trace, base + n, base, "search", '{"q": "x"}', "nothing found", session)
        for n in range(1, rounds + 1)
    ]
    for number, call in enumerate(calls, 1):
        call.start_time_unix_nano, call.end_time_unix_nano = (
            START + number * 10**9,
            START + number * 10**9 + 5 * 10**8,
        )
    return [*calls, agent(trace, base, session=session)]
