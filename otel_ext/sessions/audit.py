"""The manifest read as a whole and held against the catalog.

Law of this file: only what the catalog's checkpoint knows of the manifest is judged; a writer may have said
more since.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from otel_ext.files import Files
from otel_ext.sessions.checkpoint import COUNTS, FileRow, FileState
from otel_ext.sessions.facts import Damaged, Expired, Packed, Removed, Sealed, sealed
from otel_ext.sessions.manifest import NAME, START, read


class ManifestReport:
    """What a manifest says last of each name.

    Attributes:
        faults: what is wrong with it, in words.
        lines: how many lines it has.
        sealed, packed: the last word on each name that is not removed.
        removed: files that retention took, and what they held.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.lines = 0
        self.sealed: dict[str, Sealed] = {}
        self.packed: dict[str, Packed] = {}
        self.removed = {"files": 0, **dict.fromkeys(COUNTS, 0)}

    @classmethod
    def of(cls, files: Files, folder: str, known: Sequence[int]) -> Self:
        """Read the manifest of an engine's folder as far as the catalog knows it: `(length, check)`."""
        report, path = cls(), f"{folder}/{NAME}"
        length, check = known
        if not length:
            return report
        try:
            file = files.open(path, read_only=True)
        except OSError as error:
            report.faults.append(f"cannot be read: {error.strerror}")
            return report
        try:
            end = START
            for line in read(file, end=length):
                report.lines += 1
                end = line.end
                if line.fact is None:
                    report.faults.append(f"the line at byte {line.at} is damaged")
                else:
                    report._take(line.fact)
        finally:
            file.close()
        if end != (length, check) and not report.faults:
            report.faults.append(f"it ends at {end.length}, known to the catalog is {length}, or was changed")
        return report

    def differences(self, rows: Iterable[FileRow], expired: Mapping[str, int]) -> list[str]:
        """Where the catalog says something else, in words."""
        found, told = [], 0
        for row in rows:
            if row.state in {FileState.OPEN, FileState.SEALED}:
                continue
            told += 1
            fact, packed = self.sealed.get(row.name), self.packed.get(row.name)
            if fact is None:
                found.append(f"the manifest does not know {row.name}")
            elif fact != sealed(row, row.sha256):
                found.append(f"catalog and manifest disagree on {row.name}")
            if (packed and (packed.length, packed.sha256)) != (
                (row.packed, row.packed_sha256) if row.state is FileState.PACKED else None
            ):
                found.append(f"catalog and manifest disagree on how {row.name} is compressed")
        if told < len(self.sealed):
            names = self.sealed.keys() - {row.name for row in rows}
            found += [f"the catalog does not know {name}, which the manifest says is there" for name in names]
        if any(self.removed[key] != expired[key] for key in self.removed):
            found.append(f"the manifest says {self.removed} were removed, the catalog {dict(expired)}")
        return found

    def _take(self, fact: object) -> None:
        match fact:
            case Sealed():
                self.sealed[fact.name] = fact
                self.packed.pop(fact.name, None)
            case Packed():
                self.packed[fact.name] = fact
            case Expired():
                self.removed = {name: getattr(fact, name) for name in self.removed}
            case Damaged():
                self.sealed.pop(fact.name, None)
                self.packed.pop(fact.name, None)
            case Removed():
                if self.sealed.pop(fact.name, None) is None:
                    return  # said twice, by a crash in between
                self.packed.pop(fact.name, None)
                self.removed["files"] += 1
                for name in COUNTS:
                    self.removed[name] += getattr(fact, name)
