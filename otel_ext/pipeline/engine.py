"""The engine: one data folder, one journal, many threads that write it and one that reads it.

Law of this file: it owns and connects, and does nothing else. `Intake` makes requests durable, `Consumer`
gives them meaning; they share the journal and never meet.
"""

import contextlib
import contextvars
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import DamageError, DataFolderError, DataFolderInUse, Retryable
from otel_ext.files import Files, RealFiles
from otel_ext.journal import Journal, folder_error
from otel_ext.pipeline.consumer import Consumer
from otel_ext.pipeline.enginetime import EngineTime
from otel_ext.pipeline.folder import OWNER, EngineFolder
from otel_ext.pipeline.intake import Intake
from otel_ext.pipeline.outbox import Destination, Outbox
from otel_ext.pipeline.records import DIED, FINISH, SETTLE, TICK
from otel_ext.pipeline.reserve import relieve
from otel_ext.pipeline.settings import IN_PROCESS, EngineSettings
from otel_ext.pipeline.view import View, look
from otel_ext.stats import Stats

log = logging.getLogger(__name__)

_UNUSABLE: Final = 8
"""Folders of processes that are passed over; where so many cannot be used, the disk is to blame."""


class Engine:
    """One open engine. `intake` and `own` may be used by many threads at once; everything else by one.

    Args:
        data: the data folder; created when missing.
        settings: bounds and intervals.
        live: engine time follows the clock, so that silence has consequences; a replay gives it instead.
        files: the disk.
        owner: whose engine it is, a folder below `data/engines`. All but the sidecar's belong to one process
            at a time: what a dead one left is brought to its end first, its unfinished spans are written and
            their sessions marked crashed.
        derived: takes each derived span as an encoded request, on the pipeline's thread, at least once.
        relay: the same, and unfinished spans as well.
        destinations: where it goes out, in `outbox.feeds`; None when that is not known here.

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
        owner: str = OWNER,
        derived: Callable[[bytes], None] | None = None,
        relay: Callable[[bytes], None] | None = None,
        destinations: Sequence[Destination] | None = None,
    ) -> None:
        self._live = live
        self.settings = settings or EngineSettings()
        self.stats = stats or Stats()
        self._files, self._clock = files or RealFiles(), clock or SystemClock()
        outside = {"derived": derived, "relay": relay, "destinations": destinations}
        self._outwards: dict[str, Any] = {"clock": self._clock, "stats": self.stats, **outside}
        try:
            self._open(data, owner)
        except Exception as error:
            path = str(data / "engines" / owner)
            if isinstance(error, DataFolderInUse) or not relieve(self._files, path, error, self.stats):
                raise
            self._open(data, owner)
        # In its creator's context: an SDK may have turned instrumentation off there, e.g. of our database.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(
            target=run, args=(self._consumer.run,), name="otel-ext-pipeline", daemon=True
        )

    def _open(self, data: Path, owner: str) -> None:
        self._folder = EngineFolder(data, self._files, owner)
        opened: list[Journal | Outbox] = []
        try:
            self.journal = Journal.open(
                self._files,
                self._folder.journal,
                segment_bytes=self.settings.segment_bytes,
                sync=self.settings.sync,
                sync_interval=self.settings.sync_interval,
                clock=self._clock,
            )
            opened.append(self.journal)
            self._time = EngineTime(self._clock, self.journal.engine_time)
            if self._folder.inherited and owner != OWNER:
                for fact in (DIED, FINISH):
                    self.journal.append(fact, b"", engine=self._time.now())
            self.outbox = Outbox(self._files, self._folder, self.journal, self.settings, **self._outwards)
            opened.append(self.outbox)
            self._consumer = Consumer(
                self.journal,
                self._folder,
                self.settings,
                files=self._files,
                clock=self._clock,
                time=self._time,
                stats=self.stats,
                live=self._live,
                outbox=self.outbox,
                pressing=lambda: self.intake.pressing,
            )
            self.intake = Intake(
                self.journal,
                self.settings,
                clock=self._clock,
                time=self._time,
                stats=self.stats,
                processed=lambda: self._consumer.processed,
                free_bytes=lambda: self._files.free_bytes(self._folder.path),
                outbox=self.outbox,
            )
            self.own = self.intake.own
        except BaseException as error:
            for part in opened:
                part.abandon()
            self._folder.close()
            if isinstance(error, OSError):
                raise folder_error(self._folder.path, error) from error
            raise

    @classmethod
    def in_process(
        cls,
        data: Path,
        settings: EngineSettings | None = None,
        *,
        files: Files | None = None,
        clock: Clock | None = None,
        stats: Stats | None = None,
        derived: Callable[[bytes], None] | None = None,
    ) -> Self:
        """An engine of this process's own, in the first folder `process-N` that no living process has.

        So there are never more folders than there were processes at one time, and what a dead process
        left is brought to its end by the next one.

        Raises: as the class; a folder that cannot be used (damage, another version) is passed over.
        """
        passed: list[str] = []
        for number in itertools.count(1):
            owner = f"process-{number}"
            try:
                parts: dict[str, Any] = {"files": files, "clock": clock, "stats": stats, "derived": derived}
                engine = cls(data, settings or IN_PROCESS, owner=owner, **parts)
            except DataFolderInUse:
                continue
            except (DamageError, DataFolderError) as error:
                passed.append(str(error))
                # Where not even the folder is there, the disk is to blame and the next one fares no better.
                if len(passed) == _UNUSABLE or not (data / "engines" / owner / "sessions").is_dir():
                    raise
                continue
            for text in passed:
                log.warning("passed over a folder that cannot be used: %s", text)
            return engine
        raise AssertionError("counting never ends")

    def start(self) -> None:
        """Begin to process what the journal holds and what comes."""
        self._thread.start()

    def close(self, *, over: bool | None = None) -> bool:
        """Refuse new requests, process everything accepted, take a last checkpoint, free the folder.

        What waits for its session id or its turn is not left waiting for a process that may never come.

        Args:
            over: the input is over, so every session ends, and what has begun never will; as after a
                replay, and at the end of an agent's process. Else only silence ends sessions.

        Returns:
            Whether everything in the journal is processed and saved; if not, the next start goes on there.
        """
        self.finish(over=over)
        self.outbox.close()
        self._consumer.close()
        done = self._consumer.finished
        try:
            self.journal.close()
        except Retryable as error:
            log.warning("the journal has no clean end: %s", error)
            done = False
        finally:
            self._folder.close(done=done)
        return done

    def finish(self, *, over: bool | None = None) -> None:
        """The first half of `close`: feeds still give what is left, whoever forwards it can."""
        self.intake.close()
        if self._thread.is_alive():
            with contextlib.suppress(Retryable):  # the journal is stopped: the next start goes on from it
                kind = FINISH if (not self._live if over is None else over) else SETTLE
                self.journal.append(kind, b"", engine=self._time.now() if self._live else 0)
        self._consumer.stop()
        if self._thread.is_alive():
            self._thread.join()

    def abandon(self) -> None:
        """Drop everything as a killed process would; only for an engine whose owner calls `step` itself."""
        self.intake.close()
        self._consumer.close()
        self.journal.abandon()
        self._folder.close()

    def abandon_after_fork(self) -> None:
        """In a forked child, before anything else: let go of what is the parent's, and write nothing.

        A descriptor that stayed open here would hold the parent's lock beyond its death.
        """
        self.intake.close()
        self._consumer.close()
        self.journal.abandon()
        self._folder.abandon_after_fork()

    def tick(self, engine_time: int) -> None:
        """Record that engine time has passed, e.g. at the end of a replay."""
        self.journal.append(TICK, b"", engine=engine_time)

    def step(self) -> bool:
        """Process one batch; for an owner that did not `start` the engine and drives it by hand."""
        return self._consumer.step()

    @property
    def ledger(self) -> dict[str, Any]:
        """The ledger as of now; read it from another thread for display only."""
        return self._consumer.outputs.processor.ledger.as_dict()

    def view(self) -> View:
        """How it stands; any thread."""
        return look(self.journal, self.intake, self._consumer.outputs.processor)
