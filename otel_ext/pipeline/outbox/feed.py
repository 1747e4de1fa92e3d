"""One destination's end of the outbox: it reads on from its cursor and says what became of what it got.

Law of this file: batches come in the journal's order, each record in one batch, and the cursor passes them in
that order, however many are under way at a time. Nothing is skipped in silence: a feed that is over its
budget hands out the oldest all the same, and `over` tells that they are to be dropped and counted.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from otel_ext.journal import Position, Record
from otel_ext.pipeline.outbox.batch import Batch, Outcome, Part
from otel_ext.pipeline.outbox.cursor import Cursor, Tally
from otel_ext.pipeline.outbox.entry import Entry, outgoing
from otel_ext.pipeline.outbox.refused import Quarantine
from otel_ext.telemetry import Telemetry

_SHARE: Final = 16
"""A batch is joined up to this part of the budget."""
_CHUNK: Final = 1 << 20
"""Journal bytes read at a time."""


class _Waiting(NamedTuple):
    telemetry: Telemetry
    parts: list[Part]
    start: Position
    end: Position  # equal to start while more of the same record follows


class Feed:
    """A destination's batches; `read`, `done` and `quarantine` may be used by many threads.

    Args:
        name: the destination's.
        budget: journal bytes that it may be behind.
        derived_only: see `outgoing`.
        telemetries: what goes there.
        holds_intake: a full budget refuses intake instead of dropping the oldest; and requests are
            acknowledged only once this destination has them.
        behind: journal bytes between two positions.
        load: records after a position, as far as they are processed, each with its entry.
        moved: called when the cursor has moved.
    """

    def __init__(
        self,
        name: str,
        *,
        budget: int,
        derived_only: bool,
        telemetries: frozenset[Telemetry] = frozenset(Telemetry),
        holds_intake: bool,
        cursor: Cursor,
        quarantine: Quarantine,
        changed: threading.Condition,
        processed: Callable[[], Position],
        behind: Callable[[Position, Position], int],
        load: Callable[[Position, int], list[tuple[Record, Entry | None]]],
    ) -> None:
        self.name, self.budget, self.holds_intake = name, budget, holds_intake
        self._derived_only, self._telemetries = derived_only, telemetries
        self.cursor, self._quarantine = cursor, quarantine
        self._changed, self._processed, self._behind, self._load = changed, processed, behind, load
        self._reading, self._finishing = threading.Lock(), threading.Lock()
        self._next = cursor.position
        self._waiting = deque[_Waiting]()
        self._under_way = deque[Batch]()
        self._closed = False
        self._squeeze = 0
        self.stuck: Position | None = None
        """Where the cursor stood all the time while a request waited in vain to be acknowledged."""

    @property
    def quarantine_path(self) -> str:
        """The file of what it refuses for good."""
        return self._quarantine.path

    @property
    def queue_bytes(self) -> int:
        """Journal bytes between the cursor and what is processed."""
        return self._behind(self.cursor.position, self._processed())

    @property
    def refusal(self) -> str:
        """Why intake is refused because of this destination; "" when it is not.

        While it takes nothing, each try of each client would be journalled, and hold a door's thread in vain.
        """
        if self.holds_intake and self.queue_bytes > self.budget:
            return f"more than {self.budget} bytes wait for {self.name}"
        if self.stuck == self.cursor.position:
            return f"{self.name} takes nothing at present; what it waits for is kept"
        return ""

    @property
    def idle(self) -> bool:
        """Whether everything processed is done."""
        return self.cursor.position >= self._processed()

    def squeeze(self, missing: int, least: int) -> None:
        """The disk lacks so many bytes: shrink the budget, but not below `least`."""
        self._squeeze = max(least, self.queue_bytes - missing) if missing > 0 else 0

    def over(self, batch: Batch) -> bool:
        """Whether a batch is so old that it is to be dropped."""
        if self.holds_intake:
            return False
        budget = min(self.budget, self._squeeze or self.budget)
        return self._behind(batch.start, self._processed()) > budget

    def drained(self, timeout: float) -> bool:
        """Wait until everything processed is done, for so many seconds; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self.idle, timeout)

    def read(self, max_bytes: int, timeout: float, *, linger: float = 0.0) -> Batch | None:
        """The next batch: as many records as there are, of one telemetry, up to `max_bytes` or a single one.

        A batch that is not full waits `linger` seconds for more.

        Returns:
            None when nothing came for `timeout` seconds, or the feed is closed.

        Raises:
            Busy, OSError, DamageError: the disk cannot be read; try again later.
        """
        with self._reading:
            while not self._waiting:
                if self._closed:
                    return None
                if not self._fill():
                    with self._changed:
                        ready = self._changed.wait_for(
                            lambda: self._closed or self._processed() > self._next, timeout
                        )
                    if not ready:
                        return None
            if linger:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._size() >= max_bytes, linger)
                self._fill()
            first = self._waiting.popleft()
            # Dropped as a whole when its first record is too old: so never much of what may wait.
            max_bytes = min(max_bytes, self.budget // _SHARE)
            batch = Batch(
                telemetry=first.telemetry,
                parts=list(first.parts),
                items=0,
                start=first.start,
                end=first.end,
            )
            size = sum(len(part.body) for part in batch.parts)
            while self._waiting:
                more = self._waiting[0]
                size += sum(len(part.body) for part in more.parts)
                if more.telemetry is not batch.telemetry or size > max_bytes:
                    break
                self._waiting.popleft()
                batch.parts += more.parts
                batch.end = more.end
            batch.items = sum(part.items for part in batch.parts)
            with self._finishing:
                self._under_way.append(batch)
            return batch

    def done(self, batch: Batch, outcome: Outcome) -> None:
        """Say what became of a batch; the cursor moves once all before it are done."""
        batch.outcome = outcome
        with self._finishing:
            position, tally = self.cursor.position, self.cursor.tally
            moved = False
            while self._under_way and (first := self._under_way[0]).outcome is not None:
                self._under_way.popleft()
                position, moved = first.end, True
                counts = msgspec.structs.asdict(first.outcome)
                tally = Tally(
                    received=tally.received + first.items,
                    **{name: getattr(tally, name) + count for name, count in counts.items()},
                )
            if moved:
                self.cursor.move(position, tally)
        if moved:
            with self._changed:
                self._changed.notify_all()

    def quarantine(self, telemetry: Telemetry, part: Part, reason: str) -> bool:
        """Keep a request that is refused for good; False when the quarantine is full.

        Raises:
            OSError: the disk; try again later.
        """
        with self._finishing:
            return self._quarantine.keep(telemetry, part.body, part.items, reason)

    def abandon(self) -> None:
        """Give descriptors back."""
        self.cursor.close()
        self._quarantine.close()

    def close(self) -> None:
        """Let `read` return; nothing more comes."""
        self._closed = True
        with self._changed:
            self._changed.notify_all()

    def _size(self) -> int:
        """About how many bytes are there to be sent."""
        read = sum(len(part.body) for each in self._waiting for part in each.parts)
        return read + self._behind(self._next, self._processed())

    def _fill(self) -> bool:
        """Read on; whether there was anything. What has nothing to go out only moves the cursor."""
        records = self._load(self._next, _CHUNK)
        for record, entry in records:
            requests = list(outgoing(record, entry, derived_only=self._derived_only))
            grouped: list[tuple[Telemetry, list[Part]]] = []
            for telemetry, body, items in requests:
                if telemetry not in self._telemetries:
                    continue
                if not grouped or grouped[-1][0] is not telemetry:
                    grouped.append((telemetry, []))
                grouped[-1][1].append(Part(body, items))
            for place, (telemetry, parts) in enumerate(grouped):
                last = place + 1 == len(grouped)
                self._waiting.append(
                    _Waiting(telemetry, parts, record.start, record.end if last else record.start)
                )
            self._next = record.end
            if not grouped:
                self._pass(record)
        return bool(records)

    def _pass(self, record: Record) -> None:
        """Nothing goes out for a record."""
        if self._waiting:  # it goes with what is before it
            self._waiting[-1] = self._waiting[-1]._replace(end=record.end)
            return
        empty = Batch(telemetry=Telemetry.TRACES, parts=[], items=0, start=record.start, end=record.end)
        with self._finishing:
            self._under_way.append(empty)
        self.done(empty, Outcome())
