"""OTLP/HTTP, sending protobuf over connections that are kept.

Law of this file: as in `grpc`. Made of the standard library's client, because nothing more is needed than
keep-alive, a socket of our own choice and an answer that is read to a limit; it costs no memory that is not
there already.
"""

import contextlib
import gzip
import http.client
import socket
import ssl
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import ConfigError, Retryable
from otel_ext.exporters.answers import (
    MOST_ANSWER,
    USER_AGENT,
    Answer,
    http_failure,
    http_text,
    inflate,
    success,
)
from otel_ext.exporters.settings import ForwarderSettings, check_headers
from otel_ext.telemetry import Telemetry

_LEVEL: Final = 1
"""Of gzip: agents' spans shrink to a tenth with it, at a fifth of the time of the default level."""
_STALE: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
"""How a connection that the far side closed while it was idle shows itself."""


class _Place(NamedTuple):
    """Where one telemetry goes: `host` is a path when `scheme` is unix."""

    scheme: str
    host: str
    port: int
    path: str


class HttpSender:
    """Sends encoded requests to one HTTP endpoint, a connection for each request under way.

    Raises:
        ConfigError: an endpoint is not of a form that it knows, a file cannot be read, or a header cannot be
            sent.
    """

    def __init__(self, settings: ForwarderSettings, clock: Clock | None = None) -> None:
        check_headers(settings)
        self._settings, self._clock = settings, clock or SystemClock()
        exact = (settings.traces_endpoint, settings.logs_endpoint, settings.metrics_endpoint)
        self._places = {
            telemetry: _place(own) if own else _place(settings.endpoint, f"/v1/{telemetry.value}")
            for telemetry, own in zip(Telemetry, exact, strict=True)
        }
        self._tls: ssl.SSLContext | None = None
        if any(place.scheme == "https" for place in self._places.values()):
            self._tls = _tls(settings)
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "gzip",
            **settings.headers,
        }
        if settings.compression == "gzip":
            self._headers["Content-Encoding"] = "gzip"
        self._idle: list[tuple[_Place, http.client.HTTPConnection]] = []
        self._busy = set[http.client.HTTPConnection]()
        self._closed = False

    def send(self, telemetry: Telemetry, body: bytes) -> Answer:
        """Try once; see `Sender`."""
        place = self._places[telemetry]
        if self._settings.compression == "gzip":
            body = gzip.compress(body, _LEVEL, mtime=0)
        end = self._clock.monotonic() + int(self._settings.timeout * 1e9)
        while True:
            connection, used = self._connection(place)
            self._busy.add(connection)
            try:
                if self._closed:
                    raise http.client.HTTPException("closed")  # noqa: TRY301 - as if it had been cut
                return self._try(place, connection, body, end)
            except _STALE as error:
                connection.close()
                if not used:
                    raise _dropped(error) from error
                # Closed while it was idle: on a new one, at once.
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise _dropped(error) from error
            finally:
                self._busy.discard(connection)

    def close(self) -> None:
        """Close the connections; tries under way fail."""
        self._closed = True
        for connection in list(self._busy):
            sock = connection.sock
            if sock is not None:
                with contextlib.suppress(OSError):  # it has just ended
                    sock.shutdown(socket.SHUT_RDWR)
        while self._idle:
            self._idle.pop()[1].close()

    def _connection(self, place: _Place) -> tuple[http.client.HTTPConnection, bool]:
        """A connection to a place, and whether it was used before."""
        for number in reversed(range(len(self._idle))):
            try:
                kept, connection = self._idle[number]
                if kept[:3] == place[:3]:
                    del self._idle[number]
                    return connection, True
            except IndexError:  # another thread took it
                continue
        timeout = self._settings.timeout
        if place.scheme == "unix":
            return _UnixConnection(place.host, timeout), False
        if place.scheme == "https":
            return http.client.HTTPSConnection(
                place.host, place.port, timeout=timeout, context=self._tls
            ), False
        return http.client.HTTPConnection(place.host, place.port, timeout=timeout), False

    def _try(self, place: _Place, connection: http.client.HTTPConnection, body: bytes, end: int) -> Answer:
        whole = True
        try:
            connection.request("POST", place.path, body, self._headers)
        except (BrokenPipeError, ConnectionResetError):
            whole = False  # a request that is too large may be answered sooner; if not, the next line fails
        response = connection.getresponse()
        data = self._read(response, end)
        if data is None or response.will_close or self._closed or not whole:
            connection.close()
        else:
            self._idle.append((place, connection))
        encoding = (response.headers.get("Content-Encoding") or "").strip().lower()
        said = inflate(data, encoding) if data is not None else None
        if response.status == http.client.OK:
            if not whole:
                raise http.client.HTTPException("200 to half a request")
            return success(said)
        after = response.headers.get("Retry-After")
        raise http_failure(response.status, after, http_text(said), self._clock.now() / 1e9)

    def _read(self, response: http.client.HTTPResponse, end: int) -> bytes | None:
        """An answer's body; None when it is too long or comes too slowly, whatever it says."""
        data = bytearray()
        while chunk := response.read1(65_536):
            data += chunk
            if len(data) > MOST_ANSWER or self._clock.monotonic() > end:
                return None
        response.read()  # nothing is left, but only this tells the connection so
        return bytes(data)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix domain socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _place(endpoint: str, path: str = "") -> _Place:
    wrong = ConfigError(f"{endpoint!r} is not an OTLP/HTTP endpoint like http://127.0.0.1:4318")
    if endpoint.startswith("unix:"):
        where = endpoint.removeprefix("unix:")
        where = where.removeprefix("//") if where.startswith("///") else where
        if not where.startswith("/"):
            raise wrong
        return _Place("unix", where, 0, path or "/v1/traces")
    url = urlsplit(endpoint)
    try:
        port = url.port
    except ValueError:
        raise wrong from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise wrong
    target = url.path.rstrip("/") + path if path else url.path or "/"
    target += f"?{url.query}" if url.query else ""
    return _Place(url.scheme, url.hostname, port or (443 if url.scheme == "https" else 80), target)


def _tls(settings: ForwarderSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"the certificates of {settings.name} cannot be used: {error}") from error
    return context


def _dropped(error: Exception) -> Retryable:
    return Retryable(f"{type(error).__name__}: {error}", 0.0)
