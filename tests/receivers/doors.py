"""A door over a plain function, and a raw HTTP client that checks each answer's form."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

from google.rpc.status_pb2 import Status

from otel_ext.receivers import HttpReceiver
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PATIENCE = 60.0

Answer = tuple[int, int, str]


class Engine:
    """What stands behind a door in these tests: it keeps what was accepted."""

    def __init__(self) -> None:
        self.accepted: list[tuple[Telemetry, bytes]] = []
        self.behave: Callable[[bytes], Answer] = lambda _: (1, 0, "")
        self._lock = threading.Lock()

    def accept(self, body: bytes, telemetry: Telemetry) -> Answer:
        """As `Intake.accept`."""
        answer = self.behave(body)
        with self._lock:
            self.accepted.append((telemetry, body))
        return answer


@contextlib.contextmanager
def http_door(engine: Engine, endpoint: str = "127.0.0.1:0", **options: Any) -> Iterator[HttpReceiver]:
    """A running HTTP door."""
    door = HttpReceiver(engine.accept, endpoint, stats=Stats(), **options)
    door.start()
    try:
        yield door
    finally:
        door.stop(5.0)


class Reply(NamedTuple):
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> Status:
        """The body as a google.rpc.Status, in the encoding that the headers tell."""
        assert self.status >= 400
        if self.headers["content-type"] == PROTOBUF:
            return Status.FromString(self.body)
        assert self.headers["content-type"] == JSON
        told = json.loads(self.body)
        return Status(code=told["code"], message=told["message"])


class Wire:
    """A connection on which anything can be written."""

    def __init__(self, endpoint: str) -> None:
        if endpoint.startswith("unix://"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(endpoint.removeprefix("unix://"))
        else:
            host, _, port = endpoint.rpartition(":")
            self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.stream = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Write, whatever the far side thinks of it."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def finish(self) -> None:
        """Close the sending side only."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reply(self, method: str = "POST") -> Reply | None:
        """The next response; None when the connection is closed instead."""
        try:
            if not self.stream.peek(1):
                return None
            response = http.client.HTTPResponse(_Stream(self.stream), method=method)  # type: ignore[arg-type]
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, headers, response.read())
        except ConnectionResetError:
            return None

    def ask(self, body: bytes = b"", path: str = "/v1/traces", method: str = "POST", **headers: str) -> Reply:
        """Send a request (as `message`) and read its response."""
        self.send(message(body, path, method, **headers))
        found = self.reply()
        assert found is not None
        return found

    def closed(self) -> bool:
        """Wait for the far side's end; whether nothing came before it."""
        try:
            return self.stream.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Close both sides."""
        self.stream.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Stream:
    """Lets HTTPResponse read from a stream that it does not own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def makefile(self, _mode: str) -> Any:
        """The stream, not to be closed."""
        return _Unclosed(self._stream)


class _Unclosed:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        """Left to its owner."""

    def flush(self) -> None:
        """Nothing is written."""


def message(body: bytes = b"", path: str = "/v1/traces", method: str = "POST", **headers: str) -> bytes:
    """An encoded HTTP/1.1 request; a header named `x_y` is `X-Y`, one given as "" is left out."""
    fields = {"host": "tests", "content-type": PROTOBUF, "content-length": str(len(body))}
    fields |= {name.replace("_", "-").lower(): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body
