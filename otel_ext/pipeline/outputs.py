"""What stands behind the fold: session files, the checkpoint, sealed files and their manifest.

Law of this file: a checkpoint is content first (synced), then one transaction; only then are sealed files
told, compressed or removed, and only by what that transaction holds. All of it is made anew from the
catalog after any failure.
"""

import logging
from collections import deque

from otel_ext import otlp
from otel_ext.clock import Clock
from otel_ext.files import Files
from otel_ext.journal import Journal, Position
from otel_ext.pipeline.folder import EngineFolder
from otel_ext.pipeline.members import SECOND
from otel_ext.pipeline.outbox import Outbox
from otel_ext.pipeline.process import Processor
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.sessions import Keeper, Policy, Streams
from otel_ext.stats import Stats

log = logging.getLogger(__name__)


def policy(settings: EngineSettings) -> Policy:
    """What the settings say of sealed files."""
    return Policy(
        compress_after=int(settings.compress_after * SECOND),
        max_age=int(settings.retention_age * SECOND),
        max_bytes=settings.retention_bytes,
        max_files=settings.retention_files,
        turn_files=settings.turn_files,
        turn_bytes=settings.turn_bytes,
    )


class Outputs:
    """The outputs of one engine as of its last checkpoint; used by the pipeline's thread only.

    Args:
        distrust: see `Streams` and `Keeper`.
        outbox: what goes out.

    Attributes:
        processor: the fold that writes here.
        streams: the session files.
    """

    def __init__(
        self,
        folder: EngineFolder,
        settings: EngineSettings,
        *,
        files: Files,
        stats: Stats,
        distrust: bool,
        outbox: Outbox,
    ) -> None:
        catalog = self._catalog = folder.catalog
        meta = catalog.meta()
        self._settings, self._stats, self._outbox = settings, stats, outbox
        self._broken = False
        self._passed = deque[tuple[int, Position]]()  # checkpoints: engine time and cursor
        self._keeper = Keeper(
            files,
            folder.path,
            catalog=catalog,
            engine_id=folder.engine_id,
            policy=policy(settings),
            stats=stats,
            busy=self._open_sessions,
            distrust=distrust,
        )
        try:
            self.streams = Streams(
                files,
                folder.sessions,
                stock=catalog.stock,
                following=meta.get("next_file", 1),
                now=meta["engine_time"],
                header=otlp.header_line,
                engine_id=folder.engine_id,
                max_bytes=settings.file_bytes,
                max_age=int(settings.file_age * SECOND),
                stats=stats,
                distrust=distrust,
                open_files=settings.open_files,
                sync_each=settings.sync_each,
            )
        except BaseException:
            self._keeper.close()
            raise
        try:
            self.processor = Processor(
                catalog, self.streams, settings, stored=folder.lines, edits=outbox.begin()
            )
        except BaseException:
            self.close()
            raise

    def settle(self) -> None:
        """The journal is read to where it ended at the start."""
        self.streams.settle(self._keeper.high_water)

    def save(self, cursor: Position, engine_time: int) -> None:
        """Take a checkpoint."""
        self.streams.sync()
        point = self.processor.checkpoint()
        point.files = self.streams.take_rows()
        point.meta["cursor"] = list(cursor)
        point.meta["engine_time"] = engine_time
        point.meta["next_file"] = self.streams.following
        point.outbox, point.outbox_from = self._outbox.due()
        self._catalog.commit(point)
        self._outbox.saved(cursor)
        self.processor.members.trim()
        self.streams.trim(self._settings.cached_sessions)

    def turns(self, now: int, *, closing: bool, clock: Clock, since: int) -> bool:
        """Right after a checkpoint: work on sealed files; whether there may be more.

        At least one turn, and at most half of the time: as long as the last checkpoint took to come, `since`
        ns, but not longer than they come when there is little to do.

        Raises:
            OSError, DamageError: the disk; load anew.
        """
        end = clock.monotonic() + min(since, int(self._settings.checkpoint_interval * SECOND))
        while not self._broken:
            if not self._turn(now, closing=closing):
                return False
            if clock.monotonic() >= end:
                return True
        return False

    def _turn(self, now: int, *, closing: bool) -> bool:
        try:
            done = self._keeper.turn(now, quarantined=self.streams.take_quarantined(), closing=closing)
        except OSError:
            raise
        except Exception:
            self._broken = True  # a defect of ours: spans are stored all the same
            self._stats.add("otel_ext.pipeline.failed_turns")
            log.exception("sealed files are left alone until the next start")
            return False
        if self._keeper.purged:
            self.processor.members.forget(set(self._keeper.purged))
            self._keeper.purged = []
        return done

    def release(self, journal: Journal, saved: Position) -> None:
        """Right after a checkpoint: let the journal's oldest segments go, but those of spans held in no file.

        Before that the manifest says what it has come to, so that what the journal holds always begins before
        the manifest's last totals (see `reindex.journal`).

        Raises: as `turn`.
        """
        self._passed.append((journal.engine_time, saved))
        held = self.processor.held_since()
        safe = None
        while self._passed and (held is None or self._passed[0][0] < held):
            safe = self._passed.popleft()[1]
        safe = self._outbox.needed(safe) if safe is not None else None
        if safe is not None and journal.releasable(safe):
            self._keeper.totals()
            journal.release(safe)

    def next_deadline(self) -> int | None:
        """Engine time at which the fold has something to do although nothing arrives."""
        deadlines = (self.processor.next_deadline(), self.streams.next_deadline())
        return min((d for d in deadlines if d is not None), default=None)

    def next_turn(self) -> int | None:
        """Engine time at which sealed files have something to be done."""
        return None if self._broken else self._keeper.next_deadline()

    def close(self) -> None:
        """Give descriptors back; writes nothing."""
        self.streams.close()
        self._keeper.close()

    def _open_sessions(self) -> set[str]:
        return self.processor.members.busy()
