"""OTLP/gRPC, sending raw bytes.

Law of this file: it tries once; what may be tried again is said by `answers`.
"""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import grpc

from otel_ext.errors import ConfigError
from otel_ext.exporters.answers import MOST_ANSWER, USER_AGENT, Answer, grpc_failure, success
from otel_ext.exporters.settings import ForwarderSettings, check_headers
from otel_ext.telemetry import Telemetry

_PACKAGE: Final = "/opentelemetry.proto.collector"
METHODS: Final = {
    Telemetry.TRACES: f"{_PACKAGE}.trace.v1.TraceService/Export",
    Telemetry.LOGS: f"{_PACKAGE}.logs.v1.LogsService/Export",
    Telemetry.METRICS: f"{_PACKAGE}.metrics.v1.MetricsService/Export",
}
METHOD: Final = METHODS[Telemetry.TRACES]
_RECONNECT: Final = 5000
"""Longest pause between gRPC's own tries to connect, ms; its default of two minutes outlasts outages."""


class GrpcSender:
    """Sends encoded requests to one gRPC endpoint over one connection.

    Raises:
        ConfigError: the endpoint is not of a form that it knows, a file cannot be read, or a header cannot be
            sent.
    """

    def __init__(self, settings: ForwarderSettings) -> None:
        check_headers(settings)
        target, secure = _target(settings.endpoint)
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", MOST_ANSWER),
            ("grpc.primary_user_agent", USER_AGENT),
            ("grpc.max_reconnect_backoff_ms", _RECONNECT),
            # A channel of the same target and options would share the connection, and its fate.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        compression = grpc.Compression.Gzip if settings.compression == "gzip" else None
        if secure:
            self._channel = grpc.secure_channel(target, _credentials(settings), options, compression)
        else:
            self._channel = grpc.insecure_channel(target, options, compression)
        self._calls = {telemetry: self._channel.unary_unary(method) for telemetry, method in METHODS.items()}
        self._metadata = tuple((key.lower(), value) for key, value in settings.headers.items())
        self._timeout = settings.timeout

    def send(self, telemetry: Telemetry, body: bytes) -> Answer:
        """Try once; see `Sender`."""
        try:
            answer = self._calls[telemetry](body, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            trailers = error.trailing_metadata() or ()
            failure = grpc_failure(error.code(), error.details() or "", trailers)
            if failure is None:
                return success(None)
            raise failure from error
        return success(answer)

    def close(self) -> None:
        """Close the connection; tries under way fail."""
        self._channel.close()


def _target(endpoint: str) -> tuple[str, bool]:
    """GRPC's name of an endpoint, and whether it is spoken to over TLS."""
    wrong = ConfigError(f"{endpoint!r} is not an OTLP/gRPC endpoint like http://127.0.0.1:4317")
    if endpoint.startswith("unix:"):
        path = endpoint.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path.startswith("/"):
            raise wrong
        return f"unix:{path}", False
    url = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    try:
        port = url.port
    except ValueError:
        raise wrong from None
    if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/") or url.query:
        raise wrong
    if port is None and "://" not in endpoint:
        raise wrong
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{host}:{port or (443 if url.scheme == 'https' else 80)}", url.scheme == "https"


def _credentials(settings: ForwarderSettings) -> grpc.ChannelCredentials:
    try:
        files = [
            Path(path).read_bytes() if path else None
            for path in (settings.ca_file, settings.key_file, settings.cert_file)
        ]
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from error
    return grpc.ssl_channel_credentials(*files)
