"""Configuration: YAML in the Collector's shape, every key optional.

Law of this file: a key that is not known is an error that names the nearest one that is; a value that
cannot be used is an error that names its path and where it was written. The command line beats files, a
later file an earlier one, files the defaults. References are replaced once all layers are one, so a value
that was overridden needs no variable.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from otel_ext import memory
from otel_ext.errors import ConfigError
from otel_ext.exporters import ForwarderSettings
from otel_ext.pipeline import EngineSettings
from otel_ext.pipeline.folder import default_data
from otel_ext.service.components import wanted
from otel_ext.service.destinations import destinations
from otel_ext.service.fit import Origins, at, fit
from otel_ext.service.layers import Leaf, Source, merge, overlay, read
from otel_ext.service.processors import detectors
from otel_ext.service.references import expand
from otel_ext.service.shape import MIB, FileShape, HttpConfig, MetricsConfig
from otel_ext.sessions import codec
from otel_ext.telemetry import Telemetry

_COMMAND_LINE = {
    "data": "exporters.file.path",
    "grpc": "receivers.otlp.protocols.grpc.endpoint",
    "http": "receivers.otlp.protocols.http.endpoint",
}
"""Options and the keys they stand for."""


class SideDoor(NamedTuple):
    """An address for health or metrics; one that nobody asked for yields when it is taken."""

    endpoint: str
    asked: bool


class Config(msgspec.Struct, kw_only=True, frozen=True):
    """What a server is built from. Times in seconds; None is switched off."""

    data: Path
    grpc_endpoint: str | None
    grpc_max_bytes: int
    http_endpoint: str | None
    http_max_bytes: int
    http_paths: dict[str, Telemetry]
    forward: tuple[ForwarderSettings, ...]
    health: SideDoor | None
    metrics: SideDoor | None
    log_level: Literal["debug", "info", "warn", "error"]
    log_encoding: Literal["console", "json"]
    shutdown_timeout: float
    drain_idle: float
    engine: EngineSettings


class Loaded(NamedTuple):
    """A configuration, and where each of its values comes from."""

    config: Config
    shape: FileShape
    origins: Origins


def load_config(
    text: str = "",
    *,
    source: str = "",
    data: Path | None = None,
    grpc: str | None = None,
    http: str | None = None,
) -> Config:
    """Build a configuration from one text and the command line's values; see `load`."""
    options = {"data": data and str(data), "grpc": grpc, "http": http}
    return load([Source(text, source)], {key: value for key, value in options.items() if value}).config


def load(sources: Sequence[Source], options: dict[str, str]) -> Loaded:
    """Build a configuration.

    Args:
        sources: texts in YAML; later ones win.
        options: the command line's values by option: `data`, `grpc`, `http`. They win over all texts.

    Raises:
        ConfigError: an unknown key, an unusable value, a reference to nothing, or text that is not YAML.
    """
    layers = [read(source) for source in sources]
    for option, value in options.items():
        layers.append(overlay(_COMMAND_LINE[option], value, f"--{option}"))
    origins: Origins = {}
    shape = fit(expand(merge(layers)), FileShape(), "", origins)
    return Loaded(_config(shape, origins), shape, origins)


def _config(shape: FileShape, origins: Origins) -> Config:
    file, protocols, service = shape.exporters.file, shape.receivers.otlp.protocols, shape.service
    if not (protocols.grpc.enabled or protocols.http.enabled):
        raise ConfigError("`receivers.otlp.protocols`: at least one of grpc and http must be enabled")
    mib = _at_least(1, origins, "receivers.otlp.protocols.grpc.max_recv_msg_size_mib", protocols.grpc)
    bytes_ = _at_least(1, origins, "receivers.otlp.protocols.http.max_request_body_size", protocols.http)
    health = shape.extensions.health_check
    return Config(
        data=Path(file.path).expanduser() if file.path else default_data(),
        grpc_endpoint=_door(protocols.grpc, "receivers.otlp.protocols.grpc.endpoint", origins),
        grpc_max_bytes=mib * MIB,
        http_endpoint=_door(protocols.http, "receivers.otlp.protocols.http.endpoint", origins),
        http_max_bytes=bytes_,
        http_paths=_paths(protocols.http),
        forward=destinations(shape.exporters, wanted(shape, origins), origins),
        health=SideDoor(
            _endpoint(health.endpoint, "extensions.health_check.endpoint", origins),
            "extensions.health_check.endpoint" in origins,
        )
        if health.enabled
        else None,
        metrics=_metrics(service.telemetry.metrics, origins),
        log_level=service.telemetry.logs.level,
        log_encoding=service.telemetry.logs.encoding,
        shutdown_timeout=service.shutdown_timeout,
        drain_idle=service.drain_idle,
        engine=_engine(shape, origins),
    )


def _engine(shape: FileShape, origins: Origins) -> EngineSettings:
    journal, file, sessions = shape.extensions.journal, shape.exporters.file, shape.processors.sessions
    if file.compress_after:
        try:
            codec()
        except ConfigError as error:
            raise ConfigError(f"{at(origins, 'exporters.file.compress_after')}: {error}") from error

    def some(least: int, path: str, section: object) -> int:
        return _at_least(least, origins, path, section)

    return EngineSettings(
        sync=journal.sync,
        sync_interval=journal.sync_interval,
        segment_bytes=some(1, "extensions.journal.segment_mib", journal) * MIB,
        min_free=some(0, "extensions.journal.min_free_mib", journal) * MIB,
        max_backlog=some(1, "extensions.journal.max_backlog_mib", journal) * MIB,
        max_in_flight=some(1, "extensions.journal.max_in_flight_mib", journal) * MIB,
        memory_limit=_memory_limit(shape, origins),
        service_share=_share(shape, origins),
        checkpoint_interval=shape.service.checkpoint_interval,
        file_bytes=some(1, "exporters.file.rotation.max_megabytes", file.rotation) * MIB,
        file_age=file.rotation.max_age,
        compress_after=file.compress_after,
        retention_age=file.retention.max_age,
        retention_bytes=some(0, "exporters.file.retention.max_megabytes", file.retention) * MIB,
        retention_files=some(0, "exporters.file.retention.max_files", file.retention),
        reserve=some(0, "extensions.journal.reserve_mib", journal) * MIB,
        idle_timeout=sessions.idle_timeout,
        hold=sessions.hold,
        dedup_window=some(1, "processors.dedup.window_spans", shape.processors.dedup),
        signals=detectors(shape.processors.signals, origins),
    )


def _metrics(config: MetricsConfig, origins: Origins) -> SideDoor | None:
    path = "service.telemetry.metrics"
    if config.level == "none":
        return None
    if not config.readers:
        endpoint = _endpoint(config.address, f"{path}.address", origins)
        return SideDoor(endpoint, f"{path}.address" in origins)
    try:
        (reader,) = config.readers
        prometheus: dict[str, Any] = reader["pull"]["exporter"]["prometheus"]
        endpoint = f"{prometheus.get('host', 'localhost')}:{prometheus.get('port', 8888)}"
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"{at(origins, f'{path}.readers')} must be one `pull` reader with a `prometheus` exporter, its "
            f"host and port; pushing our own metrics is not supported"
        ) from None
    return SideDoor(_endpoint(endpoint, f"{path}.readers", origins), asked=True)


def _paths(config: HttpConfig) -> dict[str, Telemetry]:
    found: dict[str, Telemetry] = {}
    for telemetry in Telemetry:
        key = f"{telemetry.value}_url_path"
        path: str = getattr(config, key)
        if not path.startswith("/") or path in found:
            raise ConfigError(
                f"`receivers.otlp.protocols.http.{key}` must begin with / and differ from the others"
            )
        found[path] = telemetry
    return found


def _memory_limit(shape: FileShape, origins: Origins) -> int:
    limiter = shape.processors.memory_limiter
    path = "processors.memory_limiter"
    mib = _at_least(0, origins, f"{path}.limit_mib", limiter)
    percentage = _at_least(0, origins, f"{path}.limit_percentage", limiter)
    if percentage > 100:
        raise ConfigError(f"{at(origins, f'{path}.limit_percentage')} must be 100 or less, not {percentage}")
    return mib * MIB or memory.limit() * percentage // 100


def _share(shape: FileShape, origins: Origins) -> float:
    share = shape.processors.services.share
    if not 0 < share <= 1:
        where = at(origins, "processors.services.share")
        raise ConfigError(f"{where} must be over 0, and 1 or less, not {share}")
    return share


def _at_least(least: int, origins: Origins, path: str, section: object) -> int:
    value: int = getattr(section, path.rpartition(".")[2])
    if value < least:
        limit = " (no limit)" if least == 0 and ".retention." in path else ""
        raise ConfigError(f"{at(origins, path)} must be {least}{limit} or more, not {value}")
    return value


def _door(protocol: Any, path: str, origins: Origins) -> str | None:
    if not protocol.enabled:
        return None
    if protocol.endpoint.startswith("unix:"):
        if not protocol.endpoint.startswith("unix:///") or len(protocol.endpoint) < len("unix:///x"):
            raise ConfigError(f"{at(origins, path)} must be unix:///PATH with an absolute path")
        return str(protocol.endpoint)
    return _endpoint(protocol.endpoint, path, origins)


def _endpoint(text: str, path: str, origins: Origins) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        leaf: Leaf | None = origins.get(path)
        shown = "its value (not shown)" if leaf is not None and leaf.secret else repr(text)
        raise ConfigError(f"{at(origins, path)}: {shown} is not HOST:PORT, e.g. 127.0.0.1:4317")
    return text
