"""The one reader of the journal: it processes, takes checkpoints, and starts over when something fails.

Law of this file: the last checkpoint and the journal behind it are the whole state. A crash, a failed
disk and a defect of ours end in the same place: load the checkpoint, read on. Outputs are flushed after
each batch; the checkpoint comes when time or bytes ask for it; only then is the journal released.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn

from otel_ext.clock import Clock
from otel_ext.errors import DamageError, DataFolderError, Retryable
from otel_ext.files import Files
from otel_ext.journal import Journal, Position, Record, folder_error
from otel_ext.pipeline.enginetime import EngineTime
from otel_ext.pipeline.folder import EngineFolder
from otel_ext.pipeline.giveway import GiveWay
from otel_ext.pipeline.members import SECOND
from otel_ext.pipeline.outbox import Outbox
from otel_ext.pipeline.outputs import Outputs
from otel_ext.pipeline.records import TICK
from otel_ext.pipeline.reserve import Reserve
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.stats import Stats

log = logging.getLogger(__name__)

_BATCH: Final = 8 << 20
"""Journal bytes read at a time."""
_DISK: Final = (OSError, sqlite3.Error, MemoryError, Retryable, DamageError)
"""Failures of the machine, which say nothing about the record at hand."""
_PAUSE: Final = 1.0
"""Seconds between tries after something failed."""


class _SetAside(Exception):
    """A record could not be processed; start over without it."""


class Consumer:
    """Reads one journal into one folder; everything here runs on one thread.

    Args:
        live: silence is noticed by the clock; a replay records its own engine time.
        outbox: what goes out, and how far processing has come.
        pressing: see `GiveWay`.

    Attributes:
        processed: bytes of payload processed that were appended since the start.
        finished: `run` returned with everything processed and saved.
    """

    def __init__(
        self,
        journal: Journal,
        folder: EngineFolder,
        settings: EngineSettings,
        *,
        files: Files,
        clock: Clock,
        time: EngineTime,
        stats: Stats,
        live: bool,
        outbox: Outbox,
        pressing: Callable[[], float],
    ) -> None:
        self._journal, self._folder, self._settings = journal, folder, settings
        self._files, self._clock, self._time = files, clock, time
        self._stats, self._live, self._outbox = stats, live, outbox
        self._stop, self._failed = threading.Event(), set[Position]()
        self._give_way = GiveWay(journal, settings, pressing, clock=clock, stop=self._stop)
        self._started_at = journal.readable_end
        self._distrust = self._settled = self._more = False
        self._careful_until, self._since = Position(0, 0), 0
        self._reserve = Reserve(files, folder.path, settings.reserve, settings.min_free, stats)
        self.finished, self.processed, self._processed_saved = False, 0, 0
        try:
            self._load()
        except OSError as error:
            raise folder_error(folder.path, error) from error

    def run(self) -> None:
        """Process until `stop` was called and everything in the journal is processed and saved."""
        reload = False
        while not self.finished:
            stopping = self._stop.is_set()
            try:
                if reload:
                    self._outputs.close()
                    self._load()
                    reload = False
                self.finished = not self.step()
            except _SetAside:
                reload = True
            except Exception as error:  # this thread must live: without it nothing accepted is ever seen
                reload = True
                known = isinstance(error, _DISK)
                self._distrust = self._distrust or known
                log.warning("the pipeline pauses: %s", error, exc_info=not known)
                if self._reserve.give(error):
                    continue  # there is room again: at once
                self._stats.add("otel_ext.pipeline.pauses")
                if self._stop.wait(_PAUSE) and stopping:  # asked to stop during a pause, it tries once more
                    log.warning("stopping without a last checkpoint; the next start reads on")
                    return

    def step(self) -> bool:
        """Process a batch, take a checkpoint when due, or wait; False when stopped and done."""
        stop = self._stop.is_set()  # asked first: whatever was appended before `stop` is read below
        records = self._journal.read(self._cursor, _BATCH)
        self._give_way.begin()
        for record in records:
            self._process(record)
            if self._cursor <= self._careful_until:
                self._try_checkpoint(record)
            self._give_way.rest()
        if records:
            self._outputs.streams.flush()
            self._outbox.publish(self._cursor)
        if not self._settled and self._cursor >= self._settle_at:
            self._outputs.settle()
            self._settled = True
        stopping = stop and not records
        if stopping or self._checkpoint_due():
            self._try_checkpoint(None)
        if self._more and self._cursor == self._saved:
            turns, now = self._outputs.turns, self._now()
            self._more = turns(now, closing=stopping, clock=self._clock, since=self._since)
            if self._more:
                return True
        if not records and not stopping:
            self._wait()
        elif self._settings.linger:
            self._stop.wait(self._settings.linger)
        return not stopping

    def stop(self) -> None:
        """Let `run` return once nothing is left to do; any thread may call it."""
        self._stop.set()
        self._journal.wake()

    def close(self) -> None:
        """Give descriptors back; writes nothing."""
        self._outbox.abandon()
        self._outputs.close()

    @property
    def outputs(self) -> Outputs:
        """What stands behind the reader as of now; from another thread for display only."""
        return self._outputs

    def _load(self) -> None:
        """Take the state of the last checkpoint; what follows it in the journal is read again."""
        catalog = self._folder.catalog
        self._cursor = self._saved = Position(*catalog.meta()["cursor"])
        if not self._journal.continues(self._cursor):
            raise DataFolderError(
                f"the catalog in {self._folder.path} is older than the journal, which has released what "
                f"lies between them; restore both from the same backup, or choose another --data folder"
            )
        self._settle_at = self._journal.readable_end
        parts: dict[str, Any] = {"files": self._files, "stats": self._stats, "outbox": self._outbox}
        self._outputs = Outputs(self._folder, self._settings, distrust=self._distrust, **parts)
        self._more = True
        self._saved_at, self._unsaved = self._clock.monotonic(), 0
        self.processed, self._settled = self._processed_saved, False

    def _process(self, record: Record) -> None:
        try:
            self._outputs.streams.advance(record.engine)
            if record.start in self._failed:
                self._outputs.processor.give_up(record, "unprocessable")
            else:
                self._outputs.processor.record(record)
            self._outbox.add(record)
        except _DISK:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours must not stop every other session
            self._set_aside(record, error)
        self._cursor = record.end
        self._unsaved += len(record.payload)
        if record.start >= self._started_at:
            self.processed += len(record.payload)

    def _set_aside(self, record: Record, error: Exception) -> NoReturn:
        log.error("a record could not be processed; its spans are counted as lost", exc_info=error)
        self._stats.add("otel_ext.pipeline.failed_records")
        self._folder.set_aside(record)
        self._failed.add(record.start)
        raise _SetAside from error

    def _try_checkpoint(self, record: Record | None) -> None:
        """Take a checkpoint; when it fails on what was processed, find the record that it fails on.

        `record` is the only one since the last checkpoint, None when there were several.
        """
        try:
            self._checkpoint()
        except _DISK:
            raise
        except Exception as error:  # what a record left behind cannot be saved: a defect of ours
            if record is not None:
                self._set_aside(record, error)
            self._careful_until = self._cursor
            raise

    def _checkpoint_due(self) -> bool:
        aged = self._clock.monotonic() - self._saved_at >= self._settings.checkpoint_interval * SECOND
        large = self._unsaved >= self._settings.checkpoint_bytes
        return self._cursor != self._saved and (aged or large)

    def _checkpoint(self) -> None:
        if self._cursor == self._saved:
            return
        self._outputs.save(self._cursor, self._journal.engine_time)
        now = self._clock.monotonic()
        self._since, self._saved, self._saved_at, self._unsaved = now - self._saved_at, self._cursor, now, 0
        self._processed_saved, self._distrust = self.processed, False
        self._outputs.release(self._journal, self._saved)
        self._more = True

    def _wait(self) -> None:
        """Wait for records, a deadline of engine time, or the next checkpoint."""
        timeout = self._settings.checkpoint_interval if self._cursor != self._saved else 60.0
        if self._journal.stopped:
            self._reserve.reopen(self._journal)  # law L6
            timeout = _PAUSE
        deadline = self._outputs.next_deadline() if self._live else None
        now = self._now()
        due = self._outputs.next_turn() if self._cursor == self._saved else None
        if due is not None:
            self._more = due <= now
            timeout = min(timeout, max((due - now) / SECOND, _PAUSE))
        if self._cursor == self._saved:  # never between failure and checkpoint: it is for that one
            self._reserve.keep()
        if deadline is not None and not self._journal.stopped:
            ahead = (deadline - now) / SECOND
            if ahead <= 0:
                self._journal.append(TICK, b"", engine=now)
                return
            timeout = min(timeout, max(ahead, 0.01))
        if not self._stop.is_set():
            self._journal.wait(self._cursor, timeout)

    def _now(self) -> int:
        return self._time.now() if self._live else self._journal.engine_time
