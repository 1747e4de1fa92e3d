"""`otel-ext serve`.

Law of this file: SIGTERM, SIGINT and SIGHUP (the terminal closed; ignored under `nohup`) ask for a clean end,
exit code 0 once everything accepted is saved, 2 when the next start has to read it on. More of them while
it drains change nothing. SIGSTOP, SIGKILL and a power cut lose nothing that was acknowledged.
"""

import logging
import os
import signal
import sys
from pathlib import Path

import click

from otel_ext.cli.refused import Refused
from otel_ext.errors import ConfigError
from otel_ext.service import Server, load_config


def read_config(reference: str | None) -> tuple[str, str]:
    """`(text, name)` of `--config`: a file, or `env:NAME` for an environment variable's value.

    Raises:
        ConfigError: there is no such file or variable.
    """
    if reference is None:
        return "", ""
    if reference.startswith("env:"):
        text = os.environ.get(reference.removeprefix("env:"))
        if text is None:
            raise ConfigError(f"--config={reference}: the environment variable is not set")
        return text, reference
    try:
        return Path(reference).read_text(encoding="utf-8"), reference
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {reference} cannot be read: {error}") from error


@click.command(help="Receive OTLP traces on this machine and keep them.")
@click.option("--config", metavar="FILE", help="YAML in the Collector's shape, or env:NAME.")
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="The data folder.")
@click.option(
    "--grpc", metavar="HOST:PORT", help="Where to serve OTLP/gRPC [127.0.0.1:4317]; port 0 picks one."
)
@click.option(
    "--http", metavar="HOST:PORT", help="Where to serve OTLP/HTTP [127.0.0.1:4318]; unix:///PATH works, too."
)
def command(config: str | None, data: Path | None, grpc: str | None, http: str | None) -> None:
    """`otel-ext serve`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The pipeline's thread would hold the interpreter for 5 ms at a time while requests wait to be answered;
    # measured, a tenth of that acknowledges half as much again and processes as much as before.
    sys.setswitchinterval(0.0005)
    text, source = read_config(config)
    # Waited for, not handled: a handler runs between any two steps of the main thread, and an Event that it
    # sets while that thread is on its way into `wait` deadlocks. Threads made from here on inherit the mask.
    ends = {signal.SIGTERM, signal.SIGINT}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays ignored
        ends.add(signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    server = Server(load_config(text, source=source, data=data, grpc=grpc, http=http))
    server.start()
    click.echo(f"ready grpc={server.grpc_endpoint} http={server.http_endpoint} data={server.config.data}")
    signal.sigwait(ends)
    if not server.stop():
        raise Refused(f"not everything could be saved in {server.config.data}; the next start reads it on")
