"""The outbox of one engine: its entries, how far the pipeline has come, and its destinations' feeds.

Law of this file: the journal is kept, and entries are, until every destination's *synced* cursor has passed.
Entries since the last checkpoint are in memory, older ones in the catalog, written by the checkpoint's
transaction; what is sent never waits for that. Without a word on destinations (a repair, a recovery) the
cursors found on disk hold what they held, so that another program's visit costs them nothing.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from otel_ext.clock import Clock
from otel_ext.errors import Busy
from otel_ext.files import Files
from otel_ext.journal import Journal, Position, Record
from otel_ext.pipeline.folder import EngineFolder
from otel_ext.pipeline.outbox.cursor import SUFFIX, Cursor, read
from otel_ext.pipeline.outbox.entry import Edits, Entry
from otel_ext.pipeline.outbox.feed import Feed
from otel_ext.pipeline.outbox.refused import Quarantine
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.sessions import Catalog, stem
from otel_ext.stats import Stats
from otel_ext.telemetry import Telemetry

FOLDER: Final = "forward"
_FULL: Final = 1.0
"""Seconds after which a client may come back to a full budget."""


class Destination(msgspec.Struct, kw_only=True, frozen=True):
    """What the outbox has to know of a destination.

    Attributes:
        name: unique; its cursor is found by it. A new one starts at the present.
        budget: journal bytes that it may be behind; beyond it the oldest are dropped.
        derived_only: it gets only spans under this program's scope.
        acknowledges: a request is acknowledged only once this destination has it, and a full budget refuses
            intake instead of dropping.
        telemetries: what it gets; the rest only moves its cursor.
    """

    name: str
    budget: int
    derived_only: bool = False
    acknowledges: bool = False
    telemetries: frozenset[Telemetry] = frozenset(Telemetry)


class Outbox:
    """What goes out of one engine.

    Args:
        destinations: exactly these; others are forgotten. None: not known here.
        derived, relay: see `Edits`.

    Raises:
        OSError: the disk.
    """

    def __init__(
        self,
        files: Files,
        folder: EngineFolder,
        journal: Journal,
        settings: EngineSettings,
        *,
        clock: Clock,
        stats: Stats,
        destinations: Sequence[Destination] | None = None,
        derived: Callable[[bytes], None] | None = None,
        relay: Callable[[bytes], None] | None = None,
    ) -> None:
        self._files, self._engine, self._folder = files, folder, f"{folder.path}/{FOLDER}"
        self._journal, self._settings, self._stats = journal, settings, stats
        self._derived, self._relay = derived, relay
        self._edits = self.begin()
        self._changed = threading.Condition()
        self._entries: dict[Position, Entry] = {}
        start = self._saved = self._end = Position(*folder.catalog.meta()["cursor"])
        self._catalog: Catalog | None = None
        self._looking = threading.Lock()
        self._held: list[Position] = []
        self._used = True
        self.feeds: dict[str, Feed] = {}
        found = files.list(self._folder) if files.exists(self._folder) else []
        cursors = [name for name in found if name.endswith(SUFFIX)]
        if destinations is None:
            words = [read(files, f"{self._folder}/{name}") for name in cursors]
            self._held = [word[0] if word is not None else Position(0, 0) for word in words]
            return
        wanted = {stem(each.name) + SUFFIX for each in destinations}
        for name in cursors:
            if name not in wanted:
                files.remove(f"{self._folder}/{name}")
        if destinations:
            files.make_directory(self._folder)
        for each in destinations:
            self.feeds[each.name] = self._feed(each, start, clock)

    @property
    def end(self) -> Position:
        """Up to where the pipeline has processed."""
        return self._end

    def begin(self) -> Edits:
        """Start over from the last checkpoint; gathers what differs from now on."""
        self._edits = Edits(self._derived, self._relay)
        return self._edits

    def add(self, record: Record) -> None:
        """Note what differs for a record that was just processed, maybe once more and given up this time."""
        entry = self._edits.take()
        if entry is None:
            self._entries.pop(record.start, None)
        elif self.feeds or self._held:
            self._entries[record.start] = entry

    def publish(self, end: Position) -> None:
        """Everything before a position is processed: it may go out."""
        if end > self._end:
            self._end = end
            with self._changed:
                self._changed.notify_all()

    def due(self) -> tuple[list[tuple[int, int, bytes]], Position | None]:
        """For the checkpoint: entries since the last one, and the position before which none is needed.

        Cursors are synced first: what they have passed must never be asked for again. The position is None
        when there is nothing to delete.
        """
        if not self._used:
            return [], None
        self._used = bool(self.feeds or self._held)  # without destinations, once: what others have left
        for feed in self.feeds.values():
            try:
                feed.cursor.sync()
            except OSError:  # its last durable place holds what it needs
                self._stats.add("otel_ext.forward.cursor_failures")
        needed = self.needed(self._end)
        pack = msgspec.msgpack.encode
        rows = [(*place, pack(entry)) for place, entry in self._entries.items() if place >= needed]
        return rows, needed

    def saved(self, cursor: Position) -> None:
        """The checkpoint is taken: what it holds leaves memory."""
        self._saved = cursor
        self._entries = {}
        if self.feeds:  # below `min_free` intake would be refused: rather drop what waits
            floor = self._settings.min_free + self._settings.segment_bytes
            with contextlib.suppress(OSError):  # the checkpoint is taken all the same
                missing = floor - self._files.free_bytes(self._folder)
                for feed in self.feeds.values():
                    feed.squeeze(missing, self._settings.segment_bytes)

    def needed(self, before: Position) -> Position:
        """The oldest place that some destination comes back to after a crash; `before` when there is none."""
        return min((before, *self._held, *(feed.cursor.durable for feed in self.feeds.values())))

    def admit(self) -> None:
        """Refuse intake while a destination that holds it has a `refusal`.

        Raises:
            Busy: one has.
        """
        for feed in self.feeds.values():
            if why := feed.refusal:
                raise Busy(why, retry_after=_FULL)

    def wait(self, position: Position, timeout: float) -> None:
        """Return once every destination that acknowledges has everything before a position.

        Raises:
            Busy: one has not, after `timeout` seconds.
        """
        waited = [feed for feed in self.feeds.values() if feed.holds_intake]
        if not waited:
            return
        before = [feed.cursor.position for feed in waited]
        with self._changed:
            if not self._changed.wait_for(
                lambda: all(feed.cursor.position >= position for feed in waited), timeout
            ):
                for feed, place in zip(waited, before, strict=True):
                    if feed.cursor.position == place < position:
                        feed.stuck = place
                raise Busy(f"not delivered within {timeout:.0f} s; it is kept and will be", retry_after=_FULL)

    def close(self) -> None:
        """Sync the cursors, give descriptors back."""
        for feed in self.feeds.values():
            feed.close()
            try:
                feed.cursor.sync()
            except OSError:
                self._stats.add("otel_ext.forward.cursor_failures")
        self.abandon()

    def abandon(self) -> None:
        """Give descriptors back, write nothing."""
        for feed in self.feeds.values():
            feed.abandon()
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    def _feed(self, each: Destination, start: Position, clock: Clock) -> Feed:
        name = stem(each.name)
        return Feed(
            each.name,
            budget=each.budget,
            derived_only=each.derived_only,
            telemetries=each.telemetries,
            holds_intake=each.acknowledges,
            cursor=Cursor(self._files, self._folder, name, start, min(start, self._journal.start)),
            quarantine=Quarantine(self._files, self._folder, name, clock),
            changed=self._changed,
            processed=lambda: self._end,
            behind=self._journal.distance,
            load=self._load,
        )

    def _load(self, after: Position, size: int) -> list[tuple[Record, Entry | None]]:
        """Processed records after a position, each with its entry."""
        end = self._end
        if after >= end:
            return []
        records = [r for r in self._journal.read(after, size) if r.end <= end]
        if not records:
            return []
        # Memory first: what is saved meanwhile is in the catalog then.
        known, saved = self._entries, self._saved
        found = {record.start: known.get(record.start) for record in records}
        if records[0].start < max(saved, self._saved):
            found.update(self._from_catalog(records[0].start, records[-1].start))
        return [(record, found[record.start]) for record in records]

    def _from_catalog(self, first: Position, last: Position) -> dict[Position, Entry]:
        with self._looking:
            if self._catalog is None:
                self._catalog = Catalog(self._engine.catalog.path, read_only=True)
            rows = self._catalog.outbox(first, last)
        return {
            Position(segment, offset): msgspec.msgpack.decode(data, type=Entry)
            for segment, offset, data in rows
        }
