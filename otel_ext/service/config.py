"""Configuration: YAML in the Collector's shape, every key optional.

Law of this file: a key that is not known is an error that names the nearest one that is; a value that
cannot be used is an error that names its path. Command line beats file beats default. `${env:X}`,
`${env:X:-default}` and `${X}` are replaced in values only, after parsing; `$$` is a dollar sign.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from otel_ext.errors import ConfigError
from otel_ext.exporters import ForwarderSettings
from otel_ext.pipeline import EngineSettings
from otel_ext.pipeline.folder import default_data
from otel_ext.service.shape import MIB, Duration, FileShape
from otel_ext.sessions import codec
from otel_ext.telemetry import Telemetry

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")
_REFERENCE = re.compile(r"\$\$|\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Config(msgspec.Struct, kw_only=True, frozen=True):
    """What a server is built from."""

    data: Path
    grpc_endpoint: str
    grpc_max_bytes: int
    http_endpoint: str
    http_max_bytes: int
    http_paths: dict[str, Telemetry]
    shutdown_timeout: float
    engine: EngineSettings
    forward: list[ForwarderSettings] = []


def load_config(
    text: str = "",
    *,
    source: str = "",
    data: Path | None = None,
    grpc: str | None = None,
    http: str | None = None,
) -> Config:
    """Build a configuration from a file's text and the command line's values.

    Args:
        text: YAML; empty for all defaults.
        source: the file's name, for error texts.
        data: the data folder, over `exporters.file.path`.
        grpc: the endpoint, over `receivers.otlp.protocols.grpc.endpoint`.
        http: the endpoint, over `receivers.otlp.protocols.http.endpoint`.

    Raises:
        ConfigError: an unknown key, an unusable value, or text that is not YAML.
    """
    shape = _parse(text, source or "the configuration")
    journal, file, sessions = shape.extensions.journal, shape.exporters.file, shape.processors.sessions
    door, web = shape.receivers.otlp.protocols.grpc, shape.receivers.otlp.protocols.http
    if file.compress_after:
        _zstd()
    engine = EngineSettings(
        sync=journal.sync,
        sync_interval=journal.sync_interval,
        segment_bytes=_positive("extensions.journal.segment_mib", journal.segment_mib) * MIB,
        min_free=journal.min_free_mib * MIB,
        max_backlog=_positive("extensions.journal.max_backlog_mib", journal.max_backlog_mib) * MIB,
        max_in_flight=_positive("extensions.journal.max_in_flight_mib", journal.max_in_flight_mib) * MIB,
        checkpoint_interval=shape.service.checkpoint_interval,
        file_bytes=_positive("exporters.file.rotation.max_megabytes", file.rotation.max_megabytes) * MIB,
        file_age=file.rotation.max_age,
        compress_after=file.compress_after,
        retention_age=file.retention.max_age,
        retention_bytes=_limit("exporters.file.retention.max_megabytes", file.retention.max_megabytes) * MIB,
        retention_files=_limit("exporters.file.retention.max_files", file.retention.max_files),
        reserve=_limit("extensions.journal.reserve_mib", journal.reserve_mib) * MIB,
        idle_timeout=sessions.idle_timeout,
        hold=sessions.hold,
        dedup_window=_positive("processors.dedup.window_spans", shape.processors.dedup.window_spans),
        signals=shape.processors.signals,
    )
    size = _positive("receivers.otlp.protocols.grpc.max_recv_msg_size_mib", door.max_recv_msg_size_mib)
    body = _positive("receivers.otlp.protocols.http.max_request_body_size_mib", web.max_request_body_size_mib)
    return Config(
        data=data or (Path(file.path).expanduser() if file.path else default_data()),
        grpc_endpoint=_endpoint(grpc or door.endpoint),
        grpc_max_bytes=size * MIB,
        http_endpoint=_endpoint(http or web.endpoint),
        http_max_bytes=body * MIB,
        http_paths={
            web.traces_url_path: Telemetry.TRACES,
            web.logs_url_path: Telemetry.LOGS,
            web.metrics_url_path: Telemetry.METRICS,
        },
        shutdown_timeout=shape.service.shutdown_timeout,
        engine=engine,
    )


def _parse(text: str, source: str) -> FileShape:
    try:
        tree = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader that refuses duplicate keys
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not YAML: {error}") from error
    tree = _substitute({} if tree is None else tree)
    if not isinstance(tree, dict):
        raise ConfigError(f"{source} must be a mapping with the keys {', '.join(_keys(FileShape))}")
    _refuse_unknown(tree, FileShape, "", source)
    try:
        return msgspec.convert(tree, FileShape, strict=False, dec_hook=_duration)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}") from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets the last of two equal keys win in silence; here it is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _substitute(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _substitute(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_substitute(value) for value in tree]
    if not isinstance(tree, str) or "$" not in tree:
        return tree
    text = _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else os.environ.get(m[1], m[2] or ""), tree)
    # A value that was one reference gets the type that its text has, as in the Collector.
    return yaml.safe_load(text) if _REFERENCE.fullmatch(tree) and text else text


def _keys(shape: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(shape)]


def _refuse_unknown(tree: Mapping[Any, Any], shape: type[msgspec.Struct], path: str, source: str) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(shape)}
    for key, value in tree.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1, 0.4)
            hint = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key `{where}`; {hint}")
        inner = known[key]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
            _refuse_unknown(value, inner, where, source)


def _duration(kind: type, value: object) -> object:
    if kind is not Duration:
        raise NotImplementedError(kind)
    text = f"{value}s" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"{value!r} is not a duration like 2s, 500ms or 1h30m")
    return Duration(sum(float(number) * _UNITS[unit] for number, unit in parts))


def _positive(key: str, value: int) -> int:
    if value < 1:
        raise ConfigError(f"`{key}` must be at least 1, not {value}")
    return value


def _limit(key: str, value: int) -> int:
    if value < 0:
        raise ConfigError(f"`{key}` must be 0 (no limit) or more, not {value}")
    return value


def _zstd() -> None:
    try:
        codec()
    except ConfigError as error:
        raise ConfigError(f"`exporters.file.compress_after`: {error}") from error


def _endpoint(text: str) -> str:
    if text.startswith("unix:///"):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not HOST:PORT, e.g. 127.0.0.1:4317, nor unix:///PATH")
    return text
