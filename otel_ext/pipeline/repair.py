"""What is damaged is set aside and counted, the rest goes on.

Law of this file: nothing is deleted and nothing undamaged is touched. A file that does not hold what was
promised of it goes to `quarantine/` whole; then the manifest says so, synced; then one transaction takes its
row away and counts its spans as lost ("damage"), so that the ledger balances. A crash in between is finished
by the next repair, or by the next start from what the manifest said. Sessions keep their rows: they tell what
was.

    catalog     made anew (`reindex`)
    manifest    made anew from the catalog, the damaged one is kept in `quarantine/`
    files       moved, missing ones counted
    journal     opened and processed: its recovery sets damage aside and counts it
"""

import contextlib
from pathlib import Path
from typing import Any, Final

import msgspec

from otel_ext.errors import DamageError, DataFolderError, UnsupportedVersion
from otel_ext.files import Files, RealFiles
from otel_ext.journal import FolderLock
from otel_ext.pipeline.engine import Engine
from otel_ext.pipeline.folder import OWNER
from otel_ext.pipeline.reindex import NAME, reindex
from otel_ext.pipeline.reindex.manifest import free_name, quarantine
from otel_ext.pipeline.settings import IN_PROCESS, EngineSettings
from otel_ext.pipeline.verify import Checker
from otel_ext.sessions import (
    MANIFEST,
    NOTHING,
    Catalog,
    FileRow,
    FileState,
    Manifest,
    Place,
    encode_fact,
    facts,
)

_NEW: Final = f"{MANIFEST}.new"
_PATIENT: Final = EngineSettings(idle_timeout=1e9)
"""A repair ends no session of the sidecar's."""


class Repaired(msgspec.Struct, kw_only=True):
    """What was found and done in one engine's folder.

    Attributes:
        ok: `verify` finds nothing any more; on a dry run, nothing was found.
        damage: what was found, in words.
        quarantined: where damaged files lie now; on a dry run, where they lie still.
        missing: files that were not there.
        lost: spans in all of these; `logs` and `points`: log records and data points.
        reindexed, manifest, journal: whether the catalog, the manifest was made anew, the journal processed.
        left: what `verify` still says.
    """

    engine: str
    ok: bool = False
    damage: list[str] = []
    quarantined: list[str] = []
    missing: list[str] = []
    lost: int = 0
    logs: int = 0
    points: int = 0
    reindexed: bool = False
    manifest: bool = False
    journal: bool = False
    left: list[str] = []


def repair(folder: Path, *, dry_run: bool = False, files: Files | None = None) -> Repaired:
    """Repair one engine's folder.

    Raises:
        DataFolderInUse: a live process owns it.
        DataFolderError: the folder cannot be used.
        UnsupportedVersion: a newer program wrote it.
    """
    return _Repair(folder, files or RealFiles(), Repaired(engine=folder.name), dry_run=dry_run).run()


class _Repair:
    def __init__(self, folder: Path, files: Files, done: Repaired, *, dry_run: bool) -> None:
        self._folder, self._files, self._done, self._dry = folder, files, done, dry_run

    def run(self) -> Repaired:
        done = self._done
        if not self._readable():
            if self._dry:
                return done
            self._reindex()
        with self._owned() as checker:
            done.damage += self._report(checker)
            self._count(checker)
            if self._dry:
                done.ok = not done.damage
                return done
            if checker.bad or checker.unknown or checker.manifest_faults:
                self._files_and_manifest(checker)
        if done.reindexed or checker.journal_damage:
            self._process()
        done.left = self._verify()
        if done.left:  # catalog and manifest disagree, or sums do: the files decide
            self._reindex()
            self._process()
            done.left = self._verify()
        done.ok = not done.left
        return done

    def _readable(self) -> bool:
        """Whether there is a catalog that SQLite can read."""
        try:
            catalog = Catalog(self._folder / NAME, read_only=True)
        except UnsupportedVersion:
            raise
        except (DamageError, DataFolderError) as error:
            self._done.damage.append(str(error))
            return False
        try:
            faults = catalog.check()
        except (DamageError, OSError) as error:
            faults = [str(error)]
        finally:
            catalog.close()
        self._done.damage += [f"catalog: {text}" for text in faults]
        return not faults

    @contextlib.contextmanager
    def _owned(self) -> Any:
        lock = FolderLock.acquire(str(self._folder))
        try:
            catalog = Catalog(self._folder / NAME, read_only=self._dry)
            try:
                yield Checker(self._folder, catalog)
            finally:
                catalog.close()
        finally:
            lock.release(done=not lock.inherited)

    @staticmethod
    def _report(checker: Checker) -> list[str]:
        damage: list[str] = checker.report()["damage"]
        return damage

    def _verify(self) -> list[str]:
        with self._owned() as checker:
            return self._report(checker)

    def _reindex(self) -> None:
        reindex(self._folder, self._files)
        self._done.reindexed = True

    def _process(self) -> None:
        """Open the engine, let it process everything, close it: what `serve` and `recover` do."""
        main = self._folder.name == OWNER
        engine = Engine(
            self._folder.parent.parent,
            _PATIENT if main else IN_PROCESS,
            owner=self._folder.name,
            files=self._files,
        )
        engine.start()
        engine.close(over=not main)
        self._done.journal = True

    def _count(self, checker: Checker) -> None:
        for row in checker.bad:
            path = f"{self._folder}/sessions/{row.stored_name}"
            there = self._files.exists(path)
            (self._done.quarantined if there else self._done.missing).append(path)
            self._done.lost += row.spans
            self._done.logs += row.logs
            self._done.points += row.points
        self._done.quarantined += [f"{self._folder}/sessions/{name}" for name in checker.unknown]

    def _files_and_manifest(self, checker: Checker) -> None:
        folder, catalog = str(self._folder), checker.catalog
        engine_id = catalog.meta()["engine_id"]
        self._done.quarantined = [
            quarantine(self._files, folder, name)
            for name in (*(row.stored_name for row in checker.bad), *checker.unknown)
            if self._files.exists(f"{folder}/sessions/{name}")
        ]
        if checker.manifest_faults:
            self._new_manifest(catalog, engine_id)
        known = Place(*catalog.stock.meta("manifest") or (0, 0))
        manifest = Manifest(self._files, folder, engine_id, known)
        try:
            said: list[facts.Fact] = [_damaged(row) for row in checker.bad]
            said += [facts.Quarantined(name=name, length=0) for name in checker.unknown]
            place = manifest.append(said)
            catalog.stock.keep([*manifest.late, *said], place, ())
            catalog.stock.keep([], manifest.append([catalog.totals()]), ())
        finally:
            manifest.close()

    def _new_manifest(self, catalog: Catalog, engine_id: str) -> None:
        """A manifest that says what the catalog holds; it takes the name when it is whole."""
        folder = str(self._folder)
        with contextlib.suppress(FileNotFoundError):
            self._files.remove(f"{folder}/{_NEW}")
        expired = catalog.stock.meta("expired") or NOTHING
        said: list[facts.Fact] = [
            facts.Opening(version=facts.VERSION, engine=engine_id),
            facts.Expired(**expired),
        ]
        for row in catalog.stock.files():
            if row.state >= FileState.TOLD:
                said.append(facts.sealed(row, row.sha256))
            if row.state is FileState.PACKED:
                said.append(facts.Packed(name=row.name, length=row.packed, sha256=row.packed_sha256))
        said += [catalog.stands(session) for session in catalog.sessions()]
        said.append(catalog.totals())
        place, lines = Place(), list[bytes]()
        for fact in said:
            line, check = encode_fact(fact, place.check)
            lines.append(line)
            place = Place(place.length + len(line), check)
        file = self._files.create(f"{folder}/{_NEW}")
        file.append(b"".join(lines))
        file.sync()
        file.close()
        if self._files.exists(f"{folder}/{MANIFEST}"):
            self._files.rename(f"{folder}/{MANIFEST}", free_name(self._files, folder, MANIFEST))
            self._files.sync_directory(f"{folder}/quarantine")
        self._files.rename(f"{folder}/{_NEW}", f"{folder}/{MANIFEST}")
        self._files.sync_directory(folder)
        catalog.save_meta({"manifest": list(place)})
        self._done.manifest = True


def _damaged(row: FileRow) -> facts.Damaged:
    return facts.Damaged(name=row.name, length=row.stored_length, **row.counts)
