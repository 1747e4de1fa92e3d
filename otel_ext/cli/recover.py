"""`otel-ext recover DIR`."""

import json
from pathlib import Path

import click

from otel_ext.cli.folder import DATA_ARGUMENT
from otel_ext.cli.refused import Refused
from otel_ext.pipeline import adopt, orphans


@click.command(help="Finish what dead processes left: crash marks, unfinished spans, sessions.")
@DATA_ARGUMENT
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a recovered owner.")
def command(data: Path, json_lines: bool) -> None:
    """`otel-ext recover`."""
    if not data.is_dir():
        raise Refused(f"{data} is no folder")
    finished = adopt(data)
    for owner in finished:
        click.echo(json.dumps({"owner": owner}) if json_lines else f"recovered {owner}")
    left = orphans(data)
    if left:
        raise Refused(f"could not finish {', '.join(left)}; the log above says why")
    if not finished and not json_lines:
        click.echo("nothing to recover")
