"""The command line: `otel-ext COMMAND`.

Law of this package: names and `--json` fields are a contract, later versions only add. What a command
prints for a person goes through `text`, because spans are written by strangers. A command's module is
imported when it is used, so that `otel-ext --help` does not wait for gRPC. Exit codes: 0 done, 1 the
answer is no (damage, bad lines under --strict), 2 the call is wrong or cannot be served.
"""

import importlib
import sys
from typing import Any, Final

import click

from otel_ext import __version__
from otel_ext.cli.refused import Refused
from otel_ext.errors import OtelExtError

_COMMANDS: Final = {
    "serve": "Receive OTLP traces, logs and metrics on this machine and keep them.",
    "validate": "Print the effective configuration and where each value comes from; exit 1 on a mistake.",
    "replay": "Feed OTLP JSON lines through the engine or to an endpoint.",
    "sessions": "List sessions: state, sums, findings, files.",
    "show": "Show one session as a tree, findings at the spans they name.",
    "signals": "List findings: loops, waste, sessions that crashed or were interrupted.",
    "cat": "Print stored spans as OTLP JSON lines.",
    "recover": "Finish what dead processes left: crash marks, unfinished spans, sessions.",
    "verify": "Read every byte and check the ledger; exit 1 on damage.",
    "repair": "Quarantine what is damaged, keep and account for the rest.",
    "reindex": "Make the catalog anew from session files, manifest and journal.",
    "bench": "Measure how fast this machine, or an endpoint, takes spans.",
    "demo": "See it work: a looping agent, a kill -9, a restart.",
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"otel_ext.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; our own errors become one line and exit code 2."""
        try:
            return super().invoke(ctx)
        except OtelExtError as error:
            raise Refused(str(error)) from error


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="otel-ext")
def cli() -> None:
    """Durable OTLP traces for AI agents, with stuck loops and waste named as spans."""


def main() -> None:
    """The entry point."""
    try:
        cli(prog_name="otel-ext")
    except BrokenPipeError:  # the reader of our output went away, e.g. `| head`
        sys.stderr.close()
        sys.exit(0)
