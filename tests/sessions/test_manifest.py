"""The manifest: appended, chained, torn ends skipped and said, damage found."""

from random import Random

import pytest

from otel_ext.errors import DamageError, UnsupportedVersion
from otel_ext.sessions.facts import Fact, Opening, Packed, Quarantined, Removed, Sealed, Torn, Totals
from otel_ext.sessions.manifest import START, Manifest, Place, encode, read
from otel_ext.testing import CrashableFiles, PowerCut, content, overwrite

PATH = "/e/MANIFEST"


def fact(number: int) -> Fact:
    """One of each kind in turn."""
    name = f"s.{number:06d}.jsonl"
    kinds: list[Fact] = [
        Sealed(
            name=name,
            session="s\N{SNOWMAN}\n",
            length=number,
            spans=1,
            derived=0,
            crc=7,
            sha256="ab",
            at=str(2**60 + 1),
        ),
        Packed(name=name, length=3, sha256="cd"),
        Removed(name=name, spans=1, derived=0, length=3),
        Quarantined(name=name, length=9),
        Totals(ledger={"lost": {"x": 1}}, expired={"files": 1}, cursor=[1, 2], next=number),
    ]
    return kinds[number % len(kinds)]


def disk() -> CrashableFiles:
    """An empty folder."""
    made = CrashableFiles()
    made.make_directory("/e")
    return made


def facts(files: CrashableFiles, start: Place = START) -> list[Fact | None]:
    """What a reader sees, less first lines and torn ones."""
    file = files.open(PATH, read_only=True)
    return [line.fact for line in read(file, start) if not isinstance(line.fact, Opening | Torn)]


def test_what_was_appended_is_read_from_anywhere() -> None:
    """Facts come back, from the beginning and from every place between."""
    files = disk()
    manifest = Manifest(files, "/e", "id", START)
    said, places = [fact(n) for n in range(12)], [manifest.place]
    places += [manifest.append([each]) for each in said]
    assert facts(files) == said
    for number, place in enumerate(places):
        assert facts(files, place) == said[number:]
        assert Manifest(files, "/e", "id", place).late == said[number:]


def test_power_cut_after_every_operation() -> None:
    """What `append` returned for is there after the cut; what it did not is whole or skipped."""
    points = 0
    for point in range(1, 200):
        for seed in (None, *range(15)):
            files = disk()
            files.crash_at = files.operations + point
            said: list[Fact] = []
            started: list[Fact] = []
            known = START
            try:
                for life in range(3):
                    manifest = Manifest(files, "/e", "id", known)
                    for number in range(life * 4, life * 4 + 4):
                        started = [fact(number), fact(number + 1)]
                        manifest.append(started)
                        said += started
                    known = manifest.place if life == 1 else known
            except PowerCut:
                points += 1
            else:
                break
            after = files.crash(None if seed is None else Random(point * 100 + seed))
            manifest = Manifest(after, "/e", "id", known)
            found = facts(after)
            assert None not in found
            assert found[: len(said)] == said
            assert found[len(said) :] in ([], started[:1], started)
            manifest.append([fact(99)])
            assert facts(after.crash()) == [*found, fact(99)]
        else:
            continue
        break
    assert points >= 16 * 26


def test_a_torn_end_is_skipped_and_never_overwritten() -> None:
    """Cut at every offset of the last line, with and without garbage behind: its bytes stay."""
    files = disk()
    manifest = Manifest(files, "/e", "id", START)
    manifest.append([fact(0)])
    before = manifest.place
    manifest.append([fact(1)])
    whole = content(files, PATH)
    for garbage in (b"", b"\n", b"\0\0\n\0", b'{"fact":'):
        for offset in range(before.length + 1, len(whole)):
            torn = whole[:offset] + garbage
            overwrite(files, PATH, torn)
            again = Manifest(files, "/e", "id", before)
            whole_line = not garbage.strip() and offset == len(whole) - 1
            late = [fact(1)] if whole_line else []
            assert [f for f in again.late if not isinstance(f, Torn)] == late
            assert content(files, PATH).startswith(torn)
            again.append([fact(2)])
            assert facts(files) == [fact(0), *late, fact(2)]
            assert facts(files, before) == [*late, fact(2)]


def test_every_flipped_bit_is_found() -> None:
    """Any bit of any committed line: a reader finds at least one bad line, and all lines not next to it."""
    files = disk()
    manifest = Manifest(files, "/e", "id", START)
    manifest.append([fact(n) for n in range(6)])
    overwrite(files, PATH, content(files, PATH) + b"half a li")
    manifest = Manifest(files, "/e", "id", manifest.place)
    manifest.append([fact(n) for n in range(6, 9)])
    whole = content(files, PATH)
    for offset in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[offset] ^= 1 << bit
            overwrite(files, PATH, bytes(changed))
            torn = whole.index(b"half a li")
            if torn <= offset < torn + 10:
                continue  # an unfinished write of the past has no bytes that count
            lines = list(read(files.open(PATH)))
            assert any(line.fact is None for line in lines), (offset, bit)
            assert sum(line.fact is not None for line in lines) >= 6


def test_a_line_left_out_is_found() -> None:
    """Lines are chained: one that was taken away, or two that were exchanged, are missed."""
    files = disk()
    manifest = Manifest(files, "/e", "id", START)
    manifest.append([fact(n) for n in range(5)])
    lines = content(files, PATH).splitlines(keepends=True)
    for number in range(len(lines) - 1):
        overwrite(files, PATH, b"".join(lines[:number] + lines[number + 1 :]))
        assert None in facts(files)
        overwrite(
            files, PATH, b"".join([*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]])
        )
        assert None in facts(files)


def test_what_is_missing_or_newer_is_refused() -> None:
    """A manifest shorter than promised is damage; one of a newer program is not touched."""
    files = disk()
    place = Manifest(files, "/e", "id", START).append([fact(0)])
    data = content(files, PATH)
    overwrite(files, PATH, data[:-1])
    with pytest.raises(DamageError):
        Manifest(files, "/e", "id", place)
    files.remove(PATH)
    with pytest.raises(DamageError):
        Manifest(files, "/e", "id", place)
    line, _ = encode(Opening(version=2, engine="id"), 0)
    overwrite(files, PATH, line)
    with pytest.raises(UnsupportedVersion):
        Manifest(files, "/e", "id", START)
    assert content(files, PATH) == line
