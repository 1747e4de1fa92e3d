"""OTLP/gRPC: the services of traces, logs and metrics, taking raw bytes.

Law of this file: no request is decoded here (grpcio's own decoding would answer garbage with INTERNAL,
and costs a copy); what is wrong with a request is said by `accept` and mapped by `otlp.status`, and no
exception's text reaches a client. No client keeps one of the threads for ever, and what all requests inside
hold is within the doors' budget: a call is served as a stream of one message, so that it is we who read it.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, NoReturn

import grpc

from otel_ext import otlp
from otel_ext.errors import InvalidRequest, OtelExtError, Retryable
from otel_ext.receivers.budget import Budget, Share
from otel_ext.receivers.endpoint import UNIX, identity_of, refused, remove, unix_socket
from otel_ext.receivers.patience import Patience
from otel_ext.receivers.refusals import count_refused
from otel_ext.receivers.threads import CallThreads
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry
from otel_ext.turns import PATIENCE, PLACES, WAITING

log = logging.getLogger(__name__)

SERVICES: Final = {
    Telemetry.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Telemetry.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
    Telemetry.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
DEFAULT_MAX_BYTES: Final = 64 << 20
"""Largest request after decompression (opentelemetry-proto 1.11 recommends 64 MiB)."""
READING: Final = 16
"""Requests read at one time; how large one is shows only when it is there."""
_PENDING: Final = 256
"""Calls that the library may keep before Python has taken them off; each holds its connection's window."""
_THREADS: Final = READING + PLACES + WAITING
"""Most of them wait for their turn behind `accept`, which refuses more; who finds no thread is refused."""

_Accept = Callable[[bytes, Telemetry], tuple[int, int, str]]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class GrpcReceiver:
    """One gRPC server on one address.

    Args:
        accept: takes an encoded request and returns `(received, rejected, message)` once it is durable.
        endpoint: `HOST:PORT` (port 0 picks a free one) or `unix:///path`.
        max_bytes: largest request, after decompression.
        budget: bytes that all requests together may take up.
        patience: seconds for a call's request to arrive; then the call is cancelled, which may be retried.
        telemetries: what is served; the services of others are UNIMPLEMENTED.
        beside: handlers of other services on the same address.

    Raises:
        ConfigError: the address is taken or cannot be bound.
    """

    def __init__(
        self,
        accept: _Accept,
        endpoint: str,
        *,
        stats: Stats,
        max_bytes: int = DEFAULT_MAX_BYTES,
        budget: Budget | None = None,
        patience: float = 60.0,
        telemetries: Iterable[Telemetry] = Telemetry,
        beside: Sequence[grpc.GenericRpcHandler] = (),
    ) -> None:
        self._accept, self._stats = accept, stats
        self._budget, self._patience = budget or Budget(4 * max_bytes), Patience(patience)
        self._reading = threading.Semaphore(READING)
        self._threads = CallThreads(_THREADS, "otel-ext-grpc")
        self._server = grpc.server(
            self._threads,
            options=[
                ("grpc.max_receive_message_length", max_bytes),
                # On by default, it lets a second sidecar bind the same port and steal half the connections.
                ("grpc.so_reuseport", 0),
                # What is not being read yet holds 64 KiB; a window that grows by probes would hold MiBs.
                ("grpc.http2.bdp_probe", 0),
                # Calls that come faster than Python takes them off wait inside the library, by default up to
                # 3000 for 30 s; those beyond it resets or cancels itself, at no cost to Python: CANCELLED is
                # retried, with the client's own delay (OTLP, "Failures").
                ("grpc.server.max_pending_requests", _PENDING),
                ("grpc.server.max_pending_requests_hard_limit", 2 * _PENDING),
                ("grpc.server_max_unrequested_time_in_server", round(PATIENCE)),
            ],
        )
        for telemetry in telemetries:
            export = grpc.stream_unary_rpc_method_handler(partial(self._export, telemetry))
            handler = grpc.method_handlers_generic_handler(SERVICES[telemetry], {"Export": export})
            self._server.add_generic_rpc_handlers((handler,))
        self._server.add_generic_rpc_handlers(tuple(beside))
        self._identity: tuple[int, int] | None = None
        try:
            if endpoint.startswith(UNIX):
                with unix_socket(endpoint, flag="--grpc") as path:
                    self._bind(UNIX + path, endpoint)
                self.endpoint, self._identity = endpoint, identity_of(endpoint)
            else:
                self.endpoint = f"{endpoint.rpartition(':')[0]}:{self._bind(endpoint, endpoint)}"
        except BaseException:
            self._server.stop(None)
            raise

    def _bind(self, address: str, endpoint: str) -> int:
        try:
            port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise refused(endpoint, "--grpc") from error
        return port

    def start(self) -> None:
        """Begin to serve."""
        self._patience.start()
        self._server.start()

    def stop(self, grace: float) -> None:
        """Refuse new calls, let those inside finish for `grace` seconds."""
        self._server.stop(grace).wait()
        self._patience.stop()
        if self._identity is not None:
            remove(self.endpoint, self._identity)

    def _export(
        self, telemetry: Telemetry, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> bytes:
        try:
            with self._budget.share() as share:
                _, rejected, message = self._accept(self._read(requests, share, context), telemetry)
        except OtelExtError as error:
            count_refused(self._stats, "grpc", error)
            self._refuse(context, error)
        except grpc.RpcError:  # the call is over: nobody is there to be told
            raise
        except Exception:  # its text must not reach a client, and the client must keep its data
            log.exception("a request could not be handled")
            self._stats.add("otel_ext.receiver.defects")
            self._refuse(context, Retryable("the server could not handle the request; try again"))
        return otlp.success(telemetry, rejected, message)

    def _read(self, requests: Iterator[bytes], share: Share, context: grpc.ServicerContext) -> bytes:
        self._threads.check()
        with self._reading:
            share.expect(1)  # where there is room for nothing, it stays unread
            with self._patience.of(context.cancel):
                body = next(requests, None)
            if body is None:
                raise InvalidRequest("a call without a request")
            share.reserve(len(body))
            return body

    def _refuse(self, context: grpc.ServicerContext, error: OtelExtError) -> NoReturn:
        answer = otlp.grpc_status(error)
        context.set_trailing_metadata(answer.trailers)
        context.abort(_CODES[answer.code], answer.message)
        raise AssertionError("abort raises")
