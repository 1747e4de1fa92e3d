"""`otel-ext reindex DIR`; see `pipeline.reindex`."""

import json
from pathlib import Path

import click
import msgspec

from otel_ext.cli.folder import DATA_ARGUMENT, owners
from otel_ext.pipeline import reindex


@click.command(help="Make the catalog anew from session files, manifest and journal.")
@DATA_ARGUMENT
@click.option("--json", "json_lines", is_flag=True, help="One JSON object an engine.")
def command(data: Path, json_lines: bool) -> None:
    """`otel-ext reindex`."""
    for folder in owners(data):
        done = reindex(folder)
        if json_lines:
            click.echo(json.dumps(msgspec.to_builtins(done)))
            continue
        click.echo(
            f"{done.engine}: {done.files:,} files, {done.sessions:,} sessions, {done.spans:,} spans, "
            f"{done.signals:,} findings"
        )
        if done.again:
            click.echo(f"  {done.again:,} spans were only in the journal; the next start stores them")
        if done.old:
            click.echo(f"  the old catalog is now {done.old}")
