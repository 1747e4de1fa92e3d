"""Reading a data folder: the union of its engines' catalogs, beside a live writer or after it.

Law of this file: a folder with an owner is only read. What the owner's journal holds beyond the last
checkpoint is not shown: a running `otel-ext serve` brings it in within the checkpoint interval. What dead
processes left is brought to its end first, so that whoever asks after a crash sees all of it.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from otel_ext.errors import DataFolderError, Permanent
from otel_ext.files import RealFiles
from otel_ext.pipeline import adopt
from otel_ext.sessions import Catalog, FileRow, Session, committed_lines
from otel_ext.signals import ENDS
from otel_ext.telemetry import Telemetry

DATA_ARGUMENT = click.argument("data", type=click.Path(path_type=Path), metavar="DIR")


class EngineFolder(NamedTuple):
    """One engine's folder and its catalog, opened read-only."""

    path: Path
    catalog: Catalog


class Stored(NamedTuple):
    """One generation of a session as readers see it: joined traces included."""

    session: Session
    findings: int
    files: list[str]


def engines(data: Path, *, recover: bool = True) -> list[EngineFolder]:
    """Every engine below `data`.

    Args:
        data: the data folder.
        recover: first finish what dead processes left, where this user may write.

    Raises:
        DataFolderError: there is none, or none that can be read. One that cannot is named and left out.
    """
    if recover and os.access(data / "engines", os.W_OK):
        for owner in adopt(data):
            click.echo(f"recovered what a dead process left in {data / 'engines' / owner}", err=True)
    found = sorted(data.glob("engines/*/catalog.sqlite"))
    if not found:
        raise DataFolderError(f"{data} holds no otel-ext data (no engines/*/catalog.sqlite below it)")
    opened, failures = [], []
    for path in found:
        try:
            opened.append(EngineFolder(path.parent, Catalog(path, read_only=True)))
        except Permanent as error:
            failures.append(error)
    if not opened:
        raise failures[0]
    for failure in failures:
        click.echo(f"left out: {failure}", err=True)
    return opened


def owners(data: Path) -> list[Path]:
    """The folder of every engine below `data`, with or without a catalog.

    Raises:
        DataFolderError: there is none.
    """
    found = sorted(path for path in data.glob("engines/*") if (path / "sessions").is_dir())
    if not found:
        raise DataFolderError(f"{data} holds no otel-ext data (no engines/*/sessions below it)")
    return found


def findings(
    engine: EngineFolder, *, revisions: bool = False, endings: bool = False, hidden: str = ""
) -> Iterator[dict[str, Any]]:
    """Findings of one engine, the last revision of each unless all are asked for.

    Args:
        engine: whose.
        revisions: all revisions.
        endings: also how sessions ended, which a session's state says too.
        hidden: those that nobody was told instead: of rules in "shadow", or "muted" ones.
    """
    joins = engine.catalog.joins()
    last: dict[str, Any] | None = None
    for finding in engine.catalog.signals():
        if finding.get("hidden", "") != hidden:
            continue
        if not endings and finding["signal"] in ENDS:
            continue
        finding["session_id"] = joins.get(finding["session_id"], (finding["session_id"], 1))[0]
        if last is not None and (revisions or last["id"] != finding["id"]):
            yield last
        last = finding
    if last is not None:
        yield last


def sessions(engine: EngineFolder, data: Path) -> list[Stored]:
    """Sessions of one engine by start; a trace joined to a session later is counted with it."""
    catalog = engine.catalog
    with catalog.snapshot():
        joins, everything, rows = catalog.joins(), catalog.sessions(), catalog.stock.files()
        named = [(f["session_id"], catalog.trace(bytes.fromhex(f["trace_id"]))) for f in findings(engine)]
    generations: dict[tuple[str, int], Session] = {}
    files: dict[str, list[str]] = {}
    for row in rows:
        home = joins.get(row.session_id, (row.session_id, 1))[0]
        files.setdefault(home, []).append(str(file_path(engine, row).relative_to(data)))
    for session in sorted(everything, key=lambda s: s.session_id in joins):
        key = joins.get(session.session_id, (session.session_id, session.generation))
        if key in generations:
            generations[key].absorb(session)
        else:
            session.session_id, session.generation = key
            generations[key] = session
    count: Counter[tuple[str, int]] = Counter()
    for session_id, trace in named:
        if trace is not None:
            own = trace.session_id == session_id
            newest = max((g for s, g in generations if s == session_id), default=1)
            count[
                session_id, trace.generation if own else trace.joined_generation if trace.joined else newest
            ] += 1
    ordered = sorted(generations.items(), key=lambda item: (item[1].first, item[0]))
    return [Stored(session, count[key], files.get(session.session_id, [])) for key, session in ordered]


def file_path(engine: EngineFolder, row: FileRow) -> Path:
    """Where a session file lies."""
    return engine.path / "sessions" / row.stored_name


def lines_of(
    engine: EngineFolder, session_id: str | None, telemetry: Telemetry = Telemetry.TRACES
) -> Iterator[bytes]:
    """Committed lines of a session's files (or of all), in writing order, header lines left out."""
    joins = engine.catalog.joins()
    for row in engine.catalog.stock.files():
        if row.telemetry is not telemetry:
            continue
        if session_id is not None and session_id not in (row.session_id, joins.get(row.session_id, ("",))[0]):
            continue
        yield from _lines(engine, row)


def _lines(engine: EngineFolder, row: FileRow) -> Iterator[bytes]:
    try:
        yield from committed_lines(RealFiles(), str(engine.path / "sessions"), row)
    except FileNotFoundError as error:
        now = engine.catalog.stock.file(row.name)
        if now is not None and now.stored_name != row.stored_name:
            yield from _lines(engine, now)  # compressed since we looked
        elif now is not None:
            path = file_path(engine, row)
            raise DataFolderError(f"{path} is missing; `otel-ext verify` lists all damage") from error
