"""The three requests of OTLP in one shape.

Law of this file: an export request of traces, logs or metrics has the same wire shape down to its items
(`schema.Request`: groups under a resource, then under a scope), so only the names and what counts as one
item differ. A span and a log record count as one; a metric counts its data points.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from otel_ext.telemetry import Telemetry


class Export(NamedTuple):
    """One export request.

    Attributes:
        schema: its message class, as the OpenTelemetry project generated it.
        groups, scopes, items: the names of its repeated fields, from the outside in.
        noun: what is counted, in the plural.
        modules: the files that define it and what it holds, in the order in which they import one another.
    """

    schema: Any
    groups: str
    scopes: str
    items: str
    noun: str
    modules: tuple[Any, ...]


_COMMON: Final = (common_pb2, resource_pb2)

EXPORTS: Final = {
    Telemetry.TRACES: Export(
        trace_service_pb2.ExportTraceServiceRequest,
        *("resource_spans", "scope_spans", "spans", "spans"),
        (*_COMMON, trace_pb2, trace_service_pb2),
    ),
    Telemetry.LOGS: Export(
        logs_service_pb2.ExportLogsServiceRequest,
        *("resource_logs", "scope_logs", "log_records", "log records"),
        (*_COMMON, logs_pb2, logs_service_pb2),
    ),
    Telemetry.METRICS: Export(
        metrics_service_pb2.ExportMetricsServiceRequest,
        *("resource_metrics", "scope_metrics", "metrics", "data points"),
        (*_COMMON, metrics_pb2, metrics_service_pb2),
    ),
}


def changed_schema(telemetry: Telemetry, change: Callable[[FileDescriptorProto], None]) -> Any:
    """The message class of an export request in a pool of its own, each of its files changed by `change`."""
    export, pool = EXPORTS[telemetry], DescriptorPool()
    for module in export.modules:
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        change(file)
        pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(export.schema.DESCRIPTOR.full_name))
