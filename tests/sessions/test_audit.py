"""Catalog and manifest held against one another: every field of every row."""

from pathlib import Path

import msgspec
import pytest

from otel_ext.sessions import FileState, ManifestReport, Policy
from otel_ext.testing import CrashableFiles
from tests.sessions.world import FOLDER, HOUR, Event, World, line


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One compressed file, one told, one removed."""
    made = World(CrashableFiles(), tmp_path / "c", [], Policy(compress_after=HOUR, max_age=3 * HOUR))
    for number, session in enumerate(("removed", "packed", "told"), 1):
        made.happen(Event("line", session, number * 2 * HOUR, line(number)))
        made.happen(Event("end", session, number * 2 * HOUR))
        made.keep(number * 2 * HOUR)
    assert {row.state for row in made.rows()} == {FileState.PACKED, FileState.TOLD}
    return made


def differences(world: World) -> list[str]:
    """What the audit says."""
    known = world.catalog.stock.meta("manifest")
    report = ManifestReport.of(world.files, FOLDER, known)
    return report.faults + report.differences(world.rows(), world.catalog.stock.meta("expired"))


@pytest.mark.parametrize(
    "field", ["length", "spans", "derived", "crc", "sha256", "sealed_at", "session_id", "packed", "state"]
)
def test_a_changed_row_is_found(world: World, field: str) -> None:
    """Any field that was told, changed in the catalog."""
    assert differences(world) == []
    (row,) = (row for row in world.rows() if row.state is FileState.PACKED)
    value = getattr(row, field)
    other = FileState.TOLD if field == "state" else value + 1 if isinstance(value, int) else value + "x"
    changed = msgspec.structs.replace(row, **{field: other})
    with world.catalog.stock._database.transaction():
        world.catalog.stock.put([changed])
    assert differences(world)
    world.close()


def test_a_row_that_is_gone_or_expired_otherwise_is_found(world: World) -> None:
    """Rows and sums that the manifest knows otherwise."""
    rows, expired = world.rows(), world.catalog.stock.meta("expired")
    report = ManifestReport.of(world.files, FOLDER, world.catalog.stock.meta("manifest"))
    assert any("the catalog does not know" in text for text in report.differences(rows[1:], expired))
    for key in ("files", "spans", "derived"):
        assert report.differences(rows, {**expired, key: expired[key] + 1})
    strange = msgspec.structs.replace(rows[0], name="strange.000009.jsonl")
    assert any("the manifest does not know" in t for t in report.differences([*rows, strange], expired))
    world.close()
