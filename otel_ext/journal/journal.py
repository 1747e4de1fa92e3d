"""The journal: opaque records that are durable before they are acknowledged, read in order.

Law of this file: it joins the writing and the reading half and adds nothing to what they promise. One
process opens a folder at a time (`FolderLock`); any number of its threads append and read.
"""

from typing import Final, Self

from otel_ext.clock import Clock, SystemClock
from otel_ext.files import Files
from otel_ext.journal.bell import Bell
from otel_ext.journal.frame import CLOSE, Position, Record
from otel_ext.journal.header import SEGMENT_HEADER
from otel_ext.journal.lock import folder_error
from otel_ext.journal.quarantine import DamageLog
from otel_ext.journal.reader import Reader
from otel_ext.journal.recovery import Recovered, Recovery, recover
from otel_ext.journal.release import Releaser
from otel_ext.journal.writer import SyncMode, Writer

SEGMENT_BYTES: Final = 64 << 20
"""How long a segment grows before a new one is begun; a larger record stands alone in one."""

SYNC_INTERVAL: Final = 0.1
"""Seconds that an append may stay unsynced in mode `interval`."""


class Journal:
    """Durable append-only segments of opaque records in one folder.

    What each sync mode can lose: `always` nothing that was acknowledged; `interval` what was appended in
    the last interval, and only when the machine dies, not the process; `never` what the kernel had not
    written yet when the machine died. In mode `interval` somebody must call `wait` or `sync` regularly
    (the reader's loop does); an appender syncs only when nobody did for two intervals.
    """

    def __init__(
        self,
        files: Files,
        recovered: Recovered,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        sync: SyncMode = "always",
        sync_interval: float = SYNC_INTERVAL,
        clock: Clock | None = None,
    ) -> None:
        self._table = recovered.table
        self._interval = sync_interval
        self._mode = sync
        self.recovery: Recovery = recovered.report
        """What opening found; the reader adds damage that it meets later."""
        report = recovered.report
        damage = DamageLog(files, self._table, report.damaged_regions, report.quarantine_failures)
        self._reader = Reader(files, self._table, damage)
        self._releaser = Releaser(files, self._table, self._reader)
        self._bell = Bell(lambda: self.readable_end)
        self._writer = Writer(
            files,
            recovered,
            segment_bytes=segment_bytes,
            sync=sync,
            interval=round(sync_interval * 1e9),
            clock=clock or SystemClock(),
            changed=self._bell.ring,
        )

    @classmethod
    def open(
        cls,
        files: Files,
        directory: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        sync: SyncMode = "always",
        sync_interval: float = SYNC_INTERVAL,
        clock: Clock | None = None,
    ) -> Self:
        """Recover what is in `directory` (made when missing) and go on after it, in a new segment.

        Args:
            files: the disk.
            directory: the journal's own folder; the caller holds its `FolderLock`.
            segment_bytes: see `SEGMENT_BYTES`.
            sync: when appends become durable.
            sync_interval: seconds, for mode `interval`.
            clock: wall time of records; the machine's when None.

        Raises:
            UnsupportedVersion: a newer program wrote a segment; nothing was touched.
            DataFolderError: the folder cannot be used; the text says what to do.
        """
        try:
            recovered = recover(files, directory)
        except OSError as error:
            raise folder_error(directory, error) from error
        return cls(
            files, recovered, segment_bytes=segment_bytes, sync=sync, sync_interval=sync_interval, clock=clock
        )

    @property
    def durable_end(self) -> Position:
        """The end of the last record known to be on the disk; Position(0, 0) when there never was one."""
        return self._writer.durable

    @property
    def readable_end(self) -> Position:
        """Up to where `read` goes: the durable end, or what is written in modes interval and never."""
        return self._writer.readable

    @property
    def engine_time(self) -> int:
        """Engine time of the last record, ns; 0 when there never was one."""
        return self._writer.engine

    @property
    def items(self) -> int:
        """Items appended over the journal's whole life, lost and released ones included."""
        return self._writer.items

    @property
    def start(self) -> Position:
        """Where the oldest record that is still there begins; `readable_end` when there is none."""
        first = next(self._table.alive(), None)
        end = self.readable_end
        return min(end, Position(first.sequence, SEGMENT_HEADER)) if first else end

    def continues(self, after: Position) -> bool:
        """Whether nothing between a position and the oldest record still there is gone."""
        first = next(self._table.alive(), None)
        if first is None or first.header is None or after.segment >= first.sequence:
            return True
        return Position(first.header.previous, first.header.previous_end) <= after

    def distance(self, after: Position, before: Position) -> int:
        """Bytes on disk between two positions, 0 when there are none."""
        return self._table.distance(after, before)

    @property
    def stopped(self) -> str | None:
        """Why appending stopped; None while it goes on."""
        return self._writer.stopped

    def append(self, kind: int, payload: bytes, *, items: int = 0, engine: int | None = None) -> Position:
        """Add a record; any thread. In mode `always` it is on the disk when this returns.

        Args:
            kind: 1..255, the owner's.
            payload: the bytes; not copied.
            items: how many items it carries, for exact accounting of losses.
            engine: engine time in ns, the clock's when None; never less than the record before's.

        Returns:
            The record's end.

        Raises:
            Busy: the journal is or just got stopped. The record may or may not be found again when the
                process dies before `reopen`; after `reopen` in mode `always` it is void.
            TooLarge: over 2 GiB.
            ShuttingDown: the journal is closed.
            ValueError: kind or items out of range.
        """
        if not CLOSE < kind < 256 or not 0 <= items < 1 << 32:
            raise ValueError(f"kind {kind} must be in 1..255 and items {items} in 0..2^32-1")
        return self._writer.append(kind, payload, items, engine)

    def sync(self) -> None:
        """Make everything appended so far durable. Raises `Busy` when the journal is or gets stopped."""
        self._writer.sync()

    def reopen(self) -> None:
        """After a stop: go on in a new segment; does nothing when not stopped.

        In mode `always` records past the durable end become void. In the other modes they were already
        acknowledged: they stay, and are counted lost later if the disk does not hold them.

        Raises:
            Busy: the disk still fails; the journal stays stopped.
            ShuttingDown: the journal is closed.
        """
        self._writer.reopen()
        self._bell.ring()

    def read(self, after: Position, max_bytes: int) -> list[Record]:
        """Records after a position, in order, at least one when there is any, else up to `max_bytes`.

        `after` is `start` or the end of a record. Damage is stepped over; the record behind it carries
        `lost_items`. Records that were released unread are not counted as lost.

        Raises:
            Busy: the disk cannot be read.
            ShuttingDown: the journal is closed.
        """
        self._writer.sync_if_due()  # in mode `interval`, also while there is always more to read
        end = self.readable_end
        records = self._reader.read(after, end, max_bytes)
        if not records:
            self._bell.nothing_between(after, end)
        return records

    def wait(self, after: Position, timeout: float) -> bool:
        """Block until there is a record to read (True), `wake` is called, or `timeout` seconds passed.

        In mode `interval` this also does the due sync, and may return early after one.
        """
        self._writer.sync_if_due()
        if self._mode == "interval":
            timeout = min(timeout, self._interval)
        more = self._bell.wait(after, timeout)
        self._writer.sync_if_due()
        return more

    def wake(self) -> None:
        """Let every thread's present or else next `wait` return, each once."""
        self._bell.wake()

    def releasable(self, before: Position) -> bool:
        """Whether `release` would remove anything."""
        return self._releaser.wanted(before, self.readable_end)

    def release(self, before: Position) -> int:
        """Remove the segments all of whose records end at or before a position, oldest first.

        The segment that holds the newest record is kept.

        Returns:
            Bytes freed.

        Raises:
            Busy: a file could not be removed; call again later.
        """
        return self._releaser.release(before, self.readable_end)

    def close(self) -> None:
        """Mark a clean end and give everything back; a second call does nothing.

        Raises:
            Busy: the last sync failed; in mode `always` nothing that was acknowledged is at stake.
        """
        try:
            self._writer.close()
        finally:
            self._reader.close()
            self.wake()

    def abandon(self) -> None:
        """For a forked child: drop the inherited descriptors, write nothing, take no lock."""
        self._writer.abandon()
        self._reader.abandon()
