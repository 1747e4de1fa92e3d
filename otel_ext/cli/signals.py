"""`otel-ext signals DIR`."""

import json
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import click

from otel_ext.cli.folder import DATA_ARGUMENT, engines, findings
from otel_ext.cli.text import clean, wrapped
from otel_ext.signals.settings import SEVERITIES, Severity

_NONE: Final = {
    "": "no findings",
    "shadow": "no findings of rules in shadow; `processors.signals.rules` says which are",
    "muted": "no muted findings; `processors.signals.mute` says which are",
}


def as_text(finding: dict[str, Any]) -> str:
    """One finding for people: what, how sure, how it ended, then the sentence."""
    head = f"{finding['severity']:<8} {finding['signal']:<26} {finding['confidence']}, {finding['status']}"
    where = clean(f"session {finding['session_id']}  trace {finding['trace_id']}", 120)
    return f"{head}\n{wrapped(clean(finding['explanation'], 400), 9)}\n         {where}"


def _sums(revisions: list[dict[str, Any]]) -> str:
    """How many there are, worst first, each as its last revision has it."""
    found = {finding["id"]: finding for finding in revisions}.values()
    count = Counter(finding["severity"] for finding in found)
    kinds = ", ".join(
        f"{count[severity]:,} {severity}" for severity in reversed(SEVERITIES) if count[severity]
    )
    where = len({finding["session_id"] for finding in found})
    return (
        f"{len(found):,} finding{'s' * (len(found) != 1)} in {where:,} session{'s' * (where != 1)}: {kinds}"
    )


@click.command(help="List findings: loops, waste, sessions that crashed or were interrupted.")
@DATA_ARGUMENT
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@click.option("--session", metavar="ID", help="Only of this session.")
@click.option("--signal", "name", metavar="NAME", default="*", help="Only this signal; a pattern: 'loop.*'.")
@click.option(
    "--severity", type=click.Choice(SEVERITIES), default=SEVERITIES[0], help="Only these and worse."
)
@click.option("--revisions", is_flag=True, help="Every revision of a finding, not only the last.")
@click.option(
    "--shadow", "hidden", flag_value="shadow", help="Instead, what rules in shadow would have said."
)
@click.option("--muted", "hidden", flag_value="muted", help="Instead, what was muted.")
def command(
    data: Path,
    session: str | None,
    name: str,
    severity: Severity,
    hidden: str | None,
    *,
    json_lines: bool,
    revisions: bool,
) -> None:
    """`otel-ext signals`."""
    severities = SEVERITIES[SEVERITIES.index(severity) :]
    found = [
        f
        for engine in engines(data)
        for f in findings(engine, revisions=revisions, endings=True, hidden=hidden or "")
        if session in (None, f["session_id"])
        and fnmatchcase(f["signal"], name)
        and f["severity"] in severities
    ]
    found.sort(key=lambda f: (int(f["start"]), f["id"], f["revision"]))
    if not json_lines:  # that all went well is said by `otel-ext sessions`
        found = [f for f in found if f["signal"] != "termination.completed"]
    for finding in found:
        click.echo(json.dumps(finding) if json_lines else as_text(finding))
    if not json_lines:
        click.echo(f"\n{_sums(found)}" if found else _NONE[hidden or ""])
