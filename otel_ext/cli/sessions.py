"""`otel-ext sessions DIR`."""

import json
from pathlib import Path

import click

from otel_ext.cli.folder import DATA_ARGUMENT, Stored, engines, sessions
from otel_ext.cli.text import brief, clean, duration, instant, table


def as_json(stored: Stored) -> dict[str, object]:
    """One session as the contract's JSON object; times are decimal strings of ns."""
    session = stored.session
    return {
        "session_id": session.session_id,
        "generation": session.generation,
        "state": session.state,
        "reason": session.reason,
        "start": str(session.first),
        "end": str(session.last),
        "spans": session.spans,
        "duplicates": session.duplicates,
        "tool_calls": session.tool_calls,
        "errors": session.errors,
        "input_tokens": session.input_tokens,
        "output_tokens": session.output_tokens,
        "signals": stored.findings,
        "files": stored.files,
        "conflicts": session.conflicts,
        "traces": session.traces,
        "logs": session.logs,
    }


def as_table(rows: list[Stored]) -> str:
    """Sessions as a table for people: 120 columns hold it beside an id as long as a UUID.

    Log records have a column where there are any. Seconds and exact numbers are in `show` and `--json`.
    """
    header = [
        "session",
        "state",
        "start (UTC)",
        "time",
        "spans",
        "logs",
        "tools",
        "errors",
        "tok in",
        "out",
        "found",
    ]
    cells = [
        [
            clean(s.session_id, 40) + (f" #{s.generation}" if s.generation > 1 else ""),
            s.state,
            instant(s.first)[:16],
            duration(s.first, s.last),
            brief(s.spans),
            brief(s.logs),
            brief(s.tool_calls),
            brief(s.errors),
            brief(s.input_tokens),
            brief(s.output_tokens),
            brief(findings),
        ]
        for s, findings, _ in rows
    ]
    logs = header.index("logs")
    if not any(stored.session.logs for stored in rows):
        for row in (header, *cells):
            del row[logs]
    return table(header, cells, right=range(3, len(header)))


@click.command(help="List sessions: state, sums, findings, files.")
@DATA_ARGUMENT
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
def command(data: Path, json_lines: bool) -> None:
    """`otel-ext sessions`."""
    rows = [stored for engine in engines(data) for stored in sessions(engine, data)]
    if json_lines:
        for stored in rows:
            click.echo(json.dumps(as_json(stored)))
    elif rows:
        click.echo(as_table(rows))
    else:
        click.echo("no sessions yet")
