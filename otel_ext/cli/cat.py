"""`otel-ext cat DIR`."""

import sys
from pathlib import Path

import click

from otel_ext.cli.folder import DATA_ARGUMENT, engines, lines_of
from otel_ext.cli.refused import Refused


@click.command(help="Print stored spans as OTLP JSON lines (one TracesData object a line).")
@DATA_ARGUMENT
@click.option("--session", "session_id", help="Only this session.")
@click.option("--json", "_json", is_flag=True, help="No effect: the output is JSON lines already.")
def command(data: Path, session_id: str | None, _json: bool) -> None:
    """`otel-ext cat`."""
    empty = True
    for engine in engines(data):
        for line in lines_of(engine, session_id):
            sys.stdout.buffer.write(line)
            empty = False
    if empty and session_id is not None:
        raise Refused(f"no session {session_id!r} in {data}; `otel-ext sessions {data}` lists them")
