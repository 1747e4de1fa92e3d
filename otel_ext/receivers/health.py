"""grpc.health.v1: whether requests would be taken, for probes and load balancers, on the port they go to.

Law of this file: it answers from `serving` alone, at once, and never waits. `Watch` is not offered, because a
stream would hold one of the server's threads for as long as the client likes; the protocol has clients take
UNIMPLEMENTED for "not watched" and go on. The two messages are written with well-known types that have the
same bytes, since the package that brings them is tied to a single release of grpcio and of protobuf.
"""

from collections.abc import Callable
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import StringValue, UInt32Value

SERVICE: Final = "grpc.health.v1.Health"
_OTLP: Final = "opentelemetry.proto.collector"
SERVICES: Final = frozenset(
    {
        "",
        f"{_OTLP}.trace.v1.TraceService",
        f"{_OTLP}.logs.v1.LogsService",
        f"{_OTLP}.metrics.v1.MetricsService",
    }
)
"""Whose health may be asked; "" is the server's."""
_SERVING: Final = 1
_NOT_SERVING: Final = 2


def health_handler(serving: Callable[[], bool]) -> grpc.GenericRpcHandler:
    """The service's handler for a gRPC server of raw bytes.

    Args:
        serving: whether a request would be taken now.
    """

    def check(body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            service = StringValue.FromString(body).value
        except DecodeError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no HealthCheckRequest")
        if service not in SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return UInt32Value(value=_SERVING if serving() else _NOT_SERVING).SerializeToString()

    methods = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    return grpc.method_handlers_generic_handler(SERVICE, methods)
