"""What a far side says, and what of it may be tried again: one table for both protocols.

Law of this file: only what the OTLP specification calls retryable is a `Retryable` ("Failures", "OTLP/HTTP
Response"), with the delay that was asked for, 0 for none; "too large" is a `TooLarge`, to be split; all else
is a `Permanent`. What cannot be read of a success is still a success: sending again would double it.
"""

import gzip
import io
import zlib
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple, Protocol

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_ext import __version__
from otel_ext.errors import OtelExtError, Permanent, Retryable, TooLarge
from otel_ext.telemetry import Telemetry

USER_AGENT: Final = f"OTel-OTLP-Exporter-otel_ext/{__version__}"
MOST_ANSWER: Final = 4 << 20
"""Bytes of an answer that are read, before and after decompression (checklist item 68)."""
_LONGEST_DELAY: Final = 3600.0
"""Seconds; whoever asks for longer is asked again after that."""
_RETRYABLE_GRPC: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_PROXY_413: Final = "status: 413"
"""Grpcio's words for a proxy that answers like a web server; gRPC has no code for that status."""
_RETRYABLE_HTTP: Final = frozenset({429, 502, 503, 504})


class Answer(NamedTuple):
    """A success: items rejected nevertheless, and why ("" for nothing). Never to be sent again.

    `readable` is false when what the far side said besides "OK" could not be read.
    """

    rejected: int
    message: str
    readable: bool = True


class Sender(Protocol):
    """Sends to one destination; used by many threads."""

    def send(self, telemetry: Telemetry, body: bytes) -> Answer:
        """Try once.

        Raises:
            Retryable: the same request may be sent again, not before `retry_after` seconds.
            TooLarge: it must be smaller.
            Permanent: never again.
        """
        ...

    def close(self) -> None:
        """Close the connection; tries under way fail."""
        ...


def success(body: bytes | None) -> Answer:
    """What an encoded response says; None when it was too long to be read.

    Responses for logs and metrics have the same fields on the wire.
    """
    if body is None:
        return Answer(0, "", readable=False)
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Answer(0, "", readable=False)
    return Answer(max(0, partial.rejected_spans), partial.error_message)


def grpc_failure(
    code: grpc.StatusCode, text: str, trailers: Iterable[tuple[str, str | bytes]]
) -> OtelExtError | None:
    """The error of a failed call; None when only the answer to a success was too long for us."""
    delay = _retry_info(trailers)
    words = f"{code.name}: {text}"
    if code in _RETRYABLE_GRPC or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None):
        return Retryable(words, min(delay or 0.0, _LONGEST_DELAY))
    if code is grpc.StatusCode.UNKNOWN and text.endswith(_PROXY_413):
        return TooLarge(words)
    if code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Permanent(words)
    # grpcio's own limits say on whose side they were met; on ours it was the answer that was too long.
    return None if "CLIENT: " in text and "larger than max" in text else TooLarge(words)


def http_failure(status: int, retry_after: str | None, text: str, now: float) -> OtelExtError:
    """The error of an answer other than 200; `now` is in seconds, for a `Retry-After` that is a date."""
    words = f"HTTP {status}{': ' if text else ''}{text}"
    if status in _RETRYABLE_HTTP:
        return Retryable(words, _delay(retry_after, now))
    return TooLarge(words) if status == 413 else Permanent(words)


def http_text(body: bytes | None) -> str:
    """The message of an error's body, "" when it is no google.rpc.Status."""
    try:
        return str(Status.FromString(body or b"").message)
    except DecodeError:
        return ""


def inflate(body: bytes, encoding: str) -> bytes | None:
    """An answer's body without its compression; None when it is too long, or not what it says."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        return None
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as stream:
            data = stream.read(MOST_ANSWER + 1)
    except (OSError, EOFError, zlib.error):
        return None
    return data if len(data) <= MOST_ANSWER else None


def _delay(text: str | None, now: float) -> float:
    """Seconds that `Retry-After` asks for: whole seconds or a date (RFC 9110); 0 when it says nothing."""
    text = (text or "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_DELAY)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, until - now), _LONGEST_DELAY)


def _retry_info(trailers: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Seconds of the RetryInfo among the trailers, in either of the places where servers put it."""
    for key, value in trailers:
        if not isinstance(value, bytes):
            continue
        try:
            if key == "google.rpc.retryinfo-bin":
                return _seconds(RetryInfo.FromString(value))
            if key == "grpc-status-details-bin":
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return _seconds(info)
        except DecodeError:
            continue
    return None


def _seconds(info: RetryInfo) -> float:
    seconds: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return max(0.0, seconds)
