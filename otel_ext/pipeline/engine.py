"""The engine: one data folder, one journal, one reader of it, one thread that gives meaning.

Law of this file: the catalog's checkpoint and the journal behind it are the whole state. Start, crash,
failed disk and failed program all end in the same place: load the checkpoint, read on. The thread
flushes outputs after each batch of records, takes a checkpoint when time or bytes ask for it, and only
then lets the journal release what the checkpoint covers.
"""

import contextlib
import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any, Final

from otel_ext import otlp
from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import Busy
from otel_ext.files import Files, RealFiles
from otel_ext.journal import Journal, Position, Record
from otel_ext.pipeline.folder import EngineFolder
from otel_ext.pipeline.intake import Intake
from otel_ext.pipeline.members import SECOND
from otel_ext.pipeline.process import Processor
from otel_ext.pipeline.records import TICK
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.sessions import Streams
from otel_ext.stats import Stats

log = logging.getLogger(__name__)

_BATCH: Final = 8 << 20
"""Journal bytes read at a time."""
_DISK: Final = (OSError, sqlite3.Error, MemoryError)
"""Failures of the machine, which say nothing about the record at hand."""
_PAUSE: Final = 1.0
"""Seconds between tries after the disk failed."""


class Engine:
    """One open engine. `intake` may be used by many threads at once; everything else by one.

    Args:
        data: the data folder; created when missing.
        settings: bounds and intervals.
        live: engine time follows the clock, so that silence has consequences; a replay gives it instead.
        files: the disk.

    Raises:
        DataFolderInUse: another process owns it.
        DataFolderError: it cannot be written, or its catalog is missing while session files exist.
        UnsupportedVersion: a newer program wrote it.
    """

    def __init__(
        self,
        data: Path,
        settings: EngineSettings | None = None,
        *,
        live: bool = True,
        files: Files | None = None,
        clock: Clock | None = None,
        stats: Stats | None = None,
    ) -> None:
        self._live = live
        self.settings = settings or EngineSettings()
        self.stats = stats or Stats()
        self._files, self._clock = files or RealFiles(), clock or SystemClock()
        self._folder = EngineFolder(data, self._files)
        try:
            self._catalog = self._folder.catalog
            self.journal = Journal.open(
                self._files,
                self._folder.journal,
                segment_bytes=self.settings.segment_bytes,
                sync=self.settings.sync,
                sync_interval=self.settings.sync_interval,
                clock=self._clock,
            )
            self._load(distrust=False)
        except BaseException:
            self._folder.close()
            raise
        self._recovered_end = self.journal.durable_end
        self._processed = 0
        self.intake = Intake(
            self.journal,
            self.settings,
            clock=self._clock,
            stats=self.stats,
            processed=lambda: self._processed,
            free_bytes=lambda: self._files.free_bytes(self._folder.path),
        )
        self._stop = threading.Event()
        self._failed_records: set[Position] = set()
        self._thread = threading.Thread(target=self._run, name="otel-ext-pipeline", daemon=True)

    def start(self) -> None:
        """Begin to process what the journal holds and what comes."""
        self._thread.start()

    def close(self) -> None:
        """Refuse new requests, process everything accepted, take a last checkpoint, free the folder.

        What waits for its session id or its turn is not left waiting for a process that may never come:
        a live engine lets the hold's time pass. Sessions stay open; only silence ends them.
        """
        self.intake.close()
        if self._live and self._thread.is_alive():
            with contextlib.suppress(Busy):  # the journal is stopped: the next start goes on from it
                self.tick(max(self.journal.engine_time, self._clock.now()) + int(self.settings.hold * SECOND))
        self._stop.set()
        self.journal.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._streams.close()
        self.journal.close()
        self._folder.close()

    def abandon(self) -> None:
        """Drop everything as a killed process would: nothing is written, the folder is free.

        Only for an engine that was not started, whose owner calls `step` itself.
        """
        self.intake.close()
        self._streams.close()
        self.journal.abandon()
        self._folder.close()

    def tick(self, engine_time: int) -> None:
        """Record that engine time has passed, e.g. at the end of a replay."""
        self.journal.append(TICK, b"", engine=engine_time)

    @property
    def ledger(self) -> dict[str, Any]:
        """The ledger as of now; read it from another thread for display only."""
        return self._processor.ledger.as_dict()

    def _load(self, *, distrust: bool) -> None:
        """Take the state of the last checkpoint; what follows it in the journal is read again."""
        self._streams = Streams(
            self._files,
            self._folder.sessions,
            last=self._catalog.last_file,
            row=self._catalog.file,
            header=otlp.header_line,
            engine_id=self._folder.engine_id,
            max_bytes=self.settings.file_bytes,
            stats=self.stats,
            distrust=distrust,
        )
        self._processor = Processor(self._catalog, self._streams, self.settings)
        self._cursor = self._saved = Position(*self._catalog.meta()["cursor"])
        self._saved_at, self._unsaved = self._clock.monotonic(), 0
        self._settled = False

    def _run(self) -> None:
        while True:
            try:
                if not self.step():
                    return
            except Exception as error:  # this thread must live: without it nothing accepted is ever seen
                distrust = isinstance(error, _DISK)
                log.warning("the pipeline pauses: %s", error, exc_info=not distrust)
                self.stats.add("otel_ext.pipeline.pauses")
                if self._stop.wait(_PAUSE):
                    log.warning(
                        "stopping without a last checkpoint; the journal keeps what it would have held"
                    )
                    return
                self._streams.close()
                self._load(distrust=distrust)

    def step(self) -> bool:
        """Process a batch, checkpoint when due, or wait; False when stopped and done."""
        records = self.journal.read(self._cursor, _BATCH)
        for record in records:
            self._process(record)
        if records:
            self._streams.flush()
        if not self._settled and self._cursor >= self._recovered_end:
            self._streams.settle()
            self._settled = True
        stopping = self._stop.is_set() and not records
        if stopping or self._checkpoint_due():
            self._checkpoint()
        if stopping:
            return False
        if not records:
            self._idle()
        return True

    def _process(self, record: Record) -> None:
        try:
            if record.start in self._failed_records:
                self._processor.give_up(record, "unprocessable")
            else:
                self._processor.record(record)
        except _DISK:
            raise
        except Exception:  # a defect of ours must not stop every other session: set the record aside
            log.exception("a journal record could not be processed; its spans are counted as lost")
            self.stats.add("otel_ext.pipeline.failed_records")
            self._folder.set_aside(record)
            self._failed_records.add(record.start)
            self._streams.close()
            self._load(distrust=False)
            return
        self._cursor = record.end
        self._unsaved += len(record.payload)
        if record.start >= self._recovered_end:
            self._processed += len(record.payload)

    def _checkpoint_due(self) -> bool:
        if self._cursor == self._saved:
            return False
        aged = self._clock.monotonic() - self._saved_at >= self.settings.checkpoint_interval * SECOND
        return aged or self._unsaved >= self.settings.checkpoint_bytes

    def _checkpoint(self) -> None:
        if self._cursor == self._saved:
            return
        self._streams.sync()
        point = self._processor.checkpoint()
        point.files = self._streams.take_rows()
        point.meta["cursor"] = list(self._cursor)
        point.meta["engine_time"] = self.journal.engine_time
        self._catalog.commit(point)
        self._saved, self._saved_at, self._unsaved = self._cursor, self._clock.monotonic(), 0
        self._processor.members.trim()
        self._streams.trim(self.settings.cached_sessions)
        self.journal.release(self._saved)

    def _idle(self) -> None:
        """Wait for records, a deadline of engine time, or the next checkpoint."""
        if self.journal.stopped:
            self._reopen_journal()
        timeout = self.settings.checkpoint_interval if self._cursor != self._saved else 60.0
        deadline = self._processor.next_deadline() if self._live else None
        if deadline is not None:
            ahead = (deadline - max(self.journal.engine_time, self._clock.now())) / SECOND
            if ahead <= 0 and not self.journal.stopped and not self._stop.is_set():
                try:
                    self.journal.append(TICK, b"", engine=max(deadline, self._clock.now()))
                except Busy:
                    return
                return
            timeout = min(timeout, max(ahead, 0.01))
        if self.journal.stopped:
            timeout = min(timeout, _PAUSE)
        if not self._stop.is_set():
            self.journal.wait(self._cursor, timeout)

    def _reopen_journal(self) -> None:
        try:
            if self._files.free_bytes(self._folder.path) >= self.settings.min_free:
                self.journal.reopen()
                log.warning("the journal is open again in a new segment")
        except OSError as error:
            log.warning("the journal stays stopped: %s", error)
