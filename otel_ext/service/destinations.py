"""Where telemetry is sent on to: the sections `exporters.otlp` and `exporters.otlphttp`, checked.

Law of this file: nothing is sent in the clear that the Collector would send encrypted. TLS is not there yet,
so whatever asks for it, also by leaving out `tls.insecure`, is an error and not a plain connection.
"""

import os
from typing import Final
from urllib.parse import urlsplit

import msgspec

from otel_ext.errors import ConfigError
from otel_ext.exporters import ForwarderSettings, check_headers, settings_from_environment
from otel_ext.service.fit import Origins, at
from otel_ext.service.shape import ExportersConfig, OtlpExporterConfig, QueueConfig
from otel_ext.telemetry import Telemetry

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def destinations(
    exporters: ExportersConfig, wanted: dict[str, frozenset[Telemetry]] | None, origins: Origins
) -> tuple[ForwarderSettings, ...]:
    """All destinations that are configured.

    Args:
        exporters: the section.
        wanted: which telemetry the pipelines send to which exporter; None without pipelines.
        origins: where values were written.

    Raises:
        ConfigError: an endpoint is missing or no endpoint, TLS is asked for, a header cannot be sent, or
            nothing is sent there.
    """
    everything = frozenset(Telemetry)
    found = []
    for protocol, named in (("grpc", exporters.otlp), ("http", exporters.otlphttp)):
        for name, config in named.items():
            assert isinstance(config, OtlpExporterConfig)
            if wanted is not None and name not in wanted:
                raise ConfigError(
                    f"`exporters.{name}` is in none of the `service.pipelines`; add it or take it out"
                )
            telemetry = everything if wanted is None else wanted[name]
            found.append(_destination(name, protocol == "grpc", config, telemetry, origins))
    return tuple(found)


def _destination(
    name: str, grpc: bool, config: OtlpExporterConfig, telemetry: frozenset[Telemetry], origins: Origins
) -> ForwarderSettings:
    path = f"exporters.{name}"
    queue, retry = config.sending_queue, config.retry_on_failure
    if not queue.enabled:
        where = at(origins, f"{path}.sending_queue.enabled")
        raise ConfigError(f"{where}: the queue is the journal, it is always there; take the key out")
    if queue.queue_size != QueueConfig().queue_size and queue.sizer != "bytes":
        where = at(origins, f"{path}.sending_queue.queue_size")
        raise ConfigError(f"{where} is counted in bytes here; say so with `sizer: bytes` beside it")
    for key, value in (("queue_size", queue.queue_size), ("num_consumers", queue.num_consumers)):
        if value < 1:
            raise ConfigError(f"{at(origins, f'{path}.sending_queue.{key}')} must be at least 1")
    if config.timeout <= 0:
        raise ConfigError(f"{at(origins, f'{path}.timeout')} must be more than 0")
    base = ForwarderSettings(
        name=name,
        protocol="grpc" if grpc else "http",
        endpoint=config.endpoint,
        headers=config.headers,
        compression=config.compression,
        timeout=config.timeout,
        retry=retry.enabled,
        retry_initial=retry.initial_interval,
        retry_max=retry.max_interval,
        max_elapsed=retry.max_elapsed_time,
        queue_bytes=queue.queue_size,
        consumers=queue.num_consumers,
        derived_only=config.derived_only,
        acknowledges=config.ack == "forwarded",
        telemetries=telemetry,
    )
    if not config.endpoint and any(name in os.environ for name in _ENDPOINTS):
        base = _from_environment(path, base, origins)
        config = msgspec.structs.replace(config, endpoint=base.endpoint)
    check_headers(base)
    endpoint = _grpc(path, config, origins) if grpc else _http(path, config, origins)
    return msgspec.structs.replace(base, endpoint=endpoint)


def _from_environment(path: str, base: ForwarderSettings, origins: Origins) -> ForwarderSettings:
    """A destination without an endpoint goes where an SDK would, as OpenTelemetry's variables say."""
    told = settings_from_environment(base.name)
    taken = {name: getattr(told, name) for name in ("endpoint", "traces_endpoint")}
    for name in ("headers", "compression", "timeout"):
        if not any(given == f"{path}.{name}" or given.startswith(f"{path}.{name}.") for given in origins):
            taken[name] = getattr(told, name)
    return msgspec.structs.replace(base, **taken)


def _grpc(path: str, config: OtlpExporterConfig, origins: Origins) -> str:
    where = at(origins, f"{path}.endpoint")
    scheme, separator, rest = config.endpoint.rpartition("://")
    if separator and scheme not in {"http", "https"}:
        raise ConfigError(f"{where} must be HOST:PORT or http://HOST:PORT")
    if scheme == "https" or not (scheme or config.tls.insecure):
        raise ConfigError(
            f"{where} asks for TLS, which comes with a later version; write `tls: {{insecure: true}}` beside "
            f"HOST:PORT to send in the clear"
        )
    target = rest.rstrip("/")
    host, _, port = target.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or "@" in host or "/" in host:
        raise ConfigError(f"{where} must be HOST:PORT or http://HOST:PORT")
    return f"http://{target}"


def _http(path: str, config: OtlpExporterConfig, origins: Origins) -> str:
    where = at(origins, f"{path}.endpoint")
    try:
        url = urlsplit(config.endpoint)
        usable = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        raise ConfigError(f"{where} must be a URL like http://127.0.0.1:4318") from None
    if url.scheme == "https":
        raise ConfigError(
            f"{where} asks for TLS, which comes with a later version; use http:// to send in the clear"
        )
    if url.scheme != "http" or not usable or url.username is not None or url.query or url.fragment:
        raise ConfigError(f"{where} must be a URL like http://127.0.0.1:4318, credentials go into `headers`")
    return config.endpoint.rstrip("/")
