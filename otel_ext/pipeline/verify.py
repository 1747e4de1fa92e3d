"""Every byte of a data folder against everything that was promised of it.

Law of this file: it changes nothing and believes nothing but bytes: session files against the lengths,
counts, CRCs and SHA-256 of catalog and manifest, the manifest against its own checks, the journal against its
checksums, and the ledger against all of them: received = all outcomes, stored = present + expired. It works
beside a live writer: everything is judged as of one checkpoint.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import structs

from otel_ext.errors import DamageError
from otel_ext.files import RealFiles
from otel_ext.journal import scan
from otel_ext.pipeline.filecheck import WORDS, Count, faults
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.logs import COUNT_OF
from otel_ext.sessions import (
    COUNTS,
    NOTHING,
    PACKED,
    Catalog,
    FileRow,
    FileState,
    ManifestReport,
    committed_bytes,
    parse_name,
)
from otel_ext.telemetry import Telemetry

_COUNT_OF: Final = {Telemetry.TRACES: "spans", **COUNT_OF}


class Checker:
    """One engine's check.

    Attributes:
        damage: what was found, in words.
        bad: rows of files that are not as promised.
        unknown: names of session files that the catalog does not know.
        manifest_faults, journal_damage: whether bytes of these are damaged.
    """

    def __init__(self, path: Path, catalog: Catalog) -> None:
        self.path, self.folder, self.catalog = path, path / "sessions", catalog
        self.damage = [f"catalog: {text}" for text in catalog.check()]
        with catalog.snapshot():  # files grow meanwhile; what this checkpoint speaks of does not
            self.rows, self.meta = catalog.stock.files(), catalog.meta()
            self.doomed = set(catalog.stock.doomed())
        self.bad: list[FileRow] = []
        self.unknown: list[str] = []
        self.manifest_faults = self.journal_damage = False
        self.ledger = msgspec.convert(self.meta.get("ledger", {}), Ledger)
        self.expired = self.meta.get("expired", NOTHING)

    def files(self) -> None:
        """Read all session files."""
        present = dict.fromkeys(COUNTS, 0)
        for row in self.rows:
            before = len(self.damage)
            found = self._file(row)
            if len(self.damage) > before:
                self.bad.append(row)
            present["derived"] += row.derived
            present[_COUNT_OF[row.telemetry]] += found - row.derived
        if self.damage:
            return  # sums over damaged files say nothing new
        ledger = self.ledger
        totals = (ledger.stored, ledger.derived, ledger.logs.stored, ledger.metrics.stored)
        for name, total in zip(COUNTS, totals, strict=True):
            here, gone = present[name], self.expired[name]
            if total != here + gone:
                self.damage.append(
                    f"the ledger has {total} {WORDS[name]}, the files hold {here} and {gone} have expired"
                )

    def _file(self, row: FileRow, newer: FileRow | None = None) -> int:
        """Read one session file; items found in its committed bytes.

        `newer` is its row when it was compressed since: it says where the bytes are, `row` what they are.
        """
        if newer is not None:
            same = newer.length == row.length
            facts = {"length": row.length, "crc": row.crc, **row.counts}
            row = structs.replace(newer, **facts, sha256=newer.sha256 if same else "")
        path = self.folder / row.stored_name
        count = Count(row.telemetry)
        try:
            for data in committed_bytes(RealFiles(), str(self.folder), row):
                count.add(data)
            size = path.stat().st_size
            packed = hashlib.sha256(path.read_bytes()).hexdigest() if row.packed else ""
        except FileNotFoundError:
            now = self.catalog.stock.file(row.name)
            if now is None:  # retention removed it since the checkpoint
                return sum(row.counts.values())
            if now.stored_name != row.stored_name:  # it was compressed since
                return self._file(row, now)
            self.damage.append(f"{path} is missing")
            return 0
        except OSError as error:
            self.damage.append(f"{path} cannot be read: {error.strerror}")
            return 0
        except DamageError as error:
            self.damage.append(f"{path}: {error}")
            return 0
        self.damage += [f"{path} {text}" for text in faults(row, count, size, packed)]
        return count.items

    def manifest(self) -> ManifestReport:
        """Read the manifest and hold the catalog against it."""
        report = ManifestReport.of(RealFiles(), str(self.path), tuple(self.meta.get("manifest", (0, 0))))
        self.damage += [f"{self.path / 'MANIFEST'}: {text}" for text in report.faults]
        self.manifest_faults = bool(report.faults)
        if not report.faults:
            self.damage += report.differences(self.rows, self.expired)
        return report

    def strangers(self) -> int:
        """Look at every name in the folder; bytes that no checkpoint has yet."""
        lengths = {row.stored_name: row.length for row in self.rows}
        known = {row.name for row in self.rows}
        following = self.meta.get("next_file", 1)
        beyond = 0
        for path in sorted(self.folder.iterdir()):
            parsed = parse_name(path.name.removesuffix(".tmp").removesuffix(PACKED))
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue
            if parsed is None or path.name in self.doomed:
                continue
            if path.name in lengths:
                beyond += 0 if path.name.endswith(PACKED) else size - lengths[path.name]
            elif parsed.sequence >= following:
                beyond += size
            elif path.name.removesuffix(".tmp").removesuffix(PACKED) not in known:
                self.damage.append(f"{path} is not known to the catalog")
                self.unknown.append(path.name)
        return beyond

    def journal(self) -> int:
        """Read the journal; bytes of an unfinished write at its end."""
        report = scan(RealFiles(), str(self.path / "journal"))
        self.damage += [
            f"journal segment {r.segment}: {r.length} bytes from {r.offset} are damaged"
            for r in report.damaged_regions
        ]
        self.damage += [f"journal segment {number} is missing" for number in report.missing_segments]
        self.journal_damage = bool(report.damaged_regions or report.missing_segments)
        return report.torn_bytes

    def report(self) -> dict[str, Any]:
        """Check everything; the fields of `otel-ext verify --json`."""
        self.files()
        manifest = self.manifest()
        beyond = self.strangers()
        torn = self.journal()
        ledger, damage = self.ledger, self.damage
        if ledger.balance:
            damage.append(f"the ledger does not balance: {ledger.balance} spans have no outcome")
        for noun, counts in (("log records", ledger.logs), ("data points", ledger.metrics)):
            if counts.balance:
                damage.append(f"the ledger does not balance: {counts.balance} {noun} have no outcome")
        rows = self.rows
        return {
            "ok": not damage,
            "received": ledger.received,
            "stored": ledger.stored,
            "duplicate": ledger.duplicate,
            "rejected": ledger.rejected,
            "lost": ledger.lost,
            "damage": damage,
            "waiting": ledger.waiting,
            "derived": ledger.derived,
            "unfinished": ledger.unfinished,
            "conflicts": ledger.conflicts,
            "logs": msgspec.to_builtins(ledger.logs),
            "metrics": msgspec.to_builtins(ledger.metrics),
            "files": len(rows),
            "bytes": sum(row.stored_length for row in rows),
            "sealed": sum(row.state is not FileState.OPEN for row in rows),
            "compressed": sum(row.state is FileState.PACKED for row in rows),
            "expired": self.expired,
            "manifest_lines": manifest.lines,
            "uncommitted_bytes": beyond,
            "torn_bytes": torn,
            "engine": self.path.name,
        }


def check_engine(path: Path, catalog: Catalog) -> dict[str, Any]:
    """Check one engine's folder; the fields of `otel-ext verify --json`.

    Raises:
        ConfigError: files are compressed and no zstd is installed.
    """
    return Checker(path, catalog).report()
