"""What a forwarder is built from, and OpenTelemetry's environment variables as such settings.

Law of this file: defaults are the Collector's exporterhelper's where it has one (retry 5 s, x1.5, 30 s), but
what is on disk is kept until its budget is full, not for five minutes.
"""

import os
import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

from otel_ext.errors import ConfigError
from otel_ext.telemetry import Telemetry

MIB: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_MILLISECONDS: Final = 1000.0


class ForwarderSettings(msgspec.Struct, kw_only=True, frozen=True):
    """One destination. Times in seconds, sizes in bytes.

    Attributes:
        name: unique among destinations; its place in the journal is found by it.
        protocol: how it is spoken to.
        endpoint: `http://host:port`, `https://host:port` or `unix:///path`; gRPC also `host:port`. With HTTP,
            `/v1/traces`, `/v1/logs` or `/v1/metrics` is added.
        traces_endpoint, logs_endpoint, metrics_endpoint: with HTTP, one telemetry's own, used as it is.
        headers: sent with each request (gRPC metadata).
        compression: of requests.
        ca_file, cert_file, key_file: with https, PEM files: who is trusted ("": the system's), who we are.
        timeout: for one try.
        retry_initial, retry_max: first and longest pause between tries; they grow by half, +-50 % jitter.
        max_elapsed: from the first try on, after which a batch is dropped ("expired"); 0: never.
        queue_bytes: journal bytes that may wait; beyond it the oldest are dropped ("overflow").
        consumers: requests under way at a time; above 1 they may arrive out of order.
        max_request_bytes: of one request before compression; larger ones are split first.
        batch_bytes: waiting records are joined up to it.
        linger: longest wait for more records to join.
        derived_only: only findings and ends of sessions go there.
        retry: whether what may be tried again is; otherwise it is dropped after one try ("expired").
        telemetries: what is sent there.
        acknowledges: requests are acknowledged only once they are delivered there (`ack: forwarded`).
    """

    name: str
    protocol: Literal["grpc", "http"] = "grpc"
    endpoint: str
    traces_endpoint: str = ""
    logs_endpoint: str = ""
    metrics_endpoint: str = ""
    headers: Mapping[str, str] = {}
    compression: Literal["gzip", "none"] = "gzip"
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    timeout: float = 10.0
    retry_initial: float = 5.0
    retry_max: float = 30.0
    max_elapsed: float = 0.0
    queue_bytes: int = 1024 * MIB
    consumers: int = 1
    max_request_bytes: int = 64 * MIB
    batch_bytes: int = MIB
    linger: float = 0.0
    derived_only: bool = False
    acknowledges: bool = False
    retry: bool = True
    telemetries: frozenset[Telemetry] = frozenset(Telemetry)


def check_headers(settings: ForwarderSettings) -> None:
    """Whether both protocols can send these headers: printable ASCII, names as in RFC 9110, section 5.1.

    Raises:
        ConfigError: one cannot be sent, which each request would fail with; values are never shown.
    """
    for key, value in settings.headers.items():
        if not _NAME.fullmatch(key):
            raise ConfigError(f"{settings.name} cannot send a header of the name {key!r}")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise ConfigError(
                f"{settings.name} cannot send the header {key}: its value has a line break, or another "
                f"character that is no printable ASCII"
            )


def settings_from_environment(
    name: str = "otlp",
    telemetry: Telemetry = Telemetry.TRACES,
    environment: Mapping[str, str] | None = None,
) -> ForwarderSettings:
    """What `OTEL_EXPORTER_OTLP_*` says (OpenTelemetry specification, "OTLP Exporter Configuration").

    `OTEL_EXPORTER_OTLP_TRACES_*` (or `LOGS`, `METRICS`) wins; with HTTP such an endpoint is used as it is.
    The protocol is http/protobuf unless stated; http/json is spoken as http/protobuf, which every endpoint of
    the one takes as well. A timeout below 1000 is taken as seconds, as Python's SDK does, from there on as
    milliseconds, as the specification says.

    Raises:
        ConfigError: a value cannot be used.
    """
    environment = os.environ if environment is None else environment
    own = f"OTEL_EXPORTER_OTLP_{telemetry.value.upper()}_"

    def value(key: str, default: str = "") -> str:
        return environment.get(own + key) or environment.get(f"OTEL_EXPORTER_OTLP_{key}") or default

    protocols: dict[str, Literal["grpc", "http"]] = {
        "grpc": "grpc",
        "http/protobuf": "http",
        "http/json": "http",
    }
    spoken = value("PROTOCOL", "http/protobuf")
    if spoken not in protocols:
        raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {spoken!r}; known are {', '.join(protocols)}")
    protocol = protocols[spoken]
    compression = value("COMPRESSION", "none")
    if compression not in {"gzip", "none"}:
        raise ConfigError(f"OTEL_EXPORTER_OTLP_COMPRESSION is {compression!r}; known are gzip, none")
    try:
        timeout = float(value("TIMEOUT", "10"))
    except ValueError:
        timeout = 0.0
    if not timeout > 0:
        raise ConfigError(f"OTEL_EXPORTER_OTLP_TIMEOUT is {value('TIMEOUT')!r}, not a number of seconds")
    if timeout >= _MILLISECONDS:
        timeout /= 1000
    endpoint = value("ENDPOINT", f"http://localhost:{4317 if protocol == 'grpc' else 4318}")
    if "://" not in endpoint and not endpoint.startswith("unix:"):
        endpoint = ("http://" if value("INSECURE").lower() == "true" else "https://") + endpoint
    settings = ForwarderSettings(
        name=name,
        protocol=protocol,
        endpoint=endpoint,
        headers=_headers(value("HEADERS")),
        compression="gzip" if compression == "gzip" else "none",
        ca_file=value("CERTIFICATE"),
        cert_file=value("CLIENT_CERTIFICATE"),
        key_file=value("CLIENT_KEY"),
        timeout=timeout,
    )
    if protocol == "http" and (whole := environment.get(f"{own}ENDPOINT")):
        return msgspec.structs.replace(settings, **{f"{telemetry.value}_endpoint": whole})
    return settings


def _headers(text: str) -> dict[str, str]:
    """W3C baggage form: `key=value,key2=value2`, values percent-encoded."""
    headers = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError("OTEL_EXPORTER_OTLP_HEADERS must be like key=value,key2=value2")
        headers[key.strip().lower()] = unquote(value.strip())
    return headers
