"""OTLP/gRPC, sending raw bytes.

Law of this file: it retries only what the OTLP specification calls retryable, waits as long as the server
asks, never retries a partial success, and gives up after a bounded time with a `Retryable` error.
"""

import random
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_ext.errors import ConfigError, Permanent, Retryable

METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""OTLP 1.11, "Failures"; RESOURCE_EXHAUSTED only when the server adds RetryInfo."""


class Sent(NamedTuple):
    """What the far side said of a request: spans rejected, and why ("" for nothing)."""

    rejected: int
    message: str


class GrpcExporter:
    """Sends encoded trace requests to one endpoint.

    Args:
        url: `http://host:port`, or `host:port`.
        timeout: seconds for one try.
        give_up: seconds after which a request that may be retried is given up.
        waiting: told, once a request, why it is being retried.

    Raises:
        ConfigError: the URL is not of that form.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        give_up: float = 60.0,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        scheme, separator, rest = url.rpartition("://")
        target = rest.rstrip("/")
        if (separator and scheme != "http") or not target.rpartition(":")[2].isdigit():
            raise ConfigError(f"{url!r} is not an OTLP/gRPC endpoint like http://127.0.0.1:4317")
        self._channel = grpc.insecure_channel(target, options=[("grpc.max_send_message_length", -1)])
        self._call = self._channel.unary_unary(METHOD)
        self._timeout, self._give_up, self._waiting = timeout, give_up, waiting

    def send(self, body: bytes) -> Sent:
        """Send one request, retrying while that is allowed and useful.

        Raises:
            Permanent: the far side refuses it for good.
            Retryable: it could not be delivered within `give_up` seconds.
        """
        waited, backoff = 0.0, 0.2
        while True:
            try:
                answer = self._call(body, timeout=self._timeout)
            except grpc.RpcError as error:
                delay = _asked(error)
                code = error.code()
                if code not in _RETRYABLE and not (
                    code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None
                ):
                    raise Permanent(
                        f"the endpoint refuses the request: {code.name}: {error.details()}"
                    ) from error
                if waited >= self._give_up:
                    raise Retryable(
                        f"not delivered in {waited:.0f} s: {code.name}: {error.details()}"
                    ) from error
                if not waited and self._waiting is not None:
                    self._waiting(f"{code.name}: {error.details()}")
                pause = max(delay or 0.0, backoff * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
                threading.Event().wait(pause)
                waited, backoff = waited + pause, min(backoff * 1.5, 5.0)
                continue
            partial = ExportTraceServiceResponse.FromString(answer).partial_success
            return Sent(partial.rejected_spans, partial.error_message)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _asked(error: grpc.RpcError) -> float | None:
    """Seconds of the RetryInfo that the server sent, or None."""
    for key, value in error.trailing_metadata() or ():
        if key == "google.rpc.retryinfo-bin":
            try:
                info = RetryInfo.FromString(value)
            except DecodeError:
                return None
            seconds: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
            return seconds
    return None
