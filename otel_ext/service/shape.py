"""The shape of the configuration file: one struct a mapping, one field a key, with its default.

Law of this file: a default is not written twice; where the engine has one, it is taken from there. What a key
means stands in its struct's docstring and, for every key, in `docs/configuration.md` (a test compares).
"""

from typing import Any, ClassVar, Final, Literal

import msgspec

from otel_ext.pipeline import EngineSettings
from otel_ext.service.fit import Duration, Named
from otel_ext.service.processors import ProcessorsConfig

MIB: Final = 1 << 20


class GrpcConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers.otlp.protocols.grpc`; the endpoint is HOST:PORT or unix:///PATH."""

    enabled: bool = True
    endpoint: str = "127.0.0.1:4317"
    max_recv_msg_size_mib: int = 64


class HttpConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers.otlp.protocols.http`; the size is a body's, in bytes, also inflated."""

    enabled: bool = True
    endpoint: str = "127.0.0.1:4318"
    max_request_body_size: int = 64 * MIB
    traces_url_path: str = "/v1/traces"
    logs_url_path: str = "/v1/logs"
    metrics_url_path: str = "/v1/metrics"


class ProtocolsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers.otlp.protocols`: both are on unless switched off."""

    grpc: GrpcConfig = GrpcConfig()
    http: HttpConfig = HttpConfig()


class OtlpConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers.otlp`."""

    protocols: ProtocolsConfig = ProtocolsConfig()


class ReceiversConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`receivers`."""

    otlp: OtlpConfig = OtlpConfig()


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


class TlsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`tls` of a destination: only its absence, for now."""

    insecure: bool = False


class RetryConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`retry_on_failure`; what waits is on disk, so `max_elapsed_time` 0 (never give up) is the default."""

    enabled: bool = True
    initial_interval: Duration = Duration(5.0)
    max_interval: Duration = Duration(30.0)
    max_elapsed_time: Duration = Duration(0.0)


class QueueConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`sending_queue`: the queue is the journal; `queue_size` is how much of it may wait, in bytes."""

    enabled: bool = True
    sizer: Literal["bytes", ""] = ""
    queue_size: int = 1024 * MIB
    num_consumers: int = 1


class OtlpExporterConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`exporters.otlp` and `exporters.otlp/NAME`: OTLP/gRPC to HOST:PORT or http://HOST:PORT."""

    endpoint: str = ""
    headers: dict[str, str] = {}
    compression: Literal["gzip", "none"] = "gzip"
    timeout: Duration = Duration(5.0)
    tls: TlsConfig = TlsConfig()
    retry_on_failure: RetryConfig = RetryConfig()
    sending_queue: QueueConfig = QueueConfig()
    derived_only: bool = False
    ack: Literal["durable", "forwarded"] = "durable"


class OtlpHttpExporterConfig(OtlpExporterConfig, kw_only=True, frozen=True):
    """`exporters.otlphttp` and `exporters.otlphttp/NAME`: OTLP/HTTP to http://HOST:PORT, paths added."""

    timeout: Duration = Duration(30.0)


class ExportersConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`exporters`; `also` has the Collector's newer names."""

    named: ClassVar[dict[str, type[msgspec.Struct]]] = {
        "otlp": OtlpExporterConfig,
        "otlphttp": OtlpHttpExporterConfig,
    }
    also: ClassVar[dict[str, str]] = {"otlp_grpc": "otlp", "otlp_http": "otlphttp"}

    file: FileConfig = FileConfig()
    otlp: Named = msgspec.field(default_factory=Named)
    otlphttp: Named = msgspec.field(default_factory=Named)


class JournalConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`extensions.journal`: durability and its bounds."""

    sync: Literal["always", "interval", "never"] = "always"
    sync_interval: Duration = Duration(EngineSettings().sync_interval)
    segment_mib: int = EngineSettings().segment_bytes // MIB
    min_free_mib: int = EngineSettings().min_free // MIB
    reserve_mib: int = EngineSettings().reserve // MIB
    max_backlog_mib: int = EngineSettings().max_backlog // MIB
    max_in_flight_mib: int = EngineSettings().max_in_flight // MIB


class HealthConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`extensions.health_check`: `/livez`, `/readyz`, and the Collector's answer at `/`."""

    enabled: bool = True
    endpoint: str = "127.0.0.1:13133"


class ExtensionsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`extensions`."""

    health_check: HealthConfig = HealthConfig()
    journal: JournalConfig = JournalConfig()


class LogsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`service.telemetry.logs`: our own log, on stderr."""

    level: Literal["debug", "info", "warn", "error"] = "info"
    encoding: Literal["console", "json"] = "console"


class MetricsConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`service.telemetry.metrics`: our own metrics for Prometheus; `readers` is the Collector's newer way."""

    level: Literal["none", "basic", "normal", "detailed"] = "normal"
    address: str = "127.0.0.1:8888"
    readers: list[Any] = []


class TelemetryConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`service.telemetry`: what we say of ourselves."""

    logs: LogsConfig = LogsConfig()
    metrics: MetricsConfig = MetricsConfig()


class PipelineConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`service.pipelines.KIND` or `KIND/NAME`, KIND one of traces, logs, metrics."""

    receivers: list[str] = []
    processors: list[str] = []
    exporters: list[str] = []


class PipelinesConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`service.pipelines`: which destinations get which telemetry; without it, all get everything."""

    named: ClassVar[dict[str, type[msgspec.Struct]]] = {
        "traces": PipelineConfig,
        "logs": PipelineConfig,
        "metrics": PipelineConfig,
    }

    traces: Named = msgspec.field(default_factory=Named)
    logs: Named = msgspec.field(default_factory=Named)
    metrics: Named = msgspec.field(default_factory=Named)


class ServiceConfig(msgspec.Struct, kw_only=True, frozen=True):
    """`service`."""

    checkpoint_interval: Duration = Duration(EngineSettings().checkpoint_interval)
    shutdown_timeout: Duration = Duration(25.0)
    drain_idle: Duration = Duration(2.0)
    extensions: list[str] = []
    pipelines: PipelinesConfig = PipelinesConfig()
    telemetry: TelemetryConfig = TelemetryConfig()


class FileShape(msgspec.Struct, kw_only=True, frozen=True):
    """The whole file."""

    receivers: ReceiversConfig = ReceiversConfig()
    processors: ProcessorsConfig = ProcessorsConfig()
    exporters: ExportersConfig = ExportersConfig()
    extensions: ExtensionsConfig = ExtensionsConfig()
    service: ServiceConfig = ServiceConfig()
