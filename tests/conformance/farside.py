"""Scripted far sides: what a forwarder sends to, answering as told and remembering what came.

Law of this file: a reply is taken from the script for each call; an empty script accepts. Nothing of otel_ext
takes part.
"""

import contextlib
import gzip
import http.server
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, Self

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from tests.conformance.wire import PROTOBUF, TRACES
from tests.support import until


class Reply(NamedTuple):
    """What to answer: a gRPC code's name or an HTTP status; `drop` ends an HTTP connection unanswered.

    Attributes:
        code: `OK`, `UNAVAILABLE`, ...; `200`, `503`, ...
        body: the response message.
        retry: seconds of RetryInfo.
        headers: HTTP headers.
    """

    code: str = ""
    body: bytes = b""
    retry: float | None = None
    headers: Mapping[str, str] = {}


class Call(NamedTuple):
    """What came: the body, when, its headers, from which address, and the code answered."""

    body: bytes
    at: float
    headers: Mapping[str, str]
    peer: str
    code: str


class FarSide:
    """What both kinds share."""

    accepts: str
    endpoint: str

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.rule: Callable[[bytes], Reply] | None = None
        self.calls: list[Call] = []
        self._lock = threading.Lock()

    @property
    def bodies(self) -> list[bytes]:
        """Bodies that were accepted."""
        return [call.body for call in list(self.calls) if call.code == self.accepts]

    def of(self, needle: bytes) -> list[Call]:
        """Calls whose body holds these bytes."""
        return [call for call in list(self.calls) if needle in call.body]

    def wait_for(self, needle: bytes) -> None:
        """Wait until a body with these bytes was accepted."""
        until(lambda: any(needle in body for body in self.bodies), f"{needle.hex()} at the far side")

    def _reply(self, body: bytes, headers: Mapping[str, str], peer: str) -> Reply:
        ruled = self.rule(body) if self.rule is not None else None  # it may wait, and others come meanwhile
        with self._lock:
            reply = ruled or (self.script.pop(0) if self.script else Reply())
            reply = reply._replace(code=reply.code or self.accepts)
            self.calls.append(Call(body, time.monotonic(), headers, peer, reply.code))
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop."""
        raise NotImplementedError


class GrpcFarSide(FarSide):
    """An OTLP/gRPC server without a decoder."""

    accepts = "OK"

    def __init__(self) -> None:
        super().__init__()
        self._server = grpc.server(
            ThreadPoolExecutor(8),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        service = TRACES.split("/")[1]
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"Export": handler}),)
        )
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _export(self, body: bytes, context: Any) -> bytes:
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        reply = self._reply(body, headers, context.peer())
        if reply.code == self.accepts:
            return reply.body
        if reply.retry is not None:
            delay = Duration()
            delay.FromNanoseconds(int(reply.retry * 1e9))
            status = Status(code=grpc.StatusCode[reply.code].value[0], message="told to")
            status.details.add().Pack(RetryInfo(retry_delay=delay))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode[reply.code], "told to")
        raise AssertionError("abort raises")

    def close(self) -> None:
        """Stop at once."""
        self._server.stop(0).wait()


class HttpFarSide(FarSide):
    """An OTLP/HTTP server without a decoder."""

    accepts = "200"

    def __init__(self) -> None:
        super().__init__()
        far = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self._body()
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {key.lower(): value for key, value in self.headers.items()} | {":path": self.path}
                reply = far._reply(body, headers, f"{self.client_address}")
                if reply.code == "drop":
                    self.close_connection = True
                    return
                self.send_response(int(reply.code))
                fields = {"Content-Type": PROTOBUF, "Content-Length": str(len(reply.body)), **reply.headers}
                for key, value in fields.items():
                    self.send_header(key, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(reply.body)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                pieces = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(pieces)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Stop at once."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


OK: Final = Reply()
