"""An ASGI application served on a thread of its own, by uvicorn.

Law of this file: whatever comes in over a connection, an answer out of it is HTTP with a google.rpc.Status,
or the connection is closed; no connection holds anything for ever. uvicorn does the rest; what is changed
here are its answers in text, its lack of a time limit for a request's head, and its silence when a client
closes its sending side in the middle of a body.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from functools import partial
from typing import Any, Final, NamedTuple, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from otel_ext import otlp
from otel_ext.errors import Busy, InvalidRequest, OtelExtError

log = logging.getLogger(__name__)

_MAX_HEAD: Final = 32 << 10
"""Bytes of a request's head."""
_LINGER: Final = 2.0
"""Seconds in which what follows a malformed request is dropped."""


class Limits(NamedTuple):
    """What a client may hold.

    Attributes:
        head: seconds from a connection to the end of its first request's head.
        idle: seconds from an answer to the end of the next request's head; longer than exporters' intervals.
        body: seconds for a body to arrive.
        connections: open at one time; the next one is answered Busy.
    """

    head: float = 20.0
    idle: float = 120.0
    body: float = 60.0
    connections: int = 512


DEFAULT: Final = Limits()


class AsgiServer:
    """One application on one listening socket.

    Args:
        app: an ASGI application; it answers for all its own errors.
        listener: a socket that listens; closed by `stop`.
        name: the thread's name.
        limits: what a client may hold; the time for bodies is the application's to keep.
    """

    def __init__(self, app: Any, listener: socket.socket, *, name: str, limits: Limits = DEFAULT) -> None:
        self._listener = listener
        self._config = uvicorn.Config(
            app,
            http=cast("Any", partial(_Protocol, limits=limits)),
            ws="none",
            lifespan="off",
            interface="asgi3",
            loop="asyncio",
            log_config=None,
            log_level=logging.ERROR,  # at WARNING it has a line for every port scanner
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_MAX_HEAD,
        )
        self._server = _Server(self._config)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to serve; connections made before wait in the socket's queue."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it serves, or is yet to be started."""
        return self._thread.ident is None or self._thread.is_alive()

    def stop(self, grace: float) -> None:
        """Close the socket, let requests inside finish for `grace` seconds, then cut them off."""
        self._config.timeout_graceful_shutdown = cast("int", grace)  # need not be whole seconds
        self._server.end()
        if self._thread.ident is not None:
            self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._listener]))
        except BaseException:  # nobody is above; `alive` tells
            log.exception("the HTTP server has ended")


class _Server(uvicorn.Server):
    """Waits for its end; uvicorn's own looks for it ten times a second, which takes 0.2 % of a core."""

    _wake: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def main_loop(self) -> None:
        """Renew the Date header once a second until the end."""
        loop, ended = self._wake = asyncio.get_running_loop(), asyncio.Event()
        while not self.should_exit:
            await self.on_tick(0)
            waiter = loop.call_later(1.0, ended.set)
            await ended.wait()
            waiter.cancel()
            ended.clear()

    def end(self) -> None:
        """Ask for the end, from any thread."""
        self.should_exit = True
        if self._wake is not None:
            loop, ended = self._wake
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(ended.set)


class _Protocol(H11Protocol):
    """One connection."""

    def __init__(self, *, limits: Limits, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._half_closed = self._dropping = False
        self.timeout_keep_alive: Any = limits.idle  # which need not be whole seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end_after(self._limits.head)
        if len(self.connections) > self._limits.connections:
            self._refuse(Busy(f"more than {self._limits.connections} connections"))

    def data_received(self, data: bytes) -> None:
        # Unlike its original it leaves the timer alone: a head that comes byte by byte has to end, too.
        if not self._dropping:
            self.conn.receive_data(data)
            self.handle_events()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client will send no more, but may still read."""
        self._half_closed = True
        return self._goes_on()

    def on_response_complete(self) -> None:
        """Go on with the next request, if the client can have sent one."""
        super().on_response_complete()
        if self._half_closed and not self._goes_on():
            self.transport.close()

    def _goes_on(self) -> bool:
        """Whether a request is still to be answered, now that no more will come."""
        if not self._dropping and self.conn.their_state is h11.SEND_BODY:
            self._refuse(InvalidRequest("the body ends before its Content-Length or its last chunk"))
        return not self._dropping and self._open_cycle() is not None

    def send_400_response(self, msg: str) -> None:
        self._refuse(InvalidRequest("this is not HTTP/1.1"))

    def _refuse(self, error: OtelExtError) -> None:
        """Answer, where no answer was begun, and close."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            status, headers, body = answer(error, self.headers or [])
            response = h11.Response(status_code=status, headers=[*headers, (b"connection", b"close")])
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            # Closed for good when the client's side is: with bytes unread that would take the answer back.
            self._dropping = True
            self.flow.resume_reading()
            self.transport.write_eof()
            self._end_after(_LINGER)
        if self._half_closed or not self._dropping:
            self.transport.close()
        if (cycle := self._open_cycle()) is not None:
            cycle.disconnected = True
            cycle.message_event.set()

    def _end_after(self, seconds: float) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _open_cycle(self) -> RequestResponseCycle | None:
        """The request that is not answered to the end."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle if cycle is not None and not cycle.response_complete else None


PROTOBUF: Final = b"application/x-protobuf"
JSON: Final = b"application/json"


def media_type(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The Content-Type of a request, less its parameters; b"" without one."""
    for name, value in headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""


def answer(
    error: Exception, headers: list[tuple[bytes, bytes]]
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body that tell of an error, in the encoding of the request with these headers.

    A request in neither encoding is answered in JSON, which people can read.
    """
    told = otlp.http_status(error)
    protobuf = media_type(headers) == PROTOBUF
    body = told.protobuf if protobuf else told.json
    found = [(b"content-type", PROTOBUF if protobuf else JSON), (b"content-length", b"%d" % len(body))]
    if told.retry_after is not None:
        found.append((b"retry-after", b"%d" % told.retry_after))
    return told.status, found, body
