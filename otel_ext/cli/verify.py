"""`otel-ext verify DIR`: every byte read, the ledger checked.

Law of this file: it changes nothing and believes nothing but bytes: files against the lengths, counts
and CRCs of the checkpoint, the journal against its own checksums, the ledger against both.
"""

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import click

from otel_ext.cli.folder import DATA_ARGUMENT, EngineFolder, engines, file_path
from otel_ext.cli.text import clean
from otel_ext.files import RealFiles
from otel_ext.journal import scan
from otel_ext.pipeline import Ledger
from otel_ext.sessions import FileRow, parse_name


def check_file(engine: EngineFolder, row: FileRow, damage: list[str]) -> int:
    """Read one session file; spans found in its committed bytes. Damage is appended in words."""
    path = file_path(engine, row)
    crc = left = spans = 0
    left = row.length
    number = 0
    try:
        with path.open("rb") as stream:
            while left > 0 and (line := stream.readline(left)):
                number += 1
                left -= len(line)
                crc = zlib.crc32(line, crc)
                try:
                    spans += sum(
                        len(s["spans"]) for r in json.loads(line)["resourceSpans"] for s in r["scopeSpans"]
                    )
                except (ValueError, KeyError, TypeError) as error:
                    damage.append(f"{path} line {number} is not OTLP JSON: {clean(str(error))}")
    except OSError as error:
        damage.append(f"{path} cannot be read: {error.strerror}")
        return 0
    if left:
        damage.append(f"{path} ends {left} bytes before what was committed ({row.length})")
    elif crc != row.crc:
        damage.append(f"{path} was changed: its CRC-32 is {crc:08x}, committed was {row.crc:08x}")
    if not left and spans != row.spans + row.derived:
        damage.append(f"{path} holds {spans} spans, committed were {row.spans} and {row.derived} derived")
    return spans


def check_engine(engine: EngineFolder) -> dict[str, Any]:
    """Check one engine; the contract's fields, and a few more."""
    damage = [f"catalog: {text}" for text in engine.catalog.check()]
    with engine.catalog.snapshot():  # files grow meanwhile; what this checkpoint speaks of does not
        rows, meta = engine.catalog.files(), engine.catalog.meta()
    present = 0
    for row in rows:
        present += check_file(engine, row, damage) - row.derived
    ledger = Ledger(**meta.get("ledger", {}))
    if ledger.balance:
        damage.append(f"the ledger does not balance: {ledger.balance} spans have no outcome")
    if not damage and present != ledger.stored:
        damage.append(f"the ledger has {ledger.stored} spans stored, the files hold {present}")
    known = {row.name for row in rows}
    beyond = sum(
        path.stat().st_size - next((r.length for r in rows if r.name == path.name), 0)
        for path in (engine.path / "sessions").iterdir()
        if parse_name(path.name) and (path.name not in known or path.stat().st_size)
    )
    report = scan(RealFiles(), str(engine.path / "journal"))
    damage += [
        f"journal segment {r.segment}: {r.length} bytes from {r.offset} are damaged"
        for r in report.damaged_regions
    ]
    damage += [f"journal segment {number} is missing" for number in report.missing_segments]
    return {
        "ok": not damage,
        "received": ledger.received,
        "stored": ledger.stored,
        "duplicate": ledger.duplicate,
        "rejected": ledger.rejected,
        "lost": ledger.lost,
        "damage": damage,
        "waiting": ledger.waiting,
        "derived": ledger.derived,
        "conflicts": ledger.conflicts,
        "files": len(rows),
        "bytes": sum(row.length for row in rows),
        "uncommitted_bytes": beyond,
        "torn_bytes": report.torn_bytes,
        "engine": engine.path.name,
    }


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
        if report["torn_bytes"]:
            click.echo(
                f"  note: {report['torn_bytes']} bytes at the end of the journal are an unfinished write"
            )
        for text in report["damage"]:
            click.echo(f"  damage: {text}")
    sys.exit(0 if all(report["ok"] for report in reports) else 1)
