"""`otel-ext repair DIR`; see `pipeline.repair`."""

import json
import sys
from pathlib import Path

import click
import msgspec

from otel_ext.cli.folder import DATA_ARGUMENT, owners
from otel_ext.cli.text import clean
from otel_ext.pipeline import Repaired, repair


def as_text(done: Repaired, *, dry_run: bool) -> str:
    """What was done, for people."""
    if not done.damage:
        return f"{done.engine}: nothing to repair"
    outcome = "would be repaired" if dry_run else "repaired" if done.ok else "STILL DAMAGED"
    lines = [f"{done.engine}: {outcome}"]
    lines += [f"  found: {clean(text, 500)}" for text in done.damage]
    moved = "would be moved to quarantine" if dry_run else "in quarantine"
    lines += [f"  {moved}: {path}" for path in done.quarantined]
    lines += [f"  missing: {path}" for path in done.missing]
    if done.lost:
        lines.append(f"  {done.lost:,} spans are counted as lost (damage)")
    if done.quarantined and not dry_run:
        lines.append("  what is readable of a file: otel-ext replay FILE --data NEW")
    for what, text in (
        (done.reindexed, "the catalog was made anew"),
        (done.manifest, "the manifest was made anew"),
        (done.journal, "the journal was processed; its damage is counted, and kept in journal/quarantine"),
    ):
        lines += [f"  {text}"] if what else []
    return "\n".join([*lines, *(f"  left: {clean(text, 500)}" for text in done.left)])


@click.command(help="Quarantine what is damaged, keep and account for the rest.")
@DATA_ARGUMENT
@click.option("--dry-run", is_flag=True, help="Only say what would be done; exit 1 when there is damage.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object an engine.")
def command(data: Path, dry_run: bool, json_lines: bool) -> None:
    """`otel-ext repair`."""
    fine = True
    for folder in owners(data):
        done = repair(folder, dry_run=dry_run)
        fine = fine and done.ok
        click.echo(json.dumps(msgspec.to_builtins(done)) if json_lines else as_text(done, dry_run=dry_run))
    sys.exit(0 if fine else 1)
