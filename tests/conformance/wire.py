"""Independent clients: raw gRPC calls, raw HTTP, raw sockets, one form of answer for all.

Law of this file: no stub, client or codec of otel_ext; a request is bytes, an answer is what came back.
"""

import contextlib
import gzip
import http.client
import json
import select
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

import grpc
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.conformance import otlpjson

TRACES: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
PATIENCE: Final = 60.0
"""Seconds after which a call hangs."""


class Deviation(AssertionError):
    """A rule was not kept; the text says what happened instead, for the published table."""


class Shortfall(Deviation):
    """What MUST be was kept, what SHOULD be was not."""


class Unseen(Deviation):
    """There was nothing to judge: what the rule is about never came."""


def should(kept: object, did: str) -> None:
    """Like `check`, for the part of an [M] item that is only a SHOULD."""
    if not kept:
        raise Shortfall(did)


def check(kept: object, did: str) -> None:
    """Fail with what the target did, unless it kept the rule."""
    if not kept:
        raise Deviation(did)


class Answer(NamedTuple):
    """What came back, over either protocol.

    Attributes:
        code: `OK` or the gRPC code's name; the HTTP status as text; `closed` when the connection ended.
        body: the message or body.
        headers: trailing metadata, or headers with lower-case names.
    """

    code: str
    body: bytes
    headers: Mapping[str, bytes]
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether the request was accepted, in whole or in part."""
        return self.code in {"OK", "200"}

    @property
    def kind(self) -> str:
        """The media type, parameters dropped; "" on gRPC."""
        return self.headers.get("content-type", b"").decode().partition(";")[0].strip().lower()

    @property
    def payload(self) -> bytes:
        """The body, its Content-Encoding undone."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == b"gzip" else self.body

    @property
    def response(self) -> ExportTraceServiceResponse:
        """The body of a success."""
        response = ExportTraceServiceResponse()
        if self.kind == JSON:
            ParseDict(json.loads(self.payload), response)
        else:
            response.ParseFromString(self.payload)
        return response

    @property
    def rejected(self) -> int:
        """Spans rejected."""
        return int(self.response.partial_success.rejected_spans)

    @property
    def status(self) -> Status | None:
        """The google.rpc.Status of an error in its declared encoding; None when there is none."""
        status = Status()
        try:
            if self.code in grpc.StatusCode.__members__:
                details = self.headers.get("grpc-status-details-bin")
                return None if details is None else Status.FromString(details)
            if not self.payload:
                return None
            if self.kind == JSON:
                ParseDict(json.loads(self.payload), status)
                return status
            return Status.FromString(self.payload) if self.kind == PROTOBUF else None
        except (DecodeError, ParseError, ValueError):
            return None

    def detail(self, message: Any) -> Any:
        """The detail of that type in the status, or None."""
        found = message()
        status = self.status
        for packed in status.details if status else ():
            if packed.Unpack(found):
                return found
        return None

    @property
    def retry_delay(self) -> float | None:
        """Seconds of RetryInfo, in the status or beside it."""
        info = self.detail(error_details_pb2.RetryInfo)
        if info is None and "google.rpc.retryinfo-bin" in self.headers:
            info = error_details_pb2.RetryInfo.FromString(self.headers["google.rpc.retryinfo-bin"])
        return None if info is None else info.retry_delay.seconds + info.retry_delay.nanos / 1e9

    def __str__(self) -> str:
        said = self.text or (self.status.message if self.status else "")
        kind = f" {self.kind}" if self.kind and not self.ok else ""
        return f"{self.code}{kind}" + (f" ({said[:80]})" if said else "")


class Door(Protocol):
    """One way in."""

    name: str

    def send(self, body: bytes) -> Answer:
        """Send an encoded request, in the door's own encoding."""
        ...


class Grpc:
    """A raw gRPC channel."""

    name = "gRPC"

    def __init__(self, endpoint: str, *, compression: grpc.Compression | None = None) -> None:
        self.channel = grpc.insecure_channel(
            endpoint,
            options=[
                ("grpc.max_send_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_retries", 0),
            ],
            compression=compression,
        )

    def send(self, body: bytes) -> Answer:
        """One Export call."""
        return self.call(body)

    def call(self, body: bytes, method: str = TRACES, timeout: float = PATIENCE) -> Answer:
        """One unary call."""
        return answer_of(self.future(body, method, timeout))

    def future(self, body: bytes, method: str = TRACES, timeout: float = PATIENCE) -> Any:
        """One unary call under way."""
        return self.channel.unary_unary(method).future(body, timeout=timeout)

    def close(self) -> None:
        """Close the connection."""
        self.channel.close()


def answer_of(call: Any) -> Answer:
    """The answer of a call under way, waited for."""
    try:
        body: bytes = call.result()
    except grpc.RpcError as error:
        trailers = {
            key: value if isinstance(value, bytes) else value.encode()
            for key, value in error.trailing_metadata() or ()
        }
        return Answer(error.code().name, b"", trailers, error.details() or "")
    return Answer("OK", body, {})


class Http:
    """HTTP/1.1 by http.client; a new connection for each request unless one is given."""

    def __init__(self, endpoint: str, kind: str = PROTOBUF, path: str = "/v1/traces") -> None:
        self.endpoint, self.kind, self.path = endpoint, kind, path
        self.name = "HTTP JSON" if kind == JSON else "HTTP protobuf"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.endpoint.rpartition(":")
        return host, int(port)

    def send(self, body: bytes) -> Answer:
        """POST an encoded request, in JSON when that is the door's type."""
        return self.post(self.encoded(body))

    def encoded(self, body: bytes) -> bytes:
        """An encoded request in the door's encoding."""
        return json.dumps(otlpjson.encode(body)).encode() if self.kind == JSON else body

    def post(
        self,
        body: bytes,
        *,
        method: str = "POST",
        path: str | None = None,
        connection: http.client.HTTPConnection | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; the type is the door's unless a header says otherwise."""
        fields = {"content-type": self.kind, **(headers or {})}
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(self.connection())
            # Refused before all of it was sent; the answer may be there nevertheless.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path or self.path, body, fields)
            return self.read(connection)

    @staticmethod
    def read(connection: http.client.HTTPConnection) -> Answer:
        """The answer on a connection on which a request was sent."""
        try:
            with connection.getresponse() as got:
                body = got.read()
        except (http.client.HTTPException, ConnectionError) as error:
            return Answer("closed", b"", {}, type(error).__name__)
        return Answer(str(got.status), body, {key.lower(): value.encode() for key, value in got.getheaders()})

    @contextlib.contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        """A connection to keep."""
        made = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            yield made
        finally:
            made.close()

    def raw(self, *pieces: bytes, end: bool = True, answers: int = 1) -> list[Answer]:
        """Send bytes on a socket, close our half if `end`, and read that many answers."""
        with socket.create_connection(self.address, timeout=PATIENCE) as made:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    made.sendall(piece)
                if end:
                    made.shutdown(socket.SHUT_WR)
            with made.makefile("rb") as file:
                return [_parsed(file) for _ in range(answers)]

    def patient(self, head: bytes, pieces: Iterable[bytes]) -> Answer:
        """Send a head, then a body piece by piece until the server answers, as a polite client does."""
        with socket.create_connection(self.address, timeout=PATIENCE) as made, made.makefile("rb") as file:
            made.sendall(head)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    if select.select([made], [], [], 0.002)[0]:
                        break
                    made.sendall(piece)
            return _parsed(file)

    def head(self, length: int | str, *more: str) -> bytes:
        """The head of a POST, for `raw`."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {self.endpoint}", f"Content-Type: {self.kind}"]
        if length != "":
            lines.append(f"Content-Length: {length}")
        return "\r\n".join([*lines, *more, "", ""]).encode()


class _Shared:
    """A socket's reader for several HTTPResponse objects in turn, which would each close it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def makefile(self, _mode: str) -> "_Shared":
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """Nothing: the next answer comes from the same file."""


def _parsed(file: BinaryIO) -> Answer:
    """The next answer on a socket's reader."""
    try:
        with http.client.HTTPResponse(_Shared(file)) as got:  # type: ignore[arg-type]
            got.begin()
            body = got.read()
            fields = {key.lower(): value.encode() for key, value in got.getheaders()}
            return Answer(str(got.status), body, fields)
    except (http.client.HTTPException, ConnectionError) as error:
        return Answer("closed", b"", {}, type(error).__name__)
