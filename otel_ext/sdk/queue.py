"""What waits in memory while the disk does not take it: in order, bounded, evictions counted.

Law of this file: nothing leaves but by `take` (oldest first) or by eviction (oldest first, when the bytes are
over the bound); `give_back` undoes the last `take`. The caller holds the lock.
"""

from collections import deque
from typing import Any, Final, Literal, NamedTuple

from otel_ext.pipeline import Engine

_OVERHEAD: Final = 256
"""Bytes of Python objects that each item costs beside its own."""


class Item(NamedTuple):
    """One thing for the journal.

    Attributes:
        what: `ended` or `started` spans, a `mark` on a session; `unsure` are ended spans, some without ids.
        arguments: what the engine's intake is called with.
        size: bytes of it.
        spans: ended spans in it.
    """

    what: Literal["ended", "unsure", "started", "mark"]
    arguments: tuple[Any, ...]
    size: int
    spans: int

    def hand_to(self, engine: Engine) -> None:
        """Put it into the journal; raises what the intake raises."""
        if self.what == "ended":
            engine.own.spans(self.arguments[0], self.spans)
        elif self.what == "unsure":
            engine.intake.accept(*self.arguments)
        elif self.what == "started":
            engine.own.started(*self.arguments)
        else:
            engine.own.mark(*self.arguments)


class Queue:
    """Items that wait, at most `max_bytes` of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._items: deque[Item] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> int:
        """Add an item at the end; returns the number of ended spans that were evicted for it."""
        self._items.append(item)
        self.size += item.size + _OVERHEAD
        evicted = 0
        while self.size > self._max and self._items:
            oldest = self._items.popleft()
            self.size -= oldest.size + _OVERHEAD
            evicted += oldest.spans
        return evicted

    def take(self) -> Item:
        """Remove the oldest."""
        item = self._items.popleft()
        self.size -= item.size + _OVERHEAD
        return item

    def give_back(self, item: Item) -> None:
        """Put what was taken last in front again, over the bound if need be."""
        self._items.appendleft(item)
        self.size += item.size + _OVERHEAD

    def clear(self) -> int:
        """Drop everything; returns the number of ended spans dropped."""
        dropped = sum(item.spans for item in self._items)
        self._items.clear()
        self.size = 0
        return dropped
