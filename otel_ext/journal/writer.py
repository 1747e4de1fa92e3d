"""Appending: many threads, one file, one sync for all that wait.

Law of this file (L1, L6): a position is acknowledged only if everything before it in the journal is on
the disk, and a failed write or sync ends the segment for good: nobody who waits is acknowledged, no fsync
is tried again on it, and only `reopen` (a new segment that states where the old one ends) goes on.

Two locks, always taken in this order: `_sync_lock` (one leader syncs; who waits for it mostly finds that
the leader's sync covered him too) and `_append_lock` (places in the file, engine time, items).
"""

import contextlib
import errno
import threading
from collections.abc import Callable
from typing import Final, Literal

from otel_ext.checksum import crc32
from otel_ext.clock import Clock
from otel_ext.errors import Busy, ShuttingDown, TooLarge
from otel_ext.files import Files
from otel_ext.journal.frame import CLOSE, MAX_PAYLOAD, Position
from otel_ext.journal.recovery import Recovered
from otel_ext.journal.tail import Tail, close_quietly
from otel_ext.stats import Histogram

SyncMode = Literal["always", "interval", "never"]
"""When an append is made durable: before it returns, at most an interval later, or when the system does."""

_BOUNDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
)
"""Seconds: from a disk with a cache of its own to one that is about to fail."""


class Writer:
    """The writing half of a journal. `changed` is called after what can be read has grown."""

    def __init__(
        self,
        files: Files,
        recovered: Recovered,
        *,
        segment_bytes: int,
        sync: SyncMode,
        interval: int,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._files = files
        self._directory = recovered.table.directory
        self._tail = Tail(files, recovered, segment_bytes, clock)
        self._mode = sync
        self._interval = interval
        self._clock = clock
        self._changed = changed
        self._sync_lock = threading.RLock()  # it knows its owner, see `append`
        self._append_lock = threading.Lock()
        self._written = recovered.end
        self._dirty_since: int | None = None
        self._generation = 0
        self._closed = False
        self.stopped: str | None = None
        self.syncs = Histogram(_BOUNDS)

    @property
    def durable(self) -> Position:
        """Up to where the journal is on the disk."""
        return self._tail.durable.position

    @property
    def readable(self) -> Position:
        """Up to where readers may go."""
        return self.durable if self._mode == "always" else self._written

    @property
    def items(self) -> int:
        """Items of all records so far."""
        return self._tail.items

    @property
    def engine(self) -> int:
        """Engine time of the last record, ns."""
        return self._tail.engine

    def append(self, kind: int, payload: bytes, items: int, engine: int | None) -> Position:
        """Add a record; see `Journal.append`."""
        if len(payload) > MAX_PAYLOAD:
            raise TooLarge(f"a journal record carries at most {MAX_PAYLOAD} bytes, not {len(payload)}")
        crc = crc32(payload)
        self._check()  # before the lock too: who comes to a stopped journal must not queue
        with self._append_lock:
            self._check()
            generation = self._generation
            try:
                self._written = end = self._tail.write(kind, payload, crc, items, engine)
            except OSError as error:
                raise self._stop("a write", error) from error
            if self._dirty_since is None:
                self._dirty_since = self._clock.monotonic()
        if self._mode == "always":
            self._await(end, generation)
            return end
        self._changed()
        # The reader's thread syncs (`sync_if_due`); an appender only where nobody reads, and never
        # behind another sync: it may be a guest's thread (L11).
        if self._due(2 * self._interval):
            try:
                if self._sync_lock.acquire(blocking=False):
                    self._sync()
            finally:  # also where a signal handler raised just as the lock became ours
                with contextlib.suppress(RuntimeError):  # it is not ours
                    self._sync_lock.release()
        return end

    def sync(self) -> None:
        """Make all that was appended durable. Raises `Busy` when the journal is or gets stopped."""
        with self._sync_lock:
            self._check()
            if self._dirty_since is not None:
                self._sync()

    def sync_if_due(self) -> None:
        """In mode `interval`: sync when the oldest unsynced record is old enough; never raises."""
        if self.stopped is None and self._due(self._interval):
            with contextlib.suppress(Busy, ShuttingDown):
                self.sync()

    def reopen(self) -> None:
        """Go on in a new segment after a stop; see `Journal.reopen`."""
        with self._sync_lock, self._append_lock:
            if self._closed:
                raise ShuttingDown("the journal is closed")
            if self.stopped is None:
                return
            if self._mode == "always":
                self._tail.void_unacknowledged()
                self._written = self.durable
            try:
                self._tail.replace()
            except OSError as error:
                self.stopped = None
                raise self._stop("opening a new segment", error) from error
            self._dirty_since = None
            self._generation += 1
            self.stopped = None

    def close(self) -> None:
        """Mark a clean end, sync, give the files back. Raises `Busy` when that fails."""
        with self._sync_lock:
            if self._closed:
                return
            self._closed = True
            try:
                with self._append_lock:
                    if self.stopped is not None or not self._tail.begun:
                        return
                    try:
                        self._tail.write(CLOSE, b"", 0, 0, None)
                    except OSError as error:
                        raise self._stop("a write", error) from error
                self._sync()
            finally:
                with self._append_lock:
                    self._tail.give_up()

    def abandon(self) -> None:
        """For a forked child: drop inherited descriptors; no lock is taken, its owner may not exist here."""
        self._closed = True
        self._tail.give_up()

    def _check(self) -> None:
        if self._closed:
            raise ShuttingDown("the journal is closed")
        if self.stopped is not None:
            raise Busy(self.stopped)

    def _due(self, after: int) -> bool:
        since = self._dirty_since
        return self._mode == "interval" and since is not None and self._clock.monotonic() - since >= after

    def _await(self, end: Position, generation: int) -> None:
        """Return once `end` is durable, by somebody's sync or by our own."""
        with self._sync_lock:
            # After a reopen a greater durable end says nothing of a record in the voided segment.
            if generation != self._generation:
                raise Busy("the journal was stopped and reopened before this record was known durable")
            if self.durable < end:
                self._sync()

    def _sync(self) -> None:
        """Sync everything appended so far and publish it. Sync lock held."""
        with self._append_lock:
            if self.stopped is not None:
                raise Busy(self.stopped)
            pending = self._tail.pending()
            self._dirty_since = None
        if pending is None:
            return
        began = self._clock.monotonic()
        try:
            for segment, file in pending.older:
                file.sync()
                segment.durable = segment.end
            pending.file.sync()
            if pending.new_names:
                self._files.sync_directory(self._directory)
        except OSError as error:
            raise self._stop("a sync", error) from error
        finally:
            for _, file in pending.older:
                close_quietly(file)
        self._tail.durable = pending.result
        self.syncs.add((self._clock.monotonic() - began) / 1e9)
        self._changed()

    def _stop(self, what: str, error: OSError) -> Busy:
        name = errno.errorcode.get(error.errno or 0, "unknown error")
        reason = (
            f"the journal is stopped: {what} failed with {name} ({error.strerror}) in "
            f"{self._directory}; nothing that waited was acknowledged, try again later"
        )
        if self.stopped is None:
            self.stopped = reason
        return Busy(reason)
