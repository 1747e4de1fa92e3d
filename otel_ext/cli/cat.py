"""`otel-ext cat DIR`."""

import sys
from pathlib import Path

import click

from otel_ext.cli.folder import DATA_ARGUMENT, engines, lines_of
from otel_ext.cli.refused import Refused
from otel_ext.telemetry import Telemetry


@click.command(help="Print what is stored as OTLP JSON lines (one TracesData object a line, or its like).")
@DATA_ARGUMENT
@click.option("--session", "session_id", help="Only this session.")
@click.option(
    "--telemetry",
    type=click.Choice([each.value for each in Telemetry]),
    default=Telemetry.TRACES.value,
    help="What to print; traces unless told otherwise.",
)
@click.option("--json", "_json", is_flag=True, help="No effect: the output is JSON lines already.")
def command(data: Path, session_id: str | None, telemetry: str, _json: bool) -> None:
    """`otel-ext cat`."""
    empty = True
    for engine in engines(data):
        for line in lines_of(engine, session_id, Telemetry(telemetry)):
            sys.stdout.buffer.write(line)
            empty = False
    if empty and session_id is not None:
        what = "session" if telemetry == Telemetry.TRACES.value else f"{telemetry} of a session"
        raise Refused(f"no {what} {session_id!r} in {data}; `otel-ext sessions {data}` lists them")
