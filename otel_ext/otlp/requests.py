"""Whole requests of logs and metrics, for passing them through JSON.

Law of this file: the schemas are OpenTelemetry's own, taken from the installed descriptors, so a field that
a newer release adds is known as soon as it is; only attributes are carried as bytes (see `schema`).
"""

from functools import cache
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from otel_ext.errors import InvalidRequest
from otel_ext.telemetry import Telemetry

ANY_VALUE: Final = common_pb2.AnyValue.DESCRIPTOR.full_name
_KEY_VALUE: Final = f".{common_pb2.KeyValue.DESCRIPTOR.full_name}"
_ENVELOPES: Final[dict[Telemetry, Any]] = {
    Telemetry.LOGS: logs_service_pb2.ExportLogsServiceRequest,
    Telemetry.METRICS: metrics_service_pb2.ExportMetricsServiceRequest,
}
_FILES: Final = (
    common_pb2,
    resource_pb2,
    logs_pb2,
    metrics_pb2,
    logs_service_pb2,
    metrics_service_pb2,
)


@cache
def request_class(telemetry: Telemetry) -> Any:
    """The class of a whole request of logs or metrics; every list of attributes is `repeated bytes`."""
    return GetMessageClass(_pool().FindMessageTypeByName(_ENVELOPES[telemetry].DESCRIPTOR.full_name))


def parse_request(telemetry: Telemetry, body: bytes) -> Any:
    """An encoded request of logs or metrics as a message of `request_class`.

    Raises:
        InvalidRequest: the bytes are not such a request.
    """
    try:
        return request_class(telemetry).FromString(body)
    except DecodeError:
        raise InvalidRequest(
            f"the body ({len(body)} bytes) is not an {_ENVELOPES[telemetry].DESCRIPTOR.name} "
            f"in protobuf encoding"
        ) from None


def repeated(schema: Any) -> frozenset[int]:
    """Numbers of the repeated fields of a message class (asked in a way that protobuf 5 to 7 all know)."""
    description = DescriptorProto()
    schema.DESCRIPTOR.CopyToProto(description)
    return frozenset(
        field.number for field in description.field if field.label == FieldDescriptorProto.LABEL_REPEATED
    )


@cache
def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for module in _FILES:
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        if module is not common_pb2:  # where a KeyValue is what it is
            for message in file.message_type:
                _carry_attributes(message)
        else:
            _carry_attributes(next(m for m in file.message_type if m.name == "InstrumentationScope"))
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _carry_attributes(message: Any) -> None:
    for field in message.field:
        if field.type_name == _KEY_VALUE:
            field.type = FieldDescriptorProto.TYPE_BYTES
            field.ClearField("type_name")
    for nested in message.nested_type:
        _carry_attributes(nested)
