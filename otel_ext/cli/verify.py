"""`otel-ext verify DIR`: every byte read, the ledger checked; see `pipeline.verify`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from otel_ext.cli.folder import DATA_ARGUMENT, EngineFolder, engines
from otel_ext.cli.text import clean
from otel_ext.pipeline import check_engine as check


def check_engine(engine: EngineFolder) -> dict[str, Any]:
    """Check one engine."""
    return check(engine.path, engine.catalog)


def balance(report: dict[str, Any]) -> str:
    """The ledger as an equation."""
    text = (
        f"received {report['received']:,} = stored {report['stored']:,} + duplicate {report['duplicate']:,}"
    )
    text += f" + rejected {sum(report['rejected'].values()):,} + lost {sum(report['lost'].values()):,}"
    return text + (f" + waiting {report['waiting']:,}" if report["waiting"] else "")


@click.command(help="Read every byte and check the ledger; exit 1 on damage.")
@DATA_ARGUMENT
@click.option("--json", "json_lines", is_flag=True, help="One JSON object an engine.")
def command(data: Path, json_lines: bool) -> None:
    """`otel-ext verify`."""
    reports = [check_engine(engine) for engine in engines(data, recover=False)]
    for report in reports:
        if json_lines:
            click.echo(json.dumps(report))
            continue
        click.echo(
            f"{'ok' if report['ok'] else 'DAMAGED'}: {balance(report)}; "
            f"{report['files']:,} files, {report['bytes']:,} bytes read"
        )
        for reasons in (report["rejected"], report["lost"]):
            for reason, count in reasons.items():
                click.echo(f"  {reason}: {count:,}")
        for what in ("logs", "metrics"):
            if (counts := report[what])["received"]:
                click.echo(f"  {what}: {balance({'duplicate': 0, **counts})}")
                for reason, count in (*counts["rejected"].items(), *counts["lost"].items()):
                    click.echo(f"    {reason}: {count:,}")
        if report["expired"]["files"]:
            click.echo(
                f"  expired by retention: {report['expired']['spans']:,} of the spans stored, in "
                f"{report['expired']['files']:,} files"
            )
        if report["torn_bytes"]:
            click.echo(
                f"  note: {report['torn_bytes']} bytes at the end of the journal are an unfinished write"
            )
        for text in report["damage"]:
            click.echo(f"  damage: {clean(text, 500)}")
    sys.exit(0 if all(report["ok"] for report in reports) else 1)
