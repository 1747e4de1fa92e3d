"""`otel-ext serve`."""

import logging
import os
import signal
import sys
import threading
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
def command(config: str | None, data: Path | None, grpc: str | None) -> None:
    """`otel-ext serve`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The pipeline's thread would hold the interpreter for 5 ms at a time while requests wait to be answered;
    # measured, a tenth of that acknowledges half as much again and processes as much as before.
    sys.setswitchinterval(0.0005)
    text, source = read_config(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = Server(load_config(text, source=source, data=data, grpc=grpc))
    server.start()
    click.echo(f"ready grpc={server.grpc_endpoint} data={server.config.data}")
    stop.wait()
    if not server.stop():
        raise Refused(f"not everything could be saved in {server.config.data}; the next start reads it on")
