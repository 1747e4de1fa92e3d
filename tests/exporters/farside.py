"""Far sides that answer as they are told: raw grpcio and http.server, nothing of ours."""

import gzip
import socketserver
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support import until


class Reply(NamedTuple):
    """One answer: a gRPC code's name or an HTTP status, 0 and "" being success.

    `retry_after` is seconds (RetryInfo, or `Retry-After`), a text is sent as the header; `rejected` makes a
    partial success; `body` is sent as it is; `hold` is waited for before anything is answered.
    """

    code: str = ""
    status: int = 200
    retry_after: float | str | None = None
    rejected: int = 0
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    hold: threading.Event | None = None
    drop: bool = False


OK = Reply()


class Received(NamedTuple):
    """One request as it came in: which service or path, body, metadata or headers, and from which peer."""

    path: str
    body: bytes
    headers: dict[str, str]
    peer: str

    @property
    def spans(self) -> list[Span]:
        """Its spans, when it is a trace request."""
        request = ExportTraceServiceRequest.FromString(self.body)
        return [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]

    @property
    def items(self) -> int:
        """Spans, log records or data points."""
        if "trace" in self.path:
            return len(self.spans)
        if "log" in self.path:
            logs = ExportLogsServiceRequest.FromString(self.body)
            return sum(len(s.log_records) for r in logs.resource_logs for s in r.scope_logs)
        metrics = ExportMetricsServiceRequest.FromString(self.body)
        return sum(
            len(m.gauge.data_points) + len(m.sum.data_points)
            for r in metrics.resource_metrics
            for s in r.scope_metrics
            for m in s.metrics
        )


class FarSide:
    """What both have in common: `replies` are given in order, then `answer` decides, else it is OK."""

    def __init__(self) -> None:
        self.tries: list[Received] = []
        self.accepted: list[Received] = []
        self.replies = deque[Reply]()
        self.answer: Callable[[Received], Reply] = lambda received: OK
        self.endpoint = ""
        self._lock = threading.Lock()

    def reply(self, received: Received) -> Reply:
        """The answer to a request, which is noted."""
        with self._lock:
            self.tries.append(received)
            reply = self.replies.popleft() if self.replies else self.answer(received)
        if reply.hold is not None:
            assert reply.hold.wait(60)
        if not reply.code and reply.status == 200 and not reply.drop:
            with self._lock:
                self.accepted.append(received)
        return reply

    @property
    def items(self) -> int:
        """Items of everything accepted."""
        with self._lock:
            return sum(received.items for received in self.accepted)

    @property
    def spans(self) -> list[Span]:
        """Spans of everything accepted, in order."""
        with self._lock:
            return [span for received in self.accepted if "trace" in received.path for span in received.spans]

    def wait(self, items: int) -> None:
        """Wait until so many items were accepted."""
        until(lambda: self.items >= items, f"{items} items at the far side, it has {self.items}")

    def stop(self) -> None:
        """Serve no more."""


def success(rejected: int) -> bytes:
    """An encoded response."""
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = "some are bad"
    return response.SerializeToString()


class GrpcFarSide(FarSide, grpc.GenericRpcHandler):  # type: ignore[misc]
    """An OTLP/gRPC server."""

    def __init__(self, address: str = "127.0.0.1:0", *, tls: tuple[str, str] | None = None) -> None:
        FarSide.__init__(self)
        options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(8), handlers=[self], options=options)
        if tls is None:
            port = self._server.add_insecure_port(address)
        else:
            key, cert = (Path(path).read_bytes() for path in tls)
            credentials = grpc.ssl_server_credentials([(key, cert)], cert, require_client_auth=True)
            port = self._server.add_secure_port(address, credentials)
        scheme = "http" if tls is None else "https"
        self.endpoint = address if address.startswith("unix:") else f"{scheme}://127.0.0.1:{port}"
        self._server.start()

    def service(self, details: Any) -> Any:
        """Every method."""

        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            headers = dict(context.invocation_metadata())
            reply = self.reply(Received(details.method, body, headers, context.peer()))
            if reply.code:
                status = Status(code=getattr(grpc.StatusCode, reply.code).value[0], message="so it is")
                if isinstance(reply.retry_after, float):
                    delay = Duration()
                    delay.FromNanoseconds(int(reply.retry_after * 1e9))
                    packed = AnyMessage()
                    packed.Pack(RetryInfo(retry_delay=delay))
                    status.details.append(packed)
                context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
                context.abort(getattr(grpc.StatusCode, reply.code), "so it is")
            return success(reply.rejected) if reply.body is None else reply.body

        return grpc.unary_unary_rpc_method_handler(export)

    def stop(self) -> None:
        """Serve no more."""
        self._server.stop(0).wait()


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class _HttpServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class HttpFarSide(FarSide):
    """An OTLP/HTTP server; `address` is a port or a socket's path."""

    def __init__(self, address: int | str = 0, *, tls: tuple[str, str] | None = None) -> None:
        super().__init__()
        far = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self) -> str:
                return "far"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if far.down:
                    self.close_connection = True
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {key.lower(): value for key, value in self.headers.items()}
                reply = far.reply(Received(self.path, body, headers, str(self.client_address)))
                if reply.drop:
                    self.close_connection = True
                    return
                answer = success(reply.rejected) if reply.body is None else reply.body
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/x-protobuf")
                if reply.retry_after is not None:
                    self.send_header("Retry-After", str(reply.retry_after))
                for key, value in reply.headers:
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.down = False
        self._server: socketserver.BaseServer
        if isinstance(address, str):
            self._server = _UnixServer(address, Handler)
            self.endpoint = f"unix://{address}"
        else:
            self._server = made = _HttpServer(("127.0.0.1", address), Handler)
            self.endpoint = f"http://127.0.0.1:{made.server_address[1]}"
            if tls is not None:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls[1])
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_cert_chain(tls[1], tls[0])
                made.socket = context.wrap_socket(made.socket, server_side=True)
                self.endpoint = self.endpoint.replace("http:", "https:")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Serve no more; connections that are kept end too."""
        self.down = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def far_sides(*made: FarSide) -> Iterator[None]:
    """Stop them in the end."""
    try:
        yield
    finally:
        for each in made:
            each.stop()


def names(spans: Iterable[Span]) -> list[str]:
    """Span names of what was sent, our own left out."""
    return [span.name for span in spans if not span.name.startswith("detect ")]
