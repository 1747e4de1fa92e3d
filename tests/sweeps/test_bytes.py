"""The journal and a session file, cut and damaged at every byte, before the engine starts again (L3-L6)."""

import itertools
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from otel_ext.journal import Record
from otel_ext.pipeline import Engine
from otel_ext.sessions import Catalog, file_name
from otel_ext.testing import CrashableFiles, ManualClock, content, overwrite, read_all
from tests.builders import START, request, span
from tests.sweeps.workload import SECOND, SETTINGS, Action, Machine, Outcome, spans_of

ROOMY = msgspec.structs.replace(SETTINGS, segment_bytes=1 << 20, file_bytes=1 << 20, checkpoint_interval=10.0)
FILE = file_name("s", 1)
SEGMENT = f"{1:020d}.journal"
NEWS = [Action(START + 13 * SECOND, "send", request(span(1, 9, session__id="s"))), Action(START, "stop")]
"""What comes after the damage."""


def sent(number: int) -> Action:
    """One request: as many spans as its number says; two before a checkpoint, two after it."""
    spans = (span(1, 10 * number + n, session__id="s") for n in range(number))
    return Action(START + (number > 1) * 11 * SECOND, "send", request(*spans))


class Specimen:
    """A folder as a kill left it: requests 1 and 2 are in the checkpoint, 3 and 4 only in the bytes.

    Attributes:
        journal, file: all bytes of the one segment and of the one session file.
        records: what is in the segment; the first two are behind the checkpoint's `cursor`.
        committed: bytes of the session file that the checkpoint speaks of.
        calm: what an undamaged folder ends as.
    """

    def __init__(self, folder: Path) -> None:
        script = [sent(1), sent(2), Action(0, "step"), sent(3), sent(4), Action(0, "step")]
        self._machine = machine = Machine(folder, CrashableFiles(), script, settings=ROOMY)
        machine.play()
        assert machine.engine is not None
        self.records: list[Record] = read_all(machine.engine.journal)
        self._catalog = machine.die()
        self.journal = machine.bytes_of("journal")[SEGMENT]
        self.file = machine.bytes_of("sessions")[FILE]
        self._manifest = content(machine.disk, f"{machine.home}/MANIFEST")
        catalog = Catalog(machine.home / "catalog.sqlite")
        (row,) = catalog.stock.files()
        self.committed, self.cursor = row.length, catalog.meta()["cursor"][1]
        catalog.close()
        assert len(self.records) == 4
        assert self.cursor == self.records[1].end.offset
        assert 0 < self.committed < len(self.file)
        machine.clock = ManualClock(START + 12 * SECOND)
        self.calm, _ = self.restarted()
        assert spans_of(self.calm.files).total() == 11
        assert self.calm.report["ok"]

    def restarted(
        self, *, journal: bytes | None = None, file: bytes | None = None
    ) -> tuple[Outcome, Machine]:
        """What the folder ends as when it had these bytes, and the engine then starts and gets news."""
        disk = CrashableFiles()
        for room in ("journal", "sessions"):
            disk.make_directory(f"{self._machine.home}/{room}")
        journal, file = self.journal if journal is None else journal, self.file if file is None else file
        overwrite(disk, f"{self._machine.home}/journal/{SEGMENT}", journal)
        overwrite(disk, f"{self._machine.home}/sessions/{FILE}", file)
        overwrite(disk, f"{self._machine.home}/MANIFEST", self._manifest)
        for room in ("", "/journal", "/sessions"):
            disk.sync_directory(f"{self._machine.home}{room}")
        machine = self._machine.revived(disk, self._catalog)
        machine.actions = NEWS
        machine.at = 0
        machine.engine = Engine(
            machine.folder, ROOMY, files=machine.disk, clock=machine.clock, stats=machine.stats
        )
        machine.play()
        machine.disk = machine.disk.crash()  # a polite stop leaves nothing unsynced
        return machine.outcome(), machine

    def check_journal(self, journal: bytes, gone: list[Record], *, told: bool) -> None:
        """Records that are gone and not yet in the checkpoint are the loss, counted when it can be told."""
        found, _ = self.restarted(journal=journal)
        lost = sum(record.items for record in gone if record.start.offset >= self.cursor)
        assert found.report["ok"], found.report
        assert Counter(spans_of(found.files).values()) == {1: 11 - lost}
        assert found.ledger["stored"] == 11 - lost
        assert found.ledger["lost"] == ({"journal_damage": lost} if lost and told else {})
        assert set(spans_of(found.files)) <= set(spans_of(self.calm.files))
        for name, data in found.files.items():
            assert set(data.splitlines()) <= set(self.calm.files[name].splitlines())

    def check_file(self, file: bytes) -> None:
        """Bytes behind the checkpoint are made right; before it, nothing is touched and `verify` tells."""
        found, machine = self.restarted(file=file)
        files = machine.bytes_of("sessions")
        if file[: self.committed] == self.file[: self.committed]:
            assert found.files == self.calm.files
            assert found.report["ok"], found.report
            cut = machine.stats.get("otel_ext.sessions.truncated_bytes")
            equal = bytes(
                a
                for a, b in itertools.takewhile(lambda ab: ab[0] == ab[1], zip(file, self.file, strict=False))
            )
            assert cut == (0 if equal == file else len(file) - equal.rfind(b"\n") - 1), "from its line on"
            return
        assert found.ledger == self.calm.ledger
        assert any(FILE in text for text in found.report["damage"]), found.report
        if len(file) < self.committed:
            assert files[FILE] == file, "a file that is too short is left as it is"
            added = files[file_name("s", 2)].partition(b"\n")[2]
            assert added.splitlines() == self.calm.files[FILE].splitlines()[2:]
        else:
            after = len(file) if file[self.committed :] == self.file[self.committed :] else self.committed
            assert files[FILE][:after] == file[:after], "committed bytes stay as they are"
            assert files[FILE][after:] == (self.calm.heads[FILE] + b"\n" + self.calm.files[FILE])[after:]


def flipped(data: bytes, at: int, bit: int) -> bytes:
    """One bit changed."""
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


STRIDES = pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.long)])
"""Every ninth byte, other ones in each test; or all."""


@STRIDES
def test_journal_cut_at_every_byte(ram: Path, points: Counter[str], stride: int) -> None:
    """What was cut off and not yet stored is gone, as after an unfinished write; nothing else is."""
    specimen = Specimen(ram)
    for cut in range(0, len(specimen.journal), stride):
        gone = [record for record in specimen.records if record.end.offset > cut]
        specimen.check_journal(specimen.journal[:cut], gone, told=False)
        points["byte"] += 1


@STRIDES
def test_journal_damaged_at_every_byte(ram: Path, points: Counter[str], stride: int) -> None:
    """A damaged record costs itself, if it was not stored yet; counted, unless it was the very last."""
    specimen = Specimen(ram)
    for at in range(1 % stride, len(specimen.journal), stride):
        gone = [record for record in specimen.records if record.start.offset <= at < record.end.offset]
        specimen.check_journal(
            flipped(specimen.journal, at, at % 8), gone, told=gone != specimen.records[-1:]
        )
        points["byte"] += 1


@STRIDES
def test_session_file_cut_at_every_byte(ram: Path, points: Counter[str], stride: int) -> None:
    """Cut behind the checkpoint it is completed; cut before, it is left alone and a new file begun."""
    specimen = Specimen(ram)
    for cut in range(2 % stride, len(specimen.file), stride):
        specimen.check_file(specimen.file[:cut])
        points["byte"] += 1


@STRIDES
def test_session_file_damaged_at_every_byte(ram: Path, points: Counter[str], stride: int) -> None:
    """Damage behind the checkpoint is mended; damage before it is told by `verify`, and not made worse."""
    specimen = Specimen(ram)
    for at in range(3 % stride, len(specimen.file), stride):
        specimen.check_file(flipped(specimen.file, at, at % 8))
        points["byte"] += 1


@pytest.mark.long
def test_every_bit_of_the_bytes_around_the_checkpoint(ram: Path, points: Counter[str]) -> None:
    """All eight bits, where records and lines meet what the checkpoint knows."""
    specimen = Specimen(ram)
    for bit in range(8):
        for at in range(specimen.committed - 40, specimen.committed + 40):
            specimen.check_file(flipped(specimen.file, at, bit))
        for at in range(specimen.cursor - 60, specimen.cursor + 60):
            gone = [record for record in specimen.records if record.start.offset <= at < record.end.offset]
            specimen.check_journal(flipped(specimen.journal, at, bit), gone, told=True)
        points["byte"] += 200
