"""OTLP/gRPC: the TraceService, taking raw bytes.

Law of this file: no request is decoded here (grpcio's own decoding would answer garbage with INTERNAL,
and costs a copy); what is wrong with a request is said by `accept` and mapped by `otlp.status`, and no
exception's text reaches a client.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

import grpc

from otel_ext import otlp
from otel_ext.errors import ConfigError, OtelExtError, Retryable
from otel_ext.stats import Stats

log = logging.getLogger(__name__)

SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
DEFAULT_MAX_BYTES: Final = 64 << 20
"""Largest request after decompression (opentelemetry-proto 1.11 recommends 64 MiB)."""
_THREADS: Final = 16
"""Measured best between 8 and 32; from 128 on throughput falls."""

_Accept = Callable[[bytes], tuple[int, int, str]]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class GrpcReceiver:
    """One gRPC server on one address.

    Args:
        accept: takes a request's bytes and returns `(received, rejected, message)` once it is durable.
        endpoint: `host:port`; port 0 picks a free one.
        max_bytes: largest request, after decompression.

    Raises:
        ConfigError: the address is taken or cannot be bound.
    """

    def __init__(
        self, accept: _Accept, endpoint: str, *, stats: Stats, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        self._accept, self._stats = accept, stats
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="otel-ext-grpc"),
            options=[
                ("grpc.max_receive_message_length", max_bytes),
                # On by default, it lets a second sidecar bind the same port and steal half the connections.
                ("grpc.so_reuseport", 0),
            ],
        )
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),)
        )
        host = endpoint.rpartition(":")[0]
        try:
            port = self._server.add_insecure_port(endpoint)
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on {endpoint}: the address is in use or not this machine's; stop what "
                f"listens there or choose another with --grpc HOST:PORT"
            ) from error
        self.endpoint = f"{host}:{port}"

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Refuse new calls, let those inside finish for `grace` seconds."""
        self._server.stop(grace).wait()

    def _export(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            _, rejected, message = self._accept(body)
        except OtelExtError as error:
            self._stats.add(
                f"otel_ext.receiver.{'retryable' if isinstance(error, Retryable) else 'permanent'}"
            )
            self._refuse(context, error)
        except Exception:  # its text must not reach a client, and the client must keep its data
            log.exception("a request could not be handled")
            self._stats.add("otel_ext.receiver.defects")
            self._refuse(context, Retryable("the server could not handle the request; try again"))
        return otlp.success(rejected, message)

    def _refuse(self, context: grpc.ServicerContext, error: OtelExtError) -> NoReturn:
        answer = otlp.grpc_status(error)
        context.set_trailing_metadata(answer.trailers)
        context.abort(_CODES[answer.code], answer.message)
        raise AssertionError("abort raises")
