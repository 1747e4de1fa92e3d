"""Bit by bit: damage is found, set aside, counted, and everything else goes on."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from otel_ext.cli.folder import engines, lines_of
from otel_ext.cli.verify import check_engine
from otel_ext.errors import DataFolderInUse
from otel_ext.otlp import DERIVED
from otel_ext.pipeline import repair
from tests.builders import looping_run, request, span
from tests.pipeline.test_exactly_once import SETTINGS, Run, requests
from tests.support import objects, run

ENGINE = "engines/main"
COMPRESSING = msgspec.structs.replace(SETTINGS, compress_after=1.0, idle_timeout=20.0)


def made(folder: Path, *, over: bool) -> Run:
    """A folder with sealed, compressed and open files, closed politely."""
    found = Run(folder, COMPRESSING)
    for body in requests(7):
        found.accept(body)
        found.process()
    if over:
        found.finish()
    else:
        found.engine.start()
        assert found.engine.close()
    return found


@pytest.fixture(scope="module", params=[True, False], ids=["over", "open"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound folder; copied by each test."""
    folder: Path = tmp_path_factory.mktemp("whole")
    made(folder, over=request.param)
    assert verified(folder)["ok"]
    return folder


def verified(data: Path) -> dict[str, Any]:
    """What `verify` says."""
    (folder,) = engines(data, recover=False)
    try:
        return check_engine(folder)
    finally:
        folder.catalog.close()


def stored(data: Path) -> Counter[bytes]:
    """Every stored line of received and derived spans."""
    (folder,) = engines(data, recover=False)
    lines = Counter(lines_of(folder, None))
    folder.catalog.close()
    return lines


def same(data: Path, before: Counter[bytes]) -> None:
    """Every line is still there; what came is ours: detectors made anew may see late spans otherwise."""
    now = stored(data)
    assert not before - now
    assert all(line.endswith(DERIVED) for line in now - before)


def flip(path: Path, bit: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def places(path: Path, count: int) -> list[int]:
    """Bits spread over a file, the first and last bytes among them, every bit of a byte in turn."""
    size = path.stat().st_size
    return [(size - 1) * 8 * n // (count - 1) + n % 8 for n in range(count)]


WIDE = pytest.mark.parametrize("wide", [1, pytest.param(8, marks=pytest.mark.long)])
"""How many times the places to damage; the ends of a file are always among them."""


@WIDE
@pytest.mark.parametrize("kind", ["first", "last", "open"])
def test_a_flipped_bit_of_a_session_file_is_found_and_set_aside(
    whole: Path, ram: Path, kind: str, wide: int
) -> None:
    """The file goes to quarantine, its spans are lost, every other line is there."""
    (folder,) = engines(whole)
    rows = folder.catalog.stock.files()
    folder.catalog.close()
    chosen = [row for row in rows if (row.state == 0) == (kind == "open")]
    if not chosen:
        pytest.skip("no such file in this folder")
    row = chosen[-1] if kind == "last" else chosen[0]
    before = stored(whole)
    for number, bit in enumerate(places(whole / ENGINE / "sessions" / row.stored_name, 5 * wide)):
        data = ram / str(number)
        shutil.copytree(whole, data)
        flip(data / ENGINE / "sessions" / row.stored_name, bit)
        assert not verified(data)["ok"], bit
        planned = repair(data / ENGINE, dry_run=True)
        assert not planned.ok
        assert planned.lost == row.spans
        done = repair(data / ENGINE)
        assert (done.ok, done.left, done.lost) == (True, [], row.spans)
        (aside,) = done.quarantined
        assert Path(aside).exists()
        assert not (data / ENGINE / "sessions" / row.stored_name).exists()
        report = verified(data)
        assert report["damage"] == []
        assert report["lost"] == ({"damage": row.spans} if row.spans else {})
        assert report["received"] == report["stored"] + report["duplicate"] + row.spans
        left = stored(data)
        assert not left - before
        assert sum((before - left).values()) < sum(before.values())
        again = repair(data / ENGINE)
        assert (again.ok, again.damage, again.quarantined) == (True, [], [])
        shutil.rmtree(data)


def test_a_missing_file_is_counted(whole: Path, tmp_path: Path) -> None:
    """What is not there cannot be moved, but it is said and counted."""
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    (folder,) = engines(data)
    row = folder.catalog.stock.files()[0]
    folder.catalog.close()
    (data / ENGINE / "sessions" / row.stored_name).unlink()
    done = repair(data / ENGINE)
    assert (done.ok, done.quarantined, len(done.missing), done.lost) == (True, [], 1, row.spans)
    assert verified(data)["ok"]


@WIDE
def test_a_flipped_bit_of_the_manifest_is_found_and_mended(whole: Path, ram: Path, wide: int) -> None:
    """A new manifest says what the catalog holds; nothing is lost; the catalog can be made from it."""
    before = stored(whole)
    for number, bit in enumerate(places(whole / ENGINE / "MANIFEST", 6 * wide)):
        data = ram / str(number)
        shutil.copytree(whole, data)
        flip(data / ENGINE / "MANIFEST", bit)
        assert not verified(data)["ok"], bit
        done = repair(data / ENGINE)
        assert (done.ok, done.manifest, done.lost) == (True, True, 0)
        assert list((data / ENGINE / "quarantine").glob("MANIFEST.*"))
        assert stored(data) == before
        for path in (data / ENGINE).glob("catalog.sqlite*"):
            path.unlink()
        done = repair(data / ENGINE)
        assert (done.ok, done.reindexed) == (True, True)
        same(data, before)
        shutil.rmtree(data)


@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.long)])
def test_a_damaged_catalog_is_made_anew(whole: Path, ram: Path, stride: int) -> None:
    """Whatever page of it is overwritten: afterwards it says what it said, or what the files say."""
    before, path = stored(whole), whole / ENGINE / "catalog.sqlite"
    found = 0
    for number, page in enumerate(range(0, path.stat().st_size // 4096, stride)):
        data = ram / str(number)
        shutil.copytree(whole, data)
        with (data / ENGINE / "catalog.sqlite").open("r+b") as stream:
            stream.seek(page * 4096)
            stream.write(b"\xa5" * 4096)
        done = repair(data / ENGINE)
        assert done.ok, (page, done)
        found += done.reindexed
        same(data, before)
        assert verified(data)["damage"] == []
        shutil.rmtree(data)
    assert found


def test_a_damaged_journal_is_processed_and_counted(tmp_path: Path) -> None:
    """A flipped bit in a record that was not processed: the others are stored, its spans counted lost."""
    made_by_kill = Run(tmp_path / "whole")
    for number in range(1, 9):
        made_by_kill.accept(request(*looping_run(number, f"s-{number}")))
    made_by_kill.engine.abandon()
    (segment,) = sorted((tmp_path / "whole" / ENGINE / "journal").glob("*.journal"))
    found = 0
    for number, bit in enumerate(places(segment, 12)):
        data = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", data)
        flip(data / ENGINE / "journal" / segment.name, bit)
        if verified(data)["ok"]:
            continue  # one of the header's two copies, or the last record: an unfinished write by its looks
        found += 1
        done = repair(data / ENGINE)
        assert (done.ok, done.journal) == (True, True), (bit, done)
        report = verified(data)
        lost = report["lost"].get("journal_damage", 0)
        assert report["received"] == report["stored"] + lost
    assert found > 5


def test_a_crash_between_move_and_manifest_is_finished(whole: Path, tmp_path: Path) -> None:
    """A file that was moved away and not told of is missing: the next repair counts it."""
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    (folder,) = engines(data)
    row = folder.catalog.stock.files()[0]
    folder.catalog.close()
    aside = data / ENGINE / "quarantine"
    aside.mkdir()
    (data / ENGINE / "sessions" / row.stored_name).rename(aside / f"{row.stored_name}.0")
    assert repair(data / ENGINE).ok
    report = verified(data)
    assert (report["damage"], report["lost"]) == ([], {"damage": row.spans} if row.spans else {})


def test_it_goes_on_after_a_repair(whole: Path, tmp_path: Path) -> None:
    """New spans of the same sessions are stored, names are not used again."""
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    (folder,) = engines(data)
    row = folder.catalog.stock.files()[0]
    folder.catalog.close()
    flip(data / ENGINE / "sessions" / row.stored_name, 999)
    names = {path.name for path in (data / ENGINE / "sessions").iterdir()}
    assert repair(data / ENGINE).ok
    left = {path.name for path in (data / ENGINE / "sessions").iterdir()}
    again = Run(data)
    again.accept(request(span(400, 1, session__id=row.session_id)))
    again.finish()
    new = {path.name for path in (data / ENGINE / "sessions").iterdir()} - left
    assert new
    assert not new & names
    assert verified(data)["ok"]


def test_a_living_owner_is_refused(tmp_path: Path) -> None:
    """Neither command touches a folder that is in use."""
    owner = Run(tmp_path)
    with pytest.raises(DataFolderInUse):
        repair(tmp_path / ENGINE)
    owner.engine.abandon()


def test_the_command(whole: Path, tmp_path: Path) -> None:
    """`repair` and `reindex` as a person calls them."""
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    assert "nothing to repair" in run("repair", data)
    path = min((data / ENGINE / "sessions").iterdir())
    flip(path, 999)
    assert "would be moved to quarantine" in run("repair", data, "--dry-run", code=1)
    assert path.exists()
    (done,) = objects(run("repair", data, "--json"))
    assert (done["ok"], len(done["quarantined"])) == (True, 1)
    run("verify", data)
    (done,) = objects(run("reindex", data, "--json"))
    assert done["old"]
    run("verify", data)
