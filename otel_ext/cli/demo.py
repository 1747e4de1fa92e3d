"""`otel-ext demo`: the main job with real processes, in under half a minute.

Law of this file: nothing is staged. The sidecar is `otel-ext serve`, the agents use the stock SDK and
exporter, the kill is SIGKILL, and what is printed is read back from the data folder.
"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click

from otel_ext.cli.folder import engines, findings, sessions
from otel_ext.cli.refused import Refused
from otel_ext.cli.sessions import as_table
from otel_ext.cli.signals import as_text
from otel_ext.cli.verify import balance, check_engine
from otel_ext.errors import DataFolderError

_CONFIG = "processors: {sessions: {idle_timeout: 8s, hold: 500ms}}\nservice: {checkpoint_interval: 500ms}\n"
"""A session must not end while its agent's exporter waits to try again: stock ones pause up to 5 s."""
_PATIENCE = 30.0
"""Seconds that any single wait may take before the demo says what it waited for."""


def _serve(folder: Path, port: str) -> tuple["subprocess.Popen[str]", str]:
    """Start a sidecar; the process and its gRPC endpoint once it is ready."""
    config = folder / "demo.yaml"
    config.write_text(_CONFIG)
    call = [
        sys.executable,
        "-m",
        "otel_ext",
        "serve",
        "--config",
        str(config),
        "--data",
        str(folder / "data"),
    ]
    log = (folder / "serve.log").open("a")
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        [*call, "--grpc", f"127.0.0.1:{port}", "--http", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    log.close()
    assert process.stdout is not None
    ready = process.stdout.readline()
    if not ready.startswith("ready "):
        process.kill()
        raise Refused(f"the sidecar did not start; see {folder / 'serve.log'}")
    return process, ready.split()[1].removeprefix("grpc=")


def _agent(endpoint: str, role: str) -> "subprocess.Popen[str]":
    call = [sys.executable, "-m", "otel_ext.cli.demo_agent", endpoint, role]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - as above


def _read_half(agent: "subprocess.Popen[str]") -> None:
    assert agent.stdout is not None
    if agent.stdout.readline() != "half\n":
        raise Refused("a demo agent ended before half of its work was done")


def _go_on(agent: "subprocess.Popen[str]") -> None:
    assert agent.stdin is not None
    agent.stdin.write("\n")
    agent.stdin.flush()


def _wait_for_ends(data: Path) -> None:
    """Wait until both sessions have ended, as a reader beside the running sidecar sees it."""
    pause = threading.Event()
    for _ in range(int(_PATIENCE / 0.2)):
        try:
            states = [stored.session.state for engine in engines(data) for stored in sessions(engine, data)]
        except DataFolderError:
            states = []
        if len(states) >= 2 and "active" not in states:
            return
        pause.wait(0.2)


@click.command(help="See it work: a looping agent, a kill -9, a restart.")
def command() -> None:
    """`otel-ext demo`."""
    folder = Path(tempfile.mkdtemp(prefix="otel-ext-demo-"))
    data = folder / "data"
    click.echo(f"1. sidecar started, data in {data}")
    sidecar, endpoint = _serve(folder, "0")
    agents = [_agent(endpoint, "support"), _agent(endpoint, "billing")]
    try:
        for agent in agents:
            _read_half(agent)
        click.echo("2. two agents are half-way: one searches in a loop, one retries a flaky service")
        sidecar.kill()
        sidecar.wait()
        click.echo("3. sidecar killed with SIGKILL; the agents go on")
        for agent in agents:
            _go_on(agent)
        sidecar, _ = _serve(folder, endpoint.rpartition(":")[2])
        click.echo("4. sidecar started again on the same folder")
        codes = [agent.wait(timeout=_PATIENCE) for agent in agents]
        click.echo(f"5. the agents are gone: support exited {codes[0]}, billing died in its run ({codes[1]})")
        _wait_for_ends(data)
        sidecar.terminate()
        sidecar.wait(timeout=_PATIENCE)
    finally:
        for process in (sidecar, *agents):
            if process.poll() is None:
                process.kill()
                process.wait()
    for engine in engines(data):
        click.echo("\n" + as_table(list(sessions(engine, data))) + "\n")
        for finding in findings(engine):
            click.echo(as_text(finding) + "\n")
        report = check_engine(engine)
        verdict = "every byte verified" if report["ok"] else "DAMAGED"
        click.echo(f"ledger: {balance(report)}  ({verdict})")
        click.echo(f"files:  {engine.path / 'sessions'}")
    click.echo(f"\nlook closer:  otel-ext show {data} demo-support")
