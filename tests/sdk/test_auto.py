"""No line of code: `opentelemetry-instrument` and environment variables, or a configuration file."""

import importlib.metadata
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sdk.agents import environment, names, sessions, unfinished
from tests.support import PATIENCE

AGENT = """
import os, signal, sys, threading
from opentelemetry import trace
tracer = trace.get_tracer("agent")
with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.conversation.id": "s1"}):
    for number in range(200):
        with tracer.start_as_current_span("execute_tool read"):
            pass
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "raise":
        raise RuntimeError("sandbox lost")
    print(type(trace.get_tracer_provider()).__name__, "otel_ext.sdk.processor" in sys.modules)
"""
STOCK = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


def instrumented(data: Path, end: str, *flags: str, code: int = 0, **more: str) -> str:
    """Run the agent under `opentelemetry-instrument`; its stdout."""
    program = Path(sys.executable).with_name("opentelemetry-instrument")
    if not program.exists() and shutil.which(program.name) is None:
        pytest.skip("opentelemetry-instrument is not installed")
    script = data.parent / "agent.py"
    script.write_text(AGENT)
    done = subprocess.run(
        [str(program), *flags, sys.executable, str(script), end],
        capture_output=True,
        check=False,
        text=True,
        env=environment(data, **STOCK, **more),
        timeout=PATIENCE,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Failed to auto initialize" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def installed() -> None:
    """Entry points are read from the installation, which may be older than the code."""
    found = {point.group for point in importlib.metadata.distribution("otel-ext").entry_points}
    if "opentelemetry_post_instrument" not in found:
        pytest.skip("install this package again: its entry points are not registered")


def test_two_variables_and_a_kill(tmp_path: Path) -> None:
    """OTEL_EXT_ENABLED and OTEL_EXT_DATA, no change of code, `kill -9`: complete and marked."""
    data = tmp_path / "data"
    instrumented(data, "kill", code=-signal.SIGKILL, OTEL_TRACES_EXPORTER="none", OTEL_EXT_ENABLED="true")
    row = sessions(data)["s1"]
    assert (row["state"], row["spans"]) == ("crashed", 201)
    assert names(data) == {"execute_tool read": 200, "invoke_agent": 1}
    assert unfinished(data) == ["invoke_agent"]


def test_the_hook_and_the_exporter_together(tmp_path: Path) -> None:
    """OTEL_TRACES_EXPORTER=otel_ext as well: nothing is written twice, an exception is a crash."""
    data = tmp_path / "data"
    instrumented(data, "raise", code=1, OTEL_TRACES_EXPORTER="otel_ext", OTEL_EXT_ENABLED="true")
    row = sessions(data)["s1"]
    assert (row["state"], row["spans"], row["duplicates"]) == ("crashed", 201, 0)
    assert row["reason"].startswith("RuntimeError: sandbox lost")
    assert len(list(data.glob("engines/*"))) == 1


def test_the_exporter_alone(tmp_path: Path) -> None:
    """OTEL_TRACES_EXPORTER=otel_ext without the hook, under the stock batch processor."""
    data = tmp_path / "data"
    instrumented(data, "return", OTEL_TRACES_EXPORTER="otel_ext")
    assert names(data) == {"execute_tool read": 200, "invoke_agent": 1}
    assert sessions(data)["s1"]["state"] == "completed"


def test_not_enabled_is_not_there(tmp_path: Path) -> None:
    """Installed and not asked for: nothing is written, and not even our modules are loaded."""
    data = tmp_path / "data"
    out = instrumented(data, "return", OTEL_TRACES_EXPORTER="none")
    assert out.split() == ["TracerProvider", "False"]
    assert not data.exists()


def test_variables_are_flags(tmp_path: Path) -> None:
    """`opentelemetry_environment_variables`: `--ext_data` and the rest."""
    data, other = tmp_path / "data", tmp_path / "other"
    instrumented(
        data, "return", "--traces_exporter", "none", "--ext_enabled", "true", "--ext_data", str(other)
    )
    assert not data.exists()
    assert names(other) == {"execute_tool read": 200, "invoke_agent": 1}


@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_a_configuration_file(tmp_path: Path, kind: str) -> None:
    """OTEL_CONFIG_FILE: the mapping below `otel_ext` becomes keywords; the hook works there too."""
    pytest.importorskip("opentelemetry.configuration")
    data, other = tmp_path / "data", tmp_path / "other"
    data.mkdir()
    text = f"""
file_format: "1.0"
tracer_provider:
  processors:
    - {kind}:
        exporter:
          otel_ext:
            data: ${{OTEL_EXT_DATA}}
            sync: always
"""
    (tmp_path / "otel.yaml").write_text(text)
    config = str(tmp_path / "otel.yaml")
    instrumented(data, "return", OTEL_CONFIG_FILE=config)
    assert names(data) == {"execute_tool read": 200, "invoke_agent": 1}
    (tmp_path / "otel.yaml").write_text(text.replace("${OTEL_EXT_DATA}", str(other)))
    instrumented(
        data,
        "kill",
        code=-signal.SIGKILL,
        OTEL_CONFIG_FILE=config,
        OTEL_EXT_ENABLED="1",
        OTEL_EXT_DATA=str(other),
    )
    assert sessions(other)["s1"]["state"] == "crashed"
    assert names(other) == {"execute_tool read": 200, "invoke_agent": 1}
    assert unfinished(other) == ["invoke_agent"]


def test_a_provider_that_is_no_sdk_is_said(tmp_path: Path) -> None:
    """The hook warns and leaves the program alone."""
    script = "from otel_ext.sdk.entry import instrument\ninstrument()\nprint('on')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        text=True,
        env=environment(tmp_path / "data", OTEL_EXT_ENABLED="true"),
        timeout=PATIENCE,
    )
    assert done.stdout == "on\n"
    assert "nothing is recorded" in done.stderr
