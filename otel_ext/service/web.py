"""A very small HTTP server for probes and scrapers: GET of a few paths, one answer a connection.

Law of this file: it costs nothing while nobody asks (one thread, asleep in `select` without a time limit),
and nobody can make it cost much: so many connections, so long a head, so many seconds, then the connection
goes. It is not the door of telemetry and reads no body.
"""

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import ConfigError

log = logging.getLogger(__name__)

_CONNECTIONS: Final = 32
"""Most connections at one time; beyond it the oldest is closed."""
_HEAD: Final = 8 << 10
"""Longest request head in bytes."""
_PATIENCE: Final = 5
"""Seconds for a request's head, and for its answer to be taken."""
_REASONS: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error"}


class Answer(NamedTuple):
    """What a path answers."""

    status: int
    type: str
    body: str


Routes = Mapping[str, Callable[[], Answer]]
"""Answers by path."""


class SideServer:
    """Serves paths on addresses; `start`, then `stop` from any thread."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._connections: dict[socket.socket, tuple[Routes, int, bytearray]] = {}
        self._pause = threading.Event()  # set once it stops
        self._thread = threading.Thread(target=self._run, name="otel-ext-side", daemon=True)

    def listen(self, endpoint: str, routes: Routes) -> str:
        """Serve `routes` on HOST:PORT too; the endpoint with its port resolved.

        Raises:
            ConfigError: the address cannot be bound.
        """
        host, _, port = endpoint.rpartition(":")
        host = host.strip("[]")
        try:
            found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
            listener = socket.create_server(address[:2], family=family, backlog=_CONNECTIONS)
        except OSError as error:
            raise ConfigError(f"cannot listen on {endpoint}: {error.strerror or error}") from error
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, routes)
        return f"{host}:{listener.getsockname()[1]}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Close all sockets."""
        self._pause.set()
        self._wake.send(b"x")
        if self._thread.ident is not None:
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
        self._wake.close()

    def _run(self) -> None:
        while not self._pause.is_set():
            ends = [deadline for _, deadline, _ in self._connections.values()]
            timeout = max(0.0, (min(ends) - self._clock.monotonic()) / 1e9) if ends else None
            for key, _ in self._selector.select(timeout):
                found = key.fileobj
                assert isinstance(found, socket.socket)
                if key.data is not None:
                    self._accept(found, key.data)
                elif found in self._connections:
                    self._read(found)
            now = self._clock.monotonic()
            for late in [each for each, (_, end, _) in self._connections.items() if end <= now]:
                self._close(late)

    def _accept(self, listener: socket.socket, routes: Routes) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # it went away again
        except OSError:  # no descriptor is free: the listener stays ready, so do not ask again at once
            self._pause.wait(0.5)
            return
        connection.setblocking(False)
        if len(self._connections) >= _CONNECTIONS:
            self._close(next(iter(self._connections)))
        self._connections[connection] = (routes, self._clock.monotonic() + _PATIENCE * 10**9, bytearray())
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        routes, _, head = self._connections[connection]
        try:
            part = connection.recv(_HEAD)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        head += part
        whole = b"\r\n\r\n" in head or b"\n\n" in head
        if part and not whole and len(head) <= _HEAD:
            return
        if whole:
            with contextlib.suppress(OSError):
                connection.settimeout(_PATIENCE)
                connection.sendall(_response(bytes(head), routes))
        self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        del self._connections[connection]
        self._selector.unregister(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        connection.close()


def _response(head: bytes, routes: Routes) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.split(b" ", 1)[0].partition(b"?")[0].decode("latin-1")
    if method not in {b"GET", b"HEAD"}:
        answer = Answer(405, "text/plain", "GET is all there is\n")
    elif path not in routes:
        answer = Answer(404, "text/plain", "here are: " + " ".join(routes) + "\n")
    else:
        try:
            answer = routes[path]()
        except Exception:  # a probe must get an answer, whatever is wrong with us
            log.exception("a probe could not be answered")
            answer = Answer(500, "text/plain", "this could not be answered\n")
    body = answer.body.encode()
    allow = "Allow: GET, HEAD\r\n" if answer.status == 405 else ""
    text = (
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Service Unavailable')}\r\n"
        f"Content-Type: {answer.type}\r\nContent-Length: {len(body)}\r\n{allow}Connection: close\r\n\r\n"
    )
    return text.encode("latin-1") + (b"" if method == b"HEAD" else body)
