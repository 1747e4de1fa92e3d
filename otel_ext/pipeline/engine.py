"""The engine: one data folder, one journal, many threads that write it and one that reads it.

Law of this file: it owns and connects, and does nothing else. `Intake` makes requests durable, `Consumer`
gives them meaning; they share the journal and never meet.
"""

import contextlib
import threading
from pathlib import Path
from typing import Any

from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import Retryable
from otel_ext.files import Files, RealFiles
from otel_ext.journal import Journal
from otel_ext.pipeline.consumer import Consumer
from otel_ext.pipeline.enginetime import EngineTime
from otel_ext.pipeline.folder import EngineFolder
from otel_ext.pipeline.intake import Intake
from otel_ext.pipeline.records import FINISH, SETTLE, TICK
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.stats import Stats


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
            self.journal = Journal.open(
                self._files,
                self._folder.journal,
                segment_bytes=self.settings.segment_bytes,
                sync=self.settings.sync,
                sync_interval=self.settings.sync_interval,
                clock=self._clock,
            )
            self._time = EngineTime(self._clock, self.journal.engine_time)
            self._consumer = Consumer(
                self.journal,
                self._folder,
                self.settings,
                files=self._files,
                clock=self._clock,
                time=self._time,
                stats=self.stats,
                live=live,
            )
        except BaseException:
            self._folder.close()
            raise
        self.intake = Intake(
            self.journal,
            self.settings,
            clock=self._clock,
            time=self._time,
            stats=self.stats,
            processed=lambda: self._consumer.processed,
            free_bytes=lambda: self._files.free_bytes(self._folder.path),
        )
        self._thread = threading.Thread(target=self._consumer.run, name="otel-ext-pipeline", daemon=True)

    def start(self) -> None:
        """Begin to process what the journal holds and what comes."""
        self._thread.start()

    def close(self) -> bool:
        """Refuse new requests, process everything accepted, take a last checkpoint, free the folder.

        What waits for its session id or its turn is not left waiting for a process that may never come.
        Sessions stay open in a live engine, only silence ends them; a replay's input is over, so they end.

        Returns:
            Whether everything in the journal is processed and saved; if not, the next start goes on there.
        """
        self.intake.close()
        if self._thread.is_alive():
            with contextlib.suppress(Retryable):  # the journal is stopped: the next start goes on from it
                kind = SETTLE if self._live else FINISH
                self.journal.append(kind, b"", engine=self._time.now() if self._live else 0)
        self._consumer.stop()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()
        try:
            self.journal.close()
        finally:
            self._folder.close()
        return self._consumer.finished

    def abandon(self) -> None:
        """Drop everything as a killed process would: nothing is written, the folder is free.

        Only for an engine that was not started, whose owner calls `step` itself.
        """
        self.intake.close()
        self._consumer.close()
        self.journal.abandon()
        self._folder.close()

    def tick(self, engine_time: int) -> None:
        """Record that engine time has passed, e.g. at the end of a replay."""
        self.journal.append(TICK, b"", engine=engine_time)

    def step(self) -> bool:
        """Process one batch; for an owner that did not `start` the engine and drives it by hand."""
        return self._consumer.step()

    @property
    def ledger(self) -> dict[str, Any]:
        """The ledger as of now; read it from another thread for display only."""
        return self._consumer.ledger
