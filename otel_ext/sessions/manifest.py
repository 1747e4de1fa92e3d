"""The manifest: what was said of each sealed file, for ever, outside the database (law L4).

Law of this file: it is only ever appended to and each append is synced before anybody acts on it. The last
word on a name counts. It is what the catalog is checked against, and what is left when the catalog is not.

    MANIFEST     line*
    line         a JSON object with "fact" first and "check" last, newline; see `facts`
    check        CRC-32 (8 hex digits) of the line's bytes before `,"check":`, begun with the check of the
                 line before (0 for the first), so that a line cannot be changed, moved or left out
    first line   {"fact":"manifest","version":1,"engine":...}

A crash can leave an unfinished end. It is never overwritten: the next start closes it with a newline, and
unless that makes a whole line of it, with a line {"fact":"torn","at":...,"length":...,"before":...} that
names those bytes and goes on from the check of the line before them.
64-bit times are decimal strings, as in OTLP JSON.
"""

import contextlib
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from otel_ext.errors import DamageError, UnsupportedVersion
from otel_ext.files import File, Files
from otel_ext.sessions.facts import VERSION, AnyFact, Fact, Opening, Torn

NAME: Final = "MANIFEST"
_MARK: Final = b',"check":"'
_TAIL: Final = re.compile(rb',"check":"([0-9a-f]{8})"\}\n\Z')
_CHUNK: Final = 1 << 20


_decode = msgspec.json.Decoder(AnyFact).decode


class Place(NamedTuple):
    """A line's end: its offset, and the check that the next line begins with."""

    length: int = 0
    check: int = 0


START: Final = Place()
"""Where a manifest begins."""


class Line(NamedTuple):
    """One line as it was read: where it begins, its fact (None when it is damaged), the place after it."""

    at: int
    fact: Fact | None
    end: Place


def read(file: File, start: Place = START, end: int | None = None) -> Iterator[Line]:
    """Lines from `start` up to offset `end`, or the file's size, unfinished writes of the past left out.

    A damaged line does not hide those behind it: they go on from the check that it states.
    """
    held: list[Line] = []  # from a damaged line on, for it may be an unfinished write
    for line in _lines(file, start, file.size() if end is None else min(end, file.size())):
        torn = line.fact if isinstance(line.fact, Torn) else None
        if held and torn and torn.at <= held[0].at and torn.at + torn.length == line.at:
            held = []
            yield line
        elif held or line.fact is None:
            held.append(line)
        else:
            yield line
    yield from held


def _lines(file: File, start: Place, last: int) -> Iterator[Line]:
    rest, position, place = b"", start.length, start
    while position < last or rest:
        newline = rest.find(b"\n")
        if newline < 0 and position < last:
            data = file.read(position, min(_CHUNK, last - position))
            position = position + len(data) if data else last
            rest += data
            continue
        line, rest = (rest, b"") if newline < 0 else (rest[: newline + 1], rest[newline + 1 :])
        at, tail = place.length, _TAIL.search(line)
        stated = int(tail[1], 16) if tail else 0
        fact = _parse(line[: tail.start()], line, place.check, stated) if tail else None
        place = Place(at + len(line), stated)
        yield Line(at, fact, place)


def _parse(body: bytes, line: bytes, seed: int, stated: int) -> Fact | None:
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        fact: Fact = _decode(line)
        if isinstance(fact, Torn):
            seed = fact.before
        if zlib.crc32(body, seed) == stated:
            return fact
    return None


def encode(fact: Fact, seed: int) -> tuple[bytes, int]:
    """A fact's line, and the check that the next one begins with."""
    body = msgspec.json.encode(fact)[:-1]
    check = zlib.crc32(body, seed)
    return body + _MARK + b'%08x"}\n' % check, check


class Manifest:
    """One engine's manifest, opened for appending; used by the pipeline's thread only.

    Args:
        files: the disk.
        folder: the engine's folder.
        engine_id: written into the first line.
        known: what of it the catalog has seen; `late` are the facts behind that.
        distrust: what lies behind that is void: after a failed sync memory may show what the disk never got.
            So is what was begun before the catalog heard of it.

    Raises:
        DamageError: it is missing or shorter than what was promised to be there.
        UnsupportedVersion: a newer program wrote it.
    """

    def __init__(
        self, files: Files, folder: str, engine_id: str, known: Place, *, distrust: bool = False
    ) -> None:
        self.path = path = f"{folder}/{NAME}"
        if not files.exists(path):
            _refuse_cut(path, 0, known.length)
            file = files.create(path)
        else:
            file = files.open(path)
        self._file = file
        try:
            files.sync_directory(folder)  # also of a file that a killed process made
            _refuse_cut(path, file.size(), known.length)
            self._refuse_newer(file)
            file.settle()  # what a failed sync of another process left in memory alone must not be believed
            size = file.size()
            if size and file.read(size - 1, 1) != b"\n":
                file.append(b"\n")
                file.settle()
            self.place, self.late = known, list[Fact]()
            for line in () if distrust or not known.length else read(file, known):
                if line.fact is None:
                    break
                self.late.append(line.fact)
                self.place = line.end
            self._begin(engine_id, known_begun=known.length > 0)
        except BaseException:
            file.close()
            raise

    def append(self, facts: Sequence[Fact]) -> Place:
        """Write facts and return once they are on the disk; the manifest's new end.

        Raises:
            OSError: it failed; open the manifest anew, nothing may be appended behind the failure.
        """
        lines, check = [], self.place.check
        for fact in facts:
            line, check = encode(fact, check)
            lines.append(line)
        data = b"".join(lines)
        self._file.append(data)
        self._file.sync()
        self.place = Place(self.place.length + len(data), check)
        return self.place

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _refuse_newer(self, file: File) -> None:
        first = next(read(file, end=file.size()), None)
        if first is not None and isinstance(first.fact, Opening) and first.fact.version > VERSION:
            raise UnsupportedVersion(
                f"{self.path} has version {first.fact.version}, this otel-ext reads up to {VERSION}"
            )

    def _begin(self, engine_id: str, *, known_begun: bool) -> None:
        at, length = self.place.length, self._file.size() - self.place.length
        if length:
            self._file.append(b"\n")  # the one that is there may be in memory only
            length += 1
            self.place = Place(at + length, self.place.check)
            self.append([Torn(at=at, length=length, before=self.place.check)])
        if not known_begun and not any(isinstance(fact, Opening) for fact in self.late):
            self.append([Opening(version=VERSION, engine=engine_id)])


def _refuse_cut(path: str, size: int, known: int) -> None:
    if size < known:
        raise DamageError(
            f"{path} is missing or was cut; restore it, or move the data folder away and replay its session "
            f"files into a new one with `otel-ext replay`"
        )
