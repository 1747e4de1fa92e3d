"""`otel-ext signals DIR`."""

import json
from pathlib import Path
from typing import Any

import click

from otel_ext.cli.folder import DATA_ARGUMENT, engines, findings
from otel_ext.cli.text import clean


def as_text(finding: dict[str, Any]) -> str:
    """One finding for people: what, how sure, how it ended, then the sentence."""
    head = f"{finding['severity']:<8} {finding['signal']:<20} {finding['confidence']}, {finding['status']}"
    where = clean(f"session {finding['session_id']}  trace {finding['trace_id']}", 120)
    return f"{head}\n         {clean(finding['explanation'], 400)}\n         {where}"


@click.command(help="List findings: loops, waste, sessions that crashed or were interrupted.")
@DATA_ARGUMENT
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@click.option("--revisions", is_flag=True, help="Every revision of a finding, not only the last.")
@click.option(
    "--shadow", "hidden", flag_value="shadow", help="Instead, what rules in shadow would have said."
)
@click.option("--muted", "hidden", flag_value="muted", help="Instead, what was muted.")
def command(data: Path, json_lines: bool, revisions: bool, hidden: str | None) -> None:
    """`otel-ext signals`."""
    found = [
        f
        for engine in engines(data)
        for f in findings(engine, revisions=revisions, endings=True, hidden=hidden or "")
    ]
    found.sort(key=lambda f: (int(f["start"]), f["id"], f["revision"]))
    if not json_lines:  # that all went well is said by `otel-ext sessions`
        found = [f for f in found if f["signal"] != "termination.completed"]
    for finding in found:
        click.echo(json.dumps(finding) if json_lines else as_text(finding))
    if not found and not json_lines:
        click.echo("no findings")
