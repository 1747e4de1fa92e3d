"""The one table from our errors to what OTLP clients are told.

Law of this file: no other file names a status code. A client may retry exactly when the error is
`Retryable`; only then is there a RetryInfo (OTLP specification, "Failures" and "OTLP/gRPC Throttling").
The text of an error that is not ours never reaches a client.
"""

import json
import math
from typing import Any, Final, NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_ext.errors import (
    Busy,
    InvalidRequest,
    NoSuchPath,
    OtelExtError,
    Retryable,
    ShuttingDown,
    Throttled,
    TooLarge,
    Unsupported,
    WrongMethod,
)
from otel_ext.telemetry import Telemetry

_TABLE: Final[tuple[tuple[type[Exception], str, int, int], ...]] = (
    (InvalidRequest, "INVALID_ARGUMENT", 3, 400),
    (TooLarge, "RESOURCE_EXHAUSTED", 8, 413),
    (NoSuchPath, "UNIMPLEMENTED", 12, 404),
    (WrongMethod, "UNIMPLEMENTED", 12, 405),
    (Unsupported, "UNIMPLEMENTED", 12, 415),
    (Throttled, "RESOURCE_EXHAUSTED", 8, 429),
    (Busy, "UNAVAILABLE", 14, 503),
    (ShuttingDown, "UNAVAILABLE", 14, 503),
    (Retryable, "UNAVAILABLE", 14, 503),
    (Exception, "INTERNAL", 13, 500),
)
_LONGEST: Final = 1024
"""Characters of a message; a gRPC client refuses trailers over 8 KiB, and the message is in them twice."""


class GrpcAnswer(NamedTuple):
    """A failed gRPC call.

    Attributes:
        code: number of the gRPC status code.
        message: for developers.
        trailers: trailing metadata, values in binary.
        name: name of the gRPC status code.
    """

    code: int
    message: str
    trailers: tuple[tuple[str, bytes], ...]
    name: str


class HttpAnswer(NamedTuple):
    """A failed HTTP request.

    Attributes:
        status: HTTP status code.
        protobuf: the body, a google.rpc.Status, for a request in protobuf.
        json: the same body for a request in JSON.
        retry_after: whole seconds for the header `Retry-After`; None when a retry is pointless.
    """

    status: int
    protobuf: bytes
    json: bytes
    retry_after: int | None


def grpc_status(error: Exception) -> GrpcAnswer:
    """What a gRPC client is told of `error`."""
    status, name, _ = _status(error)
    trailers = [("grpc-status-details-bin", status.SerializeToString())]
    if isinstance(error, Retryable):
        # Python clients read this one; the others unpack the status.
        trailers.append(("google.rpc.retryinfo-bin", _retry_info(error).SerializeToString()))
    return GrpcAnswer(status.code, status.message, tuple(trailers), name)


def http_status(error: Exception) -> HttpAnswer:
    """What an HTTP client is told of `error`."""
    status, _, http = _status(error)
    after = max(1, math.ceil(error.retry_after)) if isinstance(error, Retryable) else None
    return HttpAnswer(http, status.SerializeToString(), json.dumps(MessageToDict(status)).encode(), after)


def success(telemetry: Telemetry, rejected: int, message: str) -> bytes:
    """An encoded Export...ServiceResponse; empty when there is nothing to say (full success).

    Args:
        telemetry: what the request carried.
        rejected: spans, log records or data points rejected; 0 with a message is a warning.
        message: for developers; shortened when very long.
    """
    encoded: bytes = _response(telemetry, rejected, message).SerializeToString()
    return encoded


def success_json(telemetry: Telemetry, rejected: int, message: str) -> bytes:
    """The same response in OTLP/JSON; `{}` for full success."""
    return json.dumps(MessageToDict(_response(telemetry, rejected, message))).encode()


_RESPONSES: Final[dict[Telemetry, tuple[Any, str]]] = {
    Telemetry.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Telemetry.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
    Telemetry.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
}


def _response(telemetry: Telemetry, rejected: int, message: str) -> Any:
    schema, counted = _RESPONSES[telemetry]
    response = schema()
    if rejected or message:
        setattr(response.partial_success, counted, rejected)
        response.partial_success.error_message = message[:_LONGEST]
    return response


def _status(error: Exception) -> tuple[Status, str, int]:
    name, code, http = next(row[1:] for row in _TABLE if isinstance(error, row[0]))
    text = str(error)[:_LONGEST] if isinstance(error, OtelExtError) else "internal error"
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate would make this fail in its turn
    status = Status(code=code, message=text)
    if isinstance(error, Retryable):
        _add(status, _retry_info(error))
    elif isinstance(error, InvalidRequest):
        _add(status, BadRequest(field_violations=[BadRequest.FieldViolation(field="body", description=text)]))
    return status, name, http


def _add(status: Status, detail: Any) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _retry_info(error: Retryable) -> RetryInfo:
    delay = Duration()
    delay.FromNanoseconds(max(0, round(error.retry_after * 1e9)))
    return RetryInfo(retry_delay=delay)
