"""`otel-ext validate` as a process."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import run

SECRET = "hunter2-and-more"


def refusal(*arguments: str) -> str:
    """What it says when it exits with 1."""
    done = subprocess.run(
        [sys.executable, "-m", "otel_ext", "validate", *arguments],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_defaults_are_shown_and_nothing_is_touched(tmp_path: Path) -> None:
    """Every section is there; the data folder is not made."""
    folder = tmp_path / "data"
    shown = yaml.safe_load(run("validate", "--data", folder))
    assert list(shown) == ["receivers", "processors", "exporters", "extensions", "service"]
    assert shown["exporters"]["file"]["path"] == str(folder)
    assert not folder.exists()


def test_layers_sources_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator would call it: a file, what the platform adds, and a path; secrets stay inside."""
    file = tmp_path / "otel.yaml"
    file.write_text(
        "exporters:\n  otlphttp/up:\n    endpoint: http://up:4318\n    headers:\n"
        "      authorization: Bearer ${env:OTX_TOKEN}\n"
    )
    monkeypatch.setenv("OTX_TOKEN", SECRET)
    monkeypatch.setenv("OTX_CONFIG", "service: {drain_idle: 7s}")
    text = run(
        "validate", "--config", file, "--config", "env:OTX_CONFIG", "--config", "yaml:processors::dedup: null"
    )
    assert SECRET not in text
    assert 'authorization: "[REDACTED]"' in text
    assert f"endpoint: http://up:4318  # {file}:3" in text
    assert "drain_idle: 7s  # env:OTX_CONFIG:1" in text


def test_what_the_environment_says_of_destinations(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter without an endpoint shows where it goes, as a comment, for the text to be loaded again."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://user:{SECRET}@up:4318/own")
    with monkeypatch.context() as patch:
        assert "credentials go into `headers`" in refusal("--config", "yaml:exporters::otlphttp/up: {}")
        patch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://up:4318/own")
        patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-key={SECRET}")
        patch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        text = run("validate", "--config", "yaml:exporters::otlphttp/up: {timeout: 7s}")
    assert 'endpoint: ""  # OTEL_EXPORTER_OTLP_*: http://up:4318/own' in text
    assert "headers: {}  # OTEL_EXPORTER_OTLP_*: x-key" in text
    assert "compression: gzip  # OTEL_EXPORTER_OTLP_*: gzip" in text
    assert "timeout: 7s  # yaml:" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--config", "/nowhere.yaml"), "cannot be read: No such file"),
        (("--config", "env:OTX_UNSET"), "the environment variable is not set"),
        (("--config", "yaml:servic: {}"), "unknown key `servic`; did you mean `service`?"),
        (
            ("--grpc", "nowhere"),
            "--grpc: `receivers.otlp.protocols.grpc.endpoint`: 'nowhere' is not HOST:PORT",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(arguments: tuple[str, ...], says: str) -> None:
    """What is wrong and where."""
    text = refusal(*arguments)
    assert says in text
    assert len(text.splitlines()) == 1
