"""The shape of the configuration file: one struct a mapping, one field a key, with its default.

Law of this file: a default is not written twice; where the engine has one, it is taken from there.
"""

from typing import Final, Literal

import msgspec

from otel_ext.pipeline import EngineSettings
from otel_ext.signals import Settings as SignalSettings

MIB: Final = 1 << 20


class Duration(float):
    """Seconds, written like the Collector's durations: `2s`, `500ms`, `1h30m`."""


class GrpcConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers.otlp.protocols.grpc`."""

    endpoint: str = "127.0.0.1:4317"
    max_recv_msg_size_mib: int = 64


class HttpConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers.otlp.protocols.http`."""

    endpoint: str = "127.0.0.1:4318"
    max_request_body_size_mib: int = 64
    traces_url_path: str = "/v1/traces"
    logs_url_path: str = "/v1/logs"
    metrics_url_path: str = "/v1/metrics"


class ProtocolsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers.otlp.protocols`."""

    grpc: GrpcConfig = GrpcConfig()
    http: HttpConfig = HttpConfig()


class OtlpConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers.otlp`."""

    protocols: ProtocolsConfig = ProtocolsConfig()


class ReceiversConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers`."""

    otlp: OtlpConfig = OtlpConfig()


class SessionsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`processors.sessions`: when a session ends, how long a span waits for its session's id."""

    idle_timeout: Duration = Duration(EngineSettings().idle_timeout)
    hold: Duration = Duration(EngineSettings().hold)


class DedupConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`processors.dedup`: spans remembered to recognise a re-delivery."""

    window_spans: int = EngineSettings().dedup_window


class ProcessorsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`processors`."""

    sessions: SessionsConfig = SessionsConfig()
    dedup: DedupConfig = DedupConfig()
    signals: SignalSettings = SignalSettings()


class RotationConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`exporters.file.rotation`."""

    max_megabytes: int = EngineSettings().file_bytes // MIB
    max_age: Duration = Duration(EngineSettings().file_age)


class RetentionConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`exporters.file.retention`: what is kept of sealed files; 0 is no limit."""

    max_age: Duration = Duration(EngineSettings().retention_age)
    max_megabytes: int = EngineSettings().retention_bytes // MIB
    max_files: int = EngineSettings().retention_files


class FileConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`exporters.file`: `path` is the data folder, "" the default one; `compress_after` 0 is never."""

    path: str = ""
    rotation: RotationConfig = RotationConfig()
    compress_after: Duration = Duration(EngineSettings().compress_after)
    retention: RetentionConfig = RetentionConfig()


class ExportersConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`exporters`."""

    file: FileConfig = FileConfig()


class JournalConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`extensions.journal`: durability and its bounds."""

    sync: Literal["always", "interval", "never"] = "always"
    sync_interval: Duration = Duration(EngineSettings().sync_interval)
    segment_mib: int = EngineSettings().segment_bytes // MIB
    min_free_mib: int = EngineSettings().min_free // MIB
    reserve_mib: int = EngineSettings().reserve // MIB
    max_backlog_mib: int = EngineSettings().max_backlog // MIB
    max_in_flight_mib: int = EngineSettings().max_in_flight // MIB


class ExtensionsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`extensions`."""

    journal: JournalConfig = JournalConfig()


class ServiceConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`service`."""

    checkpoint_interval: Duration = Duration(EngineSettings().checkpoint_interval)
    shutdown_timeout: Duration = Duration(25.0)


class FileShape(msgspec.Struct, kw_only=True, frozen=True):
    """The whole file."""

    receivers: ReceiversConfig = ReceiversConfig()
    processors: ProcessorsConfig = ProcessorsConfig()
    exporters: ExportersConfig = ExportersConfig()
    extensions: ExtensionsConfig = ExtensionsConfig()
    service: ServiceConfig = ServiceConfig()
