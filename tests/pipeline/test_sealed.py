"""Sealed files in the whole engine: when they are sealed, what happens to them, and that `verify` sees it."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ext.cli.folder import engines, lines_of
from otel_ext.cli.verify import check_engine
from otel_ext.errors import DamageError
from otel_ext.pipeline import Engine
from otel_ext.pipeline.verify import Checker
from otel_ext.sessions import FileRow, FileState, State
from otel_ext.testing import ManualClock
from tests.builders import START, looping_run, request, span
from tests.pipeline.test_exactly_once import SECOND, SETTINGS, Run, requests
from tests.support import RAM, objects, run

pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")

KEEPING = msgspec.structs.replace(
    SETTINGS,
    file_age=40.0,
    compress_after=20.0,
    retention_age=300.0,
    retention_files=12,
    turn_files=3,
    reserve=1 << 16,
    checkpoint_interval=0.4,
)
"""Everything happens to files, a little at a time."""

WHOLE = msgspec.structs.replace(SETTINGS, file_bytes=1 << 20)
"""No file is sealed by size."""


def rows(made: Run) -> list[FileRow]:
    """Files of the catalog."""
    (folder,) = engines(made.folder)
    return folder.catalog.stock.files()


def report(made: Run) -> dict[str, Any]:
    """What `verify` says."""
    (folder,) = engines(made.folder)
    return check_engine(folder)


@pytest.mark.parametrize("examples", [8, pytest.param(100, marks=pytest.mark.long)])
def test_conservation_with_retention_and_compression_whenever_killed(examples: int) -> None:
    """Received = outcomes and stored = present + expired at every checkpoint, whatever was killed when."""

    @settings(max_examples=examples)
    @given(
        seed=st.integers(0, 10**6),
        steps=st.lists(st.sampled_from(["process", "kill", "go"]), min_size=60, max_size=60),
    )
    def holds(seed: int, steps: list[str]) -> None:
        with tempfile.TemporaryDirectory(dir=RAM) as name:
            made = Run(Path(name), KEEPING)
            for number, body in enumerate(requests(seed)):
                made.accept(body)
                if number % 9 == 8:
                    made.accept(30 * SECOND)
                step = steps[number % len(steps)]
                if step == "process":
                    made.process()
                    assert report(made)["damage"] == []
                elif step == "kill":
                    made.kill()
            made.finish()
            assert (found := report(made))["damage"] == []
            assert found["received"] == found["stored"] + found["duplicate"]
            assert found["uncommitted_bytes"] == 0

    holds()


def test_that_run_removes_and_compresses(tmp_path: Path) -> None:
    """The property above is about something: files are compressed and removed, and neither is all of them."""
    made = Run(tmp_path, KEEPING)
    for number, body in enumerate(requests(1)):
        made.accept(body)
        if number % 9 == 8:
            made.accept(30 * SECOND)
        made.process()
    found = report(made)
    made.engine.abandon()
    assert found["damage"] == []
    assert found["files"] > found["compressed"] > 0
    assert found["expired"]["spans"] > 0


def test_a_session_that_ends_is_sealed_and_goes_on_in_a_new_file(tmp_path: Path) -> None:
    """The end of a generation seals its file after its last finding; the next one has a later number."""
    made = Run(tmp_path, WHOLE)
    made.accept(request(*looping_run(1, "s")))
    made.accept(30 * SECOND)
    made.accept(request(*looping_run(2, "s")))
    made.finish()
    first, second = rows(made)
    assert (first.session_id, second.session_id) == ("s", "s")
    assert first.sequence < second.sequence
    assert first.state == second.state == FileState.TOLD
    assert first.derived > 0
    last = (tmp_path / "engines/main/sessions" / first.name).read_bytes().splitlines()[-1]
    assert b"detect termination." in last
    assert [(s.generation, s.state) for s in made.sessions()] == [(1, State.COMPLETED), (2, State.COMPLETED)]


def test_numbers_count_all_files_of_the_engine(tmp_path: Path) -> None:
    """No number is given twice, and numbers follow the order of first lines."""
    made = Run(tmp_path)
    for body in requests(4):
        made.accept(body)
    made.finish()
    found = sorted(rows(made), key=lambda row: row.sequence)
    assert [row.sequence for row in found] == list(range(1, len(found) + 1))
    assert [row.opened_at for row in found] == sorted(row.opened_at for row in found)


def test_age_seals_by_engine_time(tmp_path: Path) -> None:
    """A file is sealed when its age is reached, to the record, though its session goes on."""
    made = Run(tmp_path, msgspec.structs.replace(SETTINGS, file_age=15.0, idle_timeout=1000.0))
    for number in range(1, 8):
        made.accept(request(span(1, number, session__id="s")))
        made.accept(6 * SECOND)
    made.process()
    made.engine.abandon()
    found = rows(made)
    assert [row.state is FileState.OPEN for row in found] == [False, False, True]
    assert [row.spans for row in found] == [3, 3, 1]
    assert all(15 * SECOND <= row.sealed_at - row.opened_at < 22 * SECOND for row in found[:2])


def test_nothing_arrives_and_files_age_all_the_same(tmp_path: Path) -> None:
    """A live engine compresses and removes by age in silence."""
    made = Run(tmp_path, msgspec.structs.replace(WHOLE, compress_after=3600.0, retention_age=7200.0))
    made.accept(request(*looping_run(1, "s")))
    made.accept(30 * SECOND)
    made.process()
    assert [row.state for row in rows(made)] == [FileState.TOLD]
    made.clock.advance(3600 * SECOND)
    turns(made)
    assert [row.state for row in rows(made)] == [FileState.PACKED]
    made.clock.advance(3600 * SECOND)
    turns(made)
    assert rows(made) == []
    assert made.sessions() == []
    made.accept(request(*looping_run(2, "s")))
    made.finish()
    assert report(made)["damage"] == []
    assert report(made)["expired"]["files"] == 1


def turns(made: Run) -> None:
    """Let an idle engine notice the time, take its checkpoint and work on files."""
    made.engine.tick(made.clock.now())
    made.clock.advance(SECOND)
    for _ in range(4):
        made.engine.tick(made.clock.now())
        made.clock.advance(SECOND)
        made.engine.step()


def compressed(folder: Path) -> Run:
    """A finished run with compressed and plain files."""
    made = Run(folder, msgspec.structs.replace(WHOLE, compress_after=100.0))
    made.accept(request(*looping_run(1, "packed")))
    made.accept(30 * SECOND)
    made.process()
    made.accept(200 * SECOND)
    made.accept(request(*looping_run(2, "plain")))
    made.process()
    made.finish()
    assert {row.state for row in rows(made)} == {FileState.PACKED, FileState.TOLD}
    return made


def test_compressed_files_are_read_as_if_they_were_not(tmp_path: Path) -> None:
    """cat, sessions, verify, replay and `zstd -d` read them; the plain file is gone."""
    made = compressed(tmp_path / "a")
    (folder,) = engines(made.folder)
    (path,) = made.folder.rglob("*.zst")
    assert not path.with_suffix("").exists()
    lines = list(lines_of(folder, "packed"))
    assert sum(
        len(c["spans"]) for n in lines for r in json.loads(n)["resourceSpans"] for c in r["scopeSpans"]
    )
    assert report(made)["compressed"] == 1
    assert any(row["files"][0].endswith(".zst") for row in objects(run("sessions", made.folder, "--json")))
    run("replay", *sorted((folder.path / "sessions").iterdir()), "--data", tmp_path / "b")
    again = {row["session_id"] for row in objects(run("sessions", tmp_path / "b", "--json"))}
    assert again == {"packed", "plain"}


def test_the_command_line_tool_reads_compressed_files(tmp_path: Path) -> None:
    """Frames are ordinary, with a checksum."""
    made = compressed(tmp_path)
    (path,) = made.folder.rglob("*.zst")
    try:
        done = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("no zstd on this machine")
    (row,) = (row for row in rows(made) if row.packed)
    assert len(done.stdout) == row.length


def sweep(made: Run, path: Path, stride: int) -> int:
    """Flip a bit of a byte and cut at its offset, in every so many bytes; at how many.

    Neither may pass `verify`.
    """
    data = path.read_bytes()
    offsets = sorted({*range(0, len(data), stride), len(data) - 1})
    (folder,) = engines(made.folder)
    for offset in offsets:
        changed = bytearray(data)
        changed[offset] ^= 1 << offset % 8
        path.write_bytes(changed)
        assert not check_engine(folder)["ok"], (path, offset, "flipped")
        path.write_bytes(data[:offset])
        assert not check_engine(folder)["ok"], (path, offset, "cut")
    path.write_bytes(data)
    assert check_engine(folder)["damage"] == []
    return len(offsets)


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.long)])
def test_every_flipped_byte_and_every_cut_is_found(ram: Path, stride: int) -> None:
    """In a sealed file, in a compressed one, and in the manifest: nothing passes."""
    made = Run(ram, msgspec.structs.replace(SETTINGS, compress_after=100.0))
    made.accept(request(span(1, 1, session__id="packed")))
    made.accept(30 * SECOND)
    made.process()
    made.accept(200 * SECOND)
    made.accept(request(span(2, 2, session__id="plain")))
    made.process()
    made.finish()
    folder = ram / "engines/main"
    (plain,), (packed,) = folder.glob("sessions/plain*"), folder.glob("sessions/packed*.zst")
    for path in (plain, packed, folder / "MANIFEST"):
        assert sweep(made, path, stride) * stride >= path.stat().st_size
    for path in (plain, packed, folder / "MANIFEST"):
        data = path.read_bytes()
        path.unlink()
        assert not report(made)["ok"]
        path.write_bytes(data)
    stranger = folder / "sessions" / "other.000001.jsonl"
    stranger.write_bytes(b"{}")
    assert any("not known" in text for text in report(made)["damage"])
    stranger.rename(folder / "sessions" / "notes.txt")
    assert report(made)["ok"]


def test_a_folder_without_its_manifest_is_refused(tmp_path: Path) -> None:
    """What was promised to be there and is not is never begun anew in silence."""
    made = Run(tmp_path)
    made.accept(request(span(1, 1, session__id="s")))
    made.finish()
    path = tmp_path / "engines/main/MANIFEST"
    data = path.read_bytes()
    for left in (b"", data[:-1]):
        path.write_bytes(left)
        with pytest.raises(DamageError, match="MANIFEST is missing or was cut"):
            Engine(tmp_path, SETTINGS)
    path.write_bytes(data)
    Engine(tmp_path, SETTINGS).abandon()


def test_a_trace_that_joined_an_open_session_is_not_removed(tmp_path: Path) -> None:
    """Its file is the session's, too: it stays as long as that one is open, and goes with it."""
    settings = msgspec.structs.replace(SETTINGS, retention_age=30.0, checkpoint_interval=0.1)
    clock = ManualClock(START)
    engine = Engine(tmp_path, settings, clock=clock)

    def pass_seconds(seconds: int) -> None:
        for _ in range(seconds):
            engine.tick(engine.journal.engine_time + SECOND)
            clock.advance(SECOND)
            engine.step()

    engine.intake.accept(request(span(1, 1)))
    pass_seconds(4)
    engine.intake.accept(request(span(1, 2, 1, session__id="S")))
    for number in range(20):
        engine.intake.accept(request(span(2, 100 + number, session__id="S")))
        pass_seconds(5)
    (folder,) = engines(tmp_path)
    assert sum(line.count(b'"spanId"') for line in lines_of(folder, "S")) == 22
    pass_seconds(120)
    (folder,) = engines(tmp_path)
    assert folder.catalog.meta()["expired"]["spans"] == 22
    engine.abandon()


def test_verify_beside_a_writer_judges_by_what_was_promised_when_it_began(tmp_path: Path) -> None:
    """A file that was open then has grown, was sealed and compressed: its first bytes are as promised."""
    made = Run(tmp_path, msgspec.structs.replace(WHOLE, compress_after=1.0))
    made.accept(request(span(1, 1, session__id="s")))
    made.accept(SECOND)
    made.process()
    (folder,) = engines(made.folder)
    checker = Checker(folder.path, folder.catalog)
    assert [row.state for row in checker.rows] == [FileState.OPEN]
    made.accept(request(span(1, 2, session__id="s")))
    made.accept(30 * SECOND)
    made.process()
    made.clock.advance(30 * SECOND)
    turns(made)
    assert [row.state for row in rows(made)] == [FileState.PACKED]
    (path,) = tmp_path.rglob("*.zst")
    data = path.read_bytes()
    assert checker.report()["damage"] == []
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert not Checker(folder.path, folder.catalog).report()["ok"]
    checker.files()
    assert len(checker.damage) == 1
    path.write_bytes(data)
    checker.rows[0].crc ^= 1
    checker.damage.clear()
    checker.files()
    assert "CRC-32" in checker.damage[0]
    made.engine.abandon()
    folder.catalog.close()


def test_work_on_sealed_files_keeps_up_under_load(tmp_path: Path) -> None:
    """The engine is never idle, and more files are sealed between checkpoints than one turn can take."""
    made = Run(
        tmp_path,
        msgspec.structs.replace(
            WHOLE, idle_timeout=1.0, turn_files=2, retention_files=10, compress_after=2.0, reserve=0
        ),
    )
    for number in range(1, 161):
        made.accept(request(*(span(number * 8 + n, 1, session__id=f"s{number}-{n}") for n in range(8))))
        if number % 4 == 0:  # two seconds have passed
            made.process()
    found = rows(made)
    made.engine.abandon()
    assert sum(row.state is FileState.SEALED for row in found) == 0
    assert sum(row.state is not FileState.OPEN for row in found) <= 10
