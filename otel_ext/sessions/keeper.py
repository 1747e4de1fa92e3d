"""What is done with files once they are sealed: told, compressed, removed (laws L4, L5, L9).

Law of this file: the manifest speaks first, synced; then one transaction of the catalog makes it true; then
names leave the disk. A crash anywhere in between is finished by the next start from what the manifest said
behind the catalog's knowledge of it. Only sealed files of the checkpoint are touched, so nothing that is
said here can be contradicted by reading the journal again.

Retention removes whole sealed files of sessions without an active generation, oldest by the engine time
of sealing and then by number, never by a file's own times or the order of names.
"""

import contextlib
import errno
import logging
from collections.abc import Callable, Iterable, Set
from typing import Final

from otel_ext.errors import DamageError
from otel_ext.files import Files
from otel_ext.sessions.catalog import Catalog
from otel_ext.sessions.checkpoint import FileRow
from otel_ext.sessions.doomed import Doomed
from otel_ext.sessions.facts import Fact, Packed, Quarantined, Removed, Totals, sealed
from otel_ext.sessions.manifest import Manifest, Place
from otel_ext.sessions.names import PACKED
from otel_ext.sessions.pack import TEMPORARY, codec, digest, pack
from otel_ext.sessions.policy import Policy
from otel_ext.stats import Stats

log = logging.getLogger(__name__)

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a full disk says."""


class Keeper:
    """Keeps one engine's sealed files; used by the pipeline's thread only.

    Args:
        files: the disk.
        folder: the engine's folder.
        catalog: its catalog, as of the checkpoint; every turn comes after one.
        engine_id: for the manifest.
        policy: what to do.
        stats: counts what was done.
        distrust: see `Manifest`.
        busy: sessions of which the fold holds a generation open, whatever the catalog says.

    Attributes:
        purged: ids of sessions of which nothing is left; whoever remembers them takes them out.
        high_water: a number that no new file may have or be below.

    Raises:
        ConfigError: compression is asked for and no zstd is installed.
        DamageError: the manifest is missing or was cut.
    """

    def __init__(
        self,
        files: Files,
        folder: str,
        *,
        catalog: Catalog,
        engine_id: str,
        policy: Policy,
        stats: Stats,
        busy: Callable[[], Set[str]],
        distrust: bool = False,
    ) -> None:
        if policy.compress_after:
            codec()
        self._files, self._sessions, self._catalog = files, f"{folder}/sessions", catalog
        self._stock, self._policy, self._stats, self._busy = catalog.stock, policy, stats, busy
        self._passed_over: set[str] = set()
        self._doomed = Doomed(files, self._sessions, self._stock, stats)
        self._stated: object = None
        self.purged: list[str] = []
        known = Place(*self._stock.meta("manifest") or (0, 0))
        self._manifest = Manifest(files, folder, engine_id, known, distrust=distrust)
        try:
            self._recover()
        except BaseException:
            self._manifest.close()
            raise

    def turn(self, now: int, *, quarantined: Iterable[tuple[str, int]] = (), closing: bool = False) -> bool:
        """Do a bounded part of what is due at engine time `now`.

        Args:
            now: ns.
            quarantined: names and lengths of files that were moved away since the last turn.
            closing: only tell what is sealed, and state the ledger even when there is nothing else to say.

        Returns:
            Whether anything was done, so that there may be more.

        Raises:
            OSError: the disk failed; make a new keeper, which goes on where this one stopped.
        """
        facts: list[Fact] = [Quarantined(name=name, length=length) for name, length in quarantined]
        untold = self._catalog.untold(self._policy.turn_files, open_too=closing)
        stand = [self._catalog.stands(session) for session in untold]
        told = self._tell()
        removed = [] if closing else self._expire(now)
        packed = [] if closing else self._pack(now, {fact.name for fact in removed})
        facts += [*stand, *told, *removed, *packed]
        if facts or (closing and self._stated != self._stock.meta("cursor")):
            self._say(facts)
        self._doomed.sweep()
        return bool(stand or told or removed or packed)

    def next_deadline(self) -> int | None:
        """Engine time at which the oldest file is to be compressed or removed by age."""
        policy, due = self._policy, []
        if policy.compress_after:
            due += [r.sealed_at + policy.compress_after for r in self._stock.plain(1 << 62, 1)]
        if policy.max_age:
            due += [r.sealed_at + policy.max_age for r in self._stock.removable(1)]
        return min(due, default=None)

    def close(self) -> None:
        """Give the descriptor back; writes nothing."""
        self._manifest.close()

    def totals(self) -> None:
        """State the ledger and the cursor of the checkpoint that was just taken.

        Raises: as `turn`.
        """
        self._say([])

    def _tell(self) -> list[Fact]:
        """Hash sealed files by reading them back."""
        facts: list[Fact] = []
        read = 0
        for row in self._stock.untold(self._policy.turn_files + len(self._passed_over)):
            if row.name in self._passed_over:
                continue
            if facts and (read >= self._policy.turn_bytes or len(facts) >= self._policy.turn_files):
                break
            read += row.length
            try:
                found = digest(self._files, f"{self._sessions}/{row.name}", row.length)
            except FileNotFoundError:
                found = None
            except OSError as error:
                self._pass_over(row, f"cannot be read: {error}")
                continue
            if found is None or (found.length, found.crc) != (row.length, row.crc):
                self._stats.add("otel_ext.sessions.damaged_files")
                log.error("%s does not hold the bytes that were committed; see `otel-ext verify`", row.name)
                found = None
            facts.append(sealed(row, found.sha256 if found else ""))
        self._stats.add("otel_ext.sessions.sealed_files", len(facts))
        return facts

    def _expire(self, now: int) -> list[Removed]:
        policy = self._policy
        if not (policy.max_age or policy.max_bytes or policy.max_files):
            return []
        files, size = self._stock.totals() if policy.max_bytes or policy.max_files else (0, 0)
        facts: list[Removed] = []
        busy: Set[str] | None = None
        for row in self._stock.removable(policy.turn_files):
            aged = policy.max_age and row.sealed_at + policy.max_age <= now
            crowded = (policy.max_files and files > policy.max_files) or (
                policy.max_bytes and size > policy.max_bytes
            )
            if not aged and not crowded:
                break
            busy = self._busy() if busy is None else busy
            if row.session_id in busy:
                continue
            files, size = files - 1, size - row.stored_length
            facts.append(Removed(name=row.name, length=row.stored_length, **row.counts))
            self._stats.add("otel_ext.sessions.expired_files")
            self._stats.add("otel_ext.sessions.expired_spans", row.spans)
        return facts

    def _pack(self, now: int, removed: Set[str]) -> list[Fact]:
        policy = self._policy
        if not policy.compress_after:
            return []
        facts: list[Fact] = []
        read = 0
        left = self._passed_over | removed
        # Removal is cheaper, so it goes first: beside it, little is compressed.
        most = max(policy.turn_files // 8, 1) if removed else policy.turn_files
        for row in self._stock.plain(now - policy.compress_after, most + len(left)):
            if read >= policy.turn_bytes or len(facts) >= most:
                break
            if row.name in left:
                continue
            read += row.length
            try:
                length, sha256 = pack(self._files, f"{self._sessions}/{row.name}", row.sha256)
            except (DamageError, FileNotFoundError) as error:
                self._pass_over(row, str(error))
                continue
            except OSError as error:
                with contextlib.suppress(OSError):
                    self._files.remove(f"{self._sessions}/{row.name}{PACKED}{TEMPORARY}")
                if error.errno not in FULL:  # one file that cannot be read or replaced holds up no other
                    self._pass_over(row, f"cannot be compressed: {error}")
                    continue
                self._stats.add("otel_ext.sessions.postponed_compressions")
                break  # no room to save room: not now
            facts.append(Packed(name=row.name, length=length, sha256=sha256))
            self._stats.add("otel_ext.sessions.compressed_files")
        if facts:
            self._files.sync_directory(self._sessions)
        return facts

    def _pass_over(self, row: FileRow, why: str) -> None:
        """Leave a file alone until the next start."""
        self._passed_over.add(row.name)
        self._stats.add("otel_ext.sessions.unreadable_files")
        log.error("%s is passed over: %s", row.name, why)

    def _say(self, facts: list[Fact]) -> None:
        totals = self._catalog.totals()
        place = self._manifest.append([*facts, totals])
        self.purged += self._stock.keep(facts, place, self._doomed.gone)
        self._doomed.gone, self._stated = [], totals.cursor

    def _recover(self) -> None:
        """Finish what a crash interrupted: said but not yet true, true but not yet off the disk."""
        late = self._manifest.late
        known = self._stock.meta("manifest")
        if known is None or tuple(known) != self._manifest.place:
            self._stock.keep(late, self._manifest.place, ())  # nobody remembers those it purges yet
        self.high_water = max((fact.next for fact in late if isinstance(fact, Totals)), default=1)
        self._doomed.unfinished()
