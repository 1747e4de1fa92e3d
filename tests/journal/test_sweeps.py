"""Every byte: cut there, or damaged there."""

from dataclasses import dataclass
from random import Random

import pytest

from otel_ext.journal import Journal, Record, scan
from otel_ext.journal.header import SEGMENT_HEADER
from otel_ext.testing import CrashableFiles, FailingFiles, ManualClock, content, overwrite, read_all


@dataclass
class Sample:
    """A journal's files, and the records in them."""

    files: dict[str, bytes]
    records: list[Record]

    def disk(self, **changed: bytes) -> CrashableFiles:
        """A fresh disk with these files, some of them changed."""
        disk = CrashableFiles()
        disk.make_directory("/j")
        for name, data in {**self.files, **changed}.items():
            overwrite(disk, f"/j/{name}", data)
        return disk


def sample(*, segment_bytes: int = 1 << 20, close: bool = True, fail: bool = False) -> Sample:
    """Six records of differing size and items; with `fail` one more that a failed sync voids."""
    disk = CrashableFiles()
    failing = FailingFiles(disk, on={"sync"})
    journal = Journal.open(failing, "/j", clock=ManualClock(), segment_bytes=segment_bytes)
    for n in range(3):
        journal.append(n + 1, bytes([65 + n]) * n * 7, items=n + 1)
    if fail:
        failing.fail_at = failing.operations + 1
        with pytest.raises(Exception, match="EIO"):
            journal.append(99, b"void", items=1000)
        journal.reopen()
    for n in range(3, 6):
        journal.append(n + 1, bytes([65 + n]) * n * 7, items=n + 1)
    records = read_all(journal)
    if close:
        journal.close()
    assert len(records) == 6
    return Sample({name: content(disk, f"/j/{name}") for name in disk.list("/j")}, records)


def check_exact(found: list[Record], wanted: list[Record]) -> int:
    """Every record found is one that was written, in order, and each loss is told exactly."""
    missing = 0
    expected = list(wanted)
    for record in found:
        lost = 0
        while expected and expected[0].end != record.end:
            lost += expected.pop(0).items
            missing += 1
        assert expected, record
        assert record == expected.pop(0)._replace(lost_items=lost)
    return missing + len(expected)


def test_cut_at_every_byte_reads_as_the_longest_whole_prefix() -> None:
    """A journal cut at any byte opens, reads as its whole records before the cut, and takes new ones."""
    made = sample(close=False)
    (name,) = made.files
    whole = made.files[name]
    for cut in range(len(whole) + 1):
        disk = made.disk(**{name: whole[:cut]})
        journal = Journal.open(disk, "/j", clock=ManualClock())
        prefix = [record for record in made.records if record.end.offset <= cut]
        assert read_all(journal) == prefix, cut
        assert not journal.recovery.damaged_regions
        end = max([SEGMENT_HEADER, *(record.end.offset for record in prefix)])
        torn = 0 if cut < SEGMENT_HEADER else cut - end
        if journal.recovery.void_segments:  # cut within both copies of the header
            assert cut < SEGMENT_HEADER
        assert journal.recovery.torn_bytes == torn
        assert scan(disk, "/j").sound
        journal.append(1, b"new", items=1)
        assert content(disk, f"/j/{name}") == whole[:cut]
        again = read_all(Journal.open(disk.crash(), "/j"))
        assert [r.payload for r in again] == [r.payload for r in prefix] + [b"new"]
        assert all(r.lost_items == 0 for r in again)


def test_sealed_segment_cut_at_every_byte_tells_its_loss_exactly() -> None:
    """A segment that has a successor and lost its end at any byte costs exactly what was cut off."""
    made = sample(segment_bytes=400)
    name = min(made.files)
    assert len(made.files) > 1
    first = [record for record in made.records if record.end.segment == 1]
    for cut in range(SEGMENT_HEADER, len(made.files[name]) - 1):
        disk = made.disk(**{name: made.files[name][:cut]})
        journal = Journal.open(disk, "/j", clock=ManualClock())
        gone = check_exact(read_all(journal), made.records)
        assert gone == sum(record.end.offset > cut for record in first) > 0
        assert scan(disk, "/j").lost_items == sum(r.items for r in first if r.end.offset > cut)


@pytest.mark.parametrize("mask", [0xFF, 0x01])
@pytest.mark.parametrize("shape", ["one segment", "many segments", "voided"])
def test_every_byte_damaged(mask: int, shape: str) -> None:
    """Any one damaged byte costs at most one record; no wrong record, no exception, losses exact."""
    made = sample(segment_bytes=300 if shape == "many segments" else 1 << 20, fail=shape == "voided")
    assert len(made.files) == {"one segment": 1, "many segments": 4, "voided": 2}[shape]
    total = sum(record.items for record in made.records)
    lossy = 0
    for name, whole in made.files.items():
        for at in range(len(whole)):
            bad = bytearray(whole)
            bad[at] ^= mask
            disk = made.disk(**{name: bytes(bad)})
            report = scan(disk, "/j")
            journal = Journal.open(disk, "/j", clock=ManualClock())
            found = read_all(journal)
            gone = check_exact(found, made.records)
            assert gone <= 1, (name, at)
            lossy += gone
            assert journal.items == total, (name, at)
            lost = total - sum(record.items for record in found)
            assert report.lost_items == lost == sum(r.lost_items for r in journal.recovery.damaged_regions)
            if gone:
                (region,) = journal.recovery.damaged_regions
                kept = f"/j/quarantine/{region.segment}-{region.offset}.bin"
                assert content(disk, kept) == bytes(bad)[region.offset : region.offset + region.length]
                assert not journal.recovery.quarantine_failures
            assert content(disk, f"/j/{name}") == bytes(bad)
            journal.append(9, b"next", items=1)
            *_, last = read_all(journal)
            assert last.payload == b"next"
            seen = sum(record.items + record.lost_items for record in read_all(journal))
            assert seen == total + 1, "what follows tells of a loss at the end too"
    assert lossy == sum(r.end.offset - r.start.offset for r in made.records), (
        "each byte of each record counts"
    )


def test_losses_are_told_the_same_from_every_cursor() -> None:
    """A reader that starts anywhere, with any step, is told the same losses as one that reads through."""
    made = sample(segment_bytes=300)
    random = Random(4)
    for _ in range(60):
        files = {name: bytearray(data) for name, data in made.files.items()}
        for _ in range(random.randrange(1, 5)):
            name = random.choice(sorted(files))
            files[name][random.randrange(SEGMENT_HEADER, len(files[name]))] ^= 0xFF
        disk = made.disk(**{name: bytes(data) for name, data in files.items()})
        through = read_all(Journal.open(disk, "/j"))
        check_exact(through, made.records)
        for n, record in enumerate(through):
            step = random.choice([1, 100, 10_000])
            assert read_all(Journal.open(disk, "/j"), record.end, max_bytes=step) == through[n + 1 :]
        for record in made.records:  # also where the cursor's own record is gone since
            cold = read_all(Journal.open(disk, "/j"), record.end)
            assert [r.start for r in cold] == [r.start for r in through if r.start >= record.end]
