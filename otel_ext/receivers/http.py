"""OTLP/HTTP: `POST /v1/traces`, `/v1/logs` and `/v1/metrics`, protobuf and JSON.

Law of this file: nothing is read that is refused anyway, no body is taken into memory without room for it
(`Budget`), and nothing blocks the event loop: decompressing, JSON and `accept`, which waits for the disk, run
on a few threads. Errors are mapped by `otlp.status`; no exception's text reaches a client.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from otel_ext import otlp, timestamps
from otel_ext.errors import (
    Busy,
    NoSuchPath,
    OtelExtError,
    Retryable,
    ShuttingDown,
    TooLarge,
    Unsupported,
    WrongMethod,
)
from otel_ext.receivers.asgi import DEFAULT, JSON, PROTOBUF, AsgiServer, Limits, answer, media_type
from otel_ext.receivers.body import Body, Headers
from otel_ext.receivers.budget import Budget, Share
from otel_ext.receivers.endpoint import UNIX, identity_of, listen, remove
from otel_ext.receivers.inflate import beginning, encodings, inflate
from otel_ext.receivers.refusals import count_refused
from otel_ext.receivers.threads import Threads
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry
from otel_ext.turns import PLACES, WAITING, Turns

log = logging.getLogger(__name__)

DEFAULT_MAX_BYTES: Final = 64 << 20
"""Largest body, before and after decompression (opentelemetry-proto 1.11 recommends 64 MiB)."""
PATHS: Final = {f"/v1/{telemetry.value}": telemetry for telemetry in Telemetry}
_THREADS: Final = PLACES + WAITING
"""Most of them wait for their turn."""
_LARGE_JSON: Final = 256 << 10
"""Bytes of JSON from which one body is read at a time: its objects take many times its memory."""
_JSON_OBJECTS: Final = 4 << 20
"""Most objects and arrays of one body. Measured, 64 MiB of spans with 12 attributes have 2.3 million of them
and take 0.8 GiB while they are read; 64 MiB of `{}` have 22 million and took 1.7 GiB."""
_JSON_TURN: Final = 10.0
"""Seconds to wait for that turn."""

_Accept = Callable[[bytes, Telemetry], tuple[int, int, str]]


class HttpReceiver:
    """One HTTP server on one address.

    Args:
        accept: takes an encoded request and returns `(received, rejected, message)` once it is durable.
        endpoint: `HOST:PORT` (port 0 picks a free one) or `unix:///path`.
        max_bytes: largest body, before and after decompression.
        budget: bytes that all bodies together may take up.
        turns: waited for before a body is decompressed or read as JSON.
        paths: path -> what is posted there.
        limits: what a client may hold.

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
        turns: Turns | None = None,
        paths: Mapping[str, Telemetry] = PATHS,
        limits: Limits = DEFAULT,
    ) -> None:
        listener, self.endpoint = listen(endpoint, flag="--http")
        self._identity = identity_of(endpoint) if endpoint.startswith(UNIX) else None
        self._door = _Door(
            accept,
            stats=stats,
            max_bytes=max_bytes,
            budget=budget or Budget(4 * max_bytes),
            turns=turns or Turns(),
            paths=paths,
            patience=limits.body,
        )
        self._server = AsgiServer(self._door, listener, name="otel-ext-http", limits=limits)

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    @property
    def alive(self) -> bool:
        """False once its thread has ended on its own, which is a defect."""
        return self._server.alive

    def stop(self, grace: float) -> None:
        """Refuse new connections, let requests inside finish for `grace` seconds."""
        self._server.stop(grace)
        if self._identity is not None:
            remove(self.endpoint, self._identity)
        self._door.close()


class _Door:
    """The application."""

    def __init__(
        self,
        accept: _Accept,
        *,
        stats: Stats,
        max_bytes: int,
        budget: Budget,
        turns: Turns,
        paths: Mapping[str, Telemetry],
        patience: float,
    ) -> None:
        self._accept, self._stats, self._max_bytes = accept, stats, max_bytes
        self._budget, self._turns, self._paths, self._patience = budget, turns, paths, patience
        self._threads = Threads(_THREADS, "otel-ext-http")
        self._large_json = threading.Lock()

    def close(self) -> None:
        """Free the threads, once what runs on them is done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request (ASGI)."""
        body = Body(receive, scope["headers"])
        try:
            telemetry = self._route(scope)
            json, encoding = _encodings(body.headers)
            self._threads.check()
            with self._budget.share() as share:
                data = await body.read(self._max_bytes, share, self._patience)
                if data is None:
                    return  # the client has gone
                work = partial(self._work, telemetry, json, encoding, data, share)
                del data
                content = await asyncio.get_running_loop().run_in_executor(self._threads, work)
            kind = JSON if json else PROTOBUF
            status, headers = 200, [(b"content-type", kind), (b"content-length", b"%d" % len(content))]
        except OtelExtError as error:
            count_refused(self._stats, "http", error)
            status, headers, content = answer(error, body.headers)
            if isinstance(error, WrongMethod):
                headers.append((b"allow", b"POST"))
        except asyncio.CancelledError:  # the time for stopping is over; it may be stored or not
            leaving = ShuttingDown("the server is shutting down; send this again to its successor")
            status, headers, content = answer(leaving, body.headers)
            body.abandon()
        except Exception:  # its text must not reach a client, and the client must keep its data
            log.exception("a request could not be handled")
            self._stats.add("otel_ext.receiver.defects")
            defect = Retryable("the server could not handle the request; try again")
            status, headers, content = answer(defect, body.headers)
        await body.finish(send, status, headers, content)

    def _route(self, scope: Any) -> Telemetry:
        path: str = scope["path"]
        if not path.startswith("/"):  # absolute form, which a server must accept (RFC 9112, section 3.2.2)
            path = "/" + path.partition("://")[2].partition("/")[2]
        telemetry = self._paths.get(path)
        if telemetry is None:
            raise NoSuchPath(f"this path is not served; these are: {', '.join(self._paths)}")
        if scope["method"] != "POST":
            raise WrongMethod("telemetry is sent with POST")
        return telemetry

    def _work(self, telemetry: Telemetry, json: bool, encoding: str, data: bytes, share: Share) -> bytes:
        """On a thread: the answer to a request."""
        if encoding or json:
            data = self._decoded(telemetry, json, encoding, data, share)
        _, rejected, message = self._accept(data, telemetry)
        return (otlp.success_json if json else otlp.success)(telemetry, rejected, message)

    def _decoded(self, telemetry: Telemetry, json: bool, encoding: str, data: bytes, share: Share) -> bytes:
        if encoding:
            with self._turns.of(_sender(data, encoding), len(data)):
                data = inflate(data, encoding, limit=self._max_bytes, share=share)
        return self._from_json(telemetry, data) if json else data

    def _from_json(self, telemetry: Telemetry, data: bytes) -> bytes:
        turn = self._turns.of(_sender(data), len(data))
        if len(data) < _LARGE_JSON:
            with turn:
                return otlp.read_json(telemetry, data, instant=_instant)
        if data.count(b"{") + data.count(b"[") > _JSON_OBJECTS:
            raise TooLarge(f"the JSON has more than {_JSON_OBJECTS} objects and arrays; send smaller batches")
        if not self._large_json.acquire(timeout=_JSON_TURN):
            raise Busy("other large requests in JSON are being read")
        try:
            with turn:
                return otlp.read_json(telemetry, data, instant=_instant)
        finally:
            self._large_json.release()


def _sender(data: bytes, encoding: str = "") -> str:
    """The service that sent a body, as far as its first bytes tell."""
    return otlp.service_name(beginning(data, encoding) if encoding else data)


def _encodings(headers: Headers) -> tuple[bool, str]:
    """Whether the body is JSON, and its compression ("" for none).

    Raises:
        Unsupported: it is of another type or compression.
    """
    kind = media_type(headers)
    if kind not in (PROTOBUF, JSON):
        raise Unsupported("Content-Type must be application/x-protobuf or application/json")
    encoding = ", ".join(
        value.decode("latin-1").lower() for name, value in headers if name == b"content-encoding"
    )
    if encoding in ("", "identity"):
        return kind == JSON, ""
    if encoding not in encodings():
        raise Unsupported(f"Content-Encoding must be one of: identity, {', '.join(encodings())}")
    return kind == JSON, encoding


def _instant(value: object) -> int:
    return timestamps.parse_instant(value)[0]
