"""Configuration: the Collector's shape, errors that help."""

import sys
from pathlib import Path

import pytest

from otel_ext.errors import ConfigError
from otel_ext.service import load_config
from otel_ext.telemetry import Telemetry

FULL = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:14317", max_recv_msg_size_mib: 8},
  http: {endpoint: "unix:///run/x.sock", max_request_body_size: 9000, logs_url_path: /l}}}}
processors: {sessions: {idle_timeout: 1h30m, hold: 500ms}, dedup: {window_spans: 10}}
exporters: {file: {path: /data, rotation: {max_megabytes: 2, max_age: 6h}, compress_after: 1h,
  retention: {max_age: 720h, max_megabytes: 1000, max_files: 5}}}
extensions: {journal: {sync: interval, sync_interval: 50ms, min_free_mib: 1, reserve_mib: 3}}
service: {checkpoint_interval: 5s}
"""


def test_nothing_configured_is_a_configuration() -> None:
    """No file at all gives every default."""
    config = load_config()
    assert config.grpc_endpoint == "127.0.0.1:4317"
    assert config.engine.sync == "always"
    assert config.engine.idle_timeout == 1800


def test_every_documented_key_is_read() -> None:
    """Durations, sizes and paths arrive in the engine's settings."""
    config = load_config(FULL)
    assert (config.grpc_endpoint, config.grpc_max_bytes) == ("127.0.0.1:14317", 8 << 20)
    assert (config.http_endpoint, config.http_max_bytes) == ("unix:///run/x.sock", 9000)
    assert config.http_paths == {
        "/v1/traces": Telemetry.TRACES,
        "/l": Telemetry.LOGS,
        "/v1/metrics": Telemetry.METRICS,
    }
    assert (config.engine.idle_timeout, config.engine.hold, config.engine.dedup_window) == (5400, 0.5, 10)
    assert (config.data, config.engine.file_bytes) == (Path("/data"), 2 << 20)
    assert (config.engine.sync, config.engine.sync_interval, config.engine.min_free) == (
        "interval",
        0.05,
        1 << 20,
    )
    assert config.engine.checkpoint_interval == 5
    engine = config.engine
    assert (engine.file_age, engine.compress_after, engine.reserve) == (6 * 3600, 3600, 3 << 20)
    assert (engine.retention_age, engine.retention_bytes, engine.retention_files) == (
        30 * 86400,
        1000 << 20,
        5,
    )


def test_nothing_is_deleted_or_compressed_unless_asked() -> None:
    """Retention and compression are off by default."""
    engine = load_config().engine
    assert not any(
        (engine.compress_after, engine.retention_age, engine.retention_bytes, engine.retention_files)
    )


def test_compression_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is named, and the extra."""
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"compress_after.*otel-ext\[zstd\]"):
        load_config("exporters: {file: {compress_after: 1h}}")


def test_the_command_line_beats_the_file() -> None:
    """--data and --grpc win over the file."""
    config = load_config(FULL, data=Path("/other"), grpc="127.0.0.1:0")
    assert (config.data, config.grpc_endpoint) == (Path("/other"), "127.0.0.1:0")
    assert load_config(FULL, http="127.0.0.1:0").http_endpoint == "127.0.0.1:0"


def test_environment_references_are_replaced_in_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """${env:X}, a default, and a doubled dollar sign."""
    monkeypatch.setenv("OTX_PORT", "1234")
    config = load_config(
        'receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${env:OTX_PORT}"}}}}\n'
        'exporters: {file: {path: "${env:OTX_NONE:-/x}/$$y", rotation: {max_megabytes: "${OTX_SIZE:-7}"}}}'
    )
    assert config.grpc_endpoint == "127.0.0.1:1234"
    assert (config.data, config.engine.file_bytes) == (Path("/x/$y"), 7 << 20)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recievers: {}", "unknown key `recievers`; did you mean `receivers`?"),
        (
            "processors: {sessions: {idle_timout: 1s}}",
            "unknown key `processors.sessions.idle_timout`; did you mean `idle_timeout`?",
        ),
        ("processors: {sessions: {idle_timeout: soon}}", "'soon' is not a duration like 2s, 500ms or 1h30m"),
        ("extensions: {journal: {sync: sometimes}}", "`extensions.journal.sync`"),
        ("exporters: {file: {retention: {max_files: -1}}}", "`exporters.file.retention.max_files` must be 0"),
        ("extensions: {journal: {segment_mib: 0}}", "`extensions.journal.segment_mib` must be 1 or more"),
        ("receivers: {otlp: {protocols: {grpc: {endpoint: here}}}}", "'here' is not HOST:PORT"),
        ("a: 1\na: 2", "the key 'a' stands twice"),
        ("- 1", "must be a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, says: str) -> None:
    """Each mistake says what, where and what would be right."""
    with pytest.raises(ConfigError) as caught:
        load_config(text, source="otel.yaml")
    assert says in str(caught.value)
