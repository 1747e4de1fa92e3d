"""The options that `serve` and `validate` share, so that one shows what the other would do."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def configuration(command: CommandT) -> CommandT:
    """Add `--config` and the options that win over it."""
    for option in reversed(
        (
            click.option(
                "--config",
                multiple=True,
                metavar="FILE",
                help="YAML in the Collector's shape: FILE, file:FILE, env:NAME or yaml:TEXT; later ones win.",
            ),
            click.option("--data", metavar="DIR", help="The data folder."),
            click.option(
                "--grpc",
                metavar="HOST:PORT",
                help="Where to serve OTLP/gRPC [127.0.0.1:4317]; port 0 picks one.",
            ),
            click.option(
                "--http",
                metavar="HOST:PORT",
                help="Where to serve OTLP/HTTP [127.0.0.1:4318]; port 0 picks one.",
            ),
        )
    ):
        command = option(command)
    return command


def given(options: dict[str, str | None]) -> dict[str, str]:
    """Options that were given."""
    return {name: value for name, value in options.items() if value}
