"""Steps wait here so that detectors see them in the order in which they happened.

Law of this file: exporters send children before parents and batches out of order, so an event leaves
only after it has waited for `wait` of engine time, together with everything of its trace that happened
before it. The order is total and does not depend on arrival: time, opens before closes, the longer span
(the parent) first, then the span id. What arrives later than that is late: it is passed on as it comes.
A trace of which no span was understood when its turn comes is dropped: no detector needs it, and nothing
is made of its spans (`Outline`) that only a detector would need.
"""

import heapq
from collections.abc import Iterable
from typing import Final

import msgspec

from otel_ext.errors import UnsupportedVersion
from otel_ext.pipeline.dumps import check_version, version_of
from otel_ext.pipeline.named import Named
from otel_ext.step import Kind, Step

VERSION = 2
OPEN, CLOSE = 0, 1

_LATEST: Final = 2**63 - 1
"""A span may end at 2^64 - 1; its negative could not be dumped."""


class Happening(msgspec.Struct, array_like=True, order=True, gc=False):
    """A step's beginning, or the end of one that bounds a lane; compared as it is ordered."""

    time: int
    phase: int
    minus_end: int
    span_id: bytes
    arrived: int
    step: Step


class Outline(msgspec.Struct, array_like=True, gc=False):
    """A span that no convention understands: what lanes need of it, should its trace be an agent's.

    Attributes:
        bounds: its end closes a lane too.
        arrived: set when it begins to wait.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start: int
    end: int
    bounds: bool
    arrived: int = 0


class _Dump(msgspec.Struct, array_like=True):
    version: int
    waiting: list[tuple[bytes, bool, list[Happening], list[Outline]]]


class _Waiting:
    __slots__ = ("agentic", "happenings", "newest", "oldest", "outlines")

    def __init__(self, oldest: int) -> None:
        self.oldest = self.newest = oldest
        self.happenings: list[Happening] = []
        self.outlines: list[Outline] = []
        self.agentic = False

    def __len__(self) -> int:
        ends = sum(1 for outline in self.outlines if outline.bounds and outline.end)
        return len(self.happenings) + len(self.outlines) + ends

    def ordered(self) -> list[Happening]:
        """All that waits, in order; outlines as steps."""
        for one in self.outlines:
            step = Step(
                kind=Kind.OTHER,
                trace_id=one.trace_id,
                span_id=one.span_id,
                parent_id=one.parent_id,
                start=one.start,
                end=one.end,
            )
            self.add(step, one.arrived, bounds=one.bounds)
        self.outlines = []
        return sorted(self.happenings)

    def add(self, step: Step, now: int, *, bounds: bool) -> int:
        """Add a step; how many happenings it comes to."""
        begin = step.start or step.end or now
        minus_end = -min(step.end, _LATEST)
        self.happenings.append(Happening(begin, OPEN, minus_end, step.span_id, now, step))
        if not (bounds and step.end):
            return 1
        self.happenings.append(Happening(step.end, CLOSE, minus_end, step.span_id, now, step))
        return 2


class Reorder:
    """Waiting happenings by trace."""

    def __init__(self, wait: int, most: int) -> None:
        self._wait, self._most = wait, most
        self._traces: dict[bytes, _Waiting] = {}
        # (oldest arrival, trace id); an entry counts only while it agrees with `_traces`.
        self._queue: list[tuple[int, bytes]] = []
        self._count = 0
        self.named = Named()
        """Calls that wait."""

    def __len__(self) -> int:
        return self._count

    def add(self, step: Step, now: int, *, bounds: bool) -> None:
        """Let a step wait; `bounds` when its end closes a lane too."""
        waiting = self._traces.get(step.trace_id)
        if waiting is None:
            waiting = self._wait_from(step.trace_id, now)
        waiting.newest = now
        self._count += waiting.add(step, now, bounds=bounds)
        self.named.add(step)
        if step.kind is not Kind.OTHER:
            waiting.agentic = True

    def outline(self, outlines: Iterable[Outline], now: int) -> None:
        """Let spans wait that no convention understands."""
        for one in outlines:
            waiting = self._traces.get(one.trace_id)
            if waiting is None:
                waiting = self._wait_from(one.trace_id, now)
            waiting.newest = one.arrived = now
            waiting.outlines.append(one)
            self._count += 2 if one.bounds and one.end else 1

    def due(self, now: int) -> tuple[bytes, int | None] | None:
        """`take`'s arguments for the trace that has waited longest, when its time is up or too many wait."""
        first = self._first()
        if first is None:
            return None
        oldest, trace_id = first
        if self._count > self._most:
            return trace_id, None
        return (trace_id, now - self._wait) if oldest + self._wait <= now else None

    def take(self, trace_id: bytes, until: int | None = None) -> list[Happening]:
        """What is due of a trace, in order: all that arrived by `until` and all that happened before it.

        `until` is an engine time; None takes everything.
        """
        waiting = self._traces.pop(trace_id, None)
        if waiting is None:
            return []
        everything = until is None or waiting.newest <= until
        if everything and not waiting.agentic:
            self._count -= len(waiting)
            return []
        ordered = waiting.ordered()
        ready = len(ordered)
        if until is not None and not everything:
            ready = max((i for i, h in enumerate(ordered, 1) if h.arrived <= until), default=0)
        self._count -= ready
        for happening in ordered[:ready]:
            if happening.phase == OPEN:
                self.named.remove(happening.step)
        rest = ordered[ready:]
        if rest:
            again = self._wait_from(trace_id, min(h.arrived for h in rest))
            again.happenings, again.agentic, again.newest = rest, waiting.agentic, waiting.newest
        return ordered[:ready] if waiting.agentic else []

    def rest(self, trace_id: bytes) -> dict[bytes, Step]:
        """Steps of a trace that wait, by span id."""
        waiting = self._traces.get(trace_id)
        return {h.span_id: h.step for h in waiting.happenings if h.phase == OPEN} if waiting else {}

    def waiting(self) -> list[bytes]:
        """Traces of which something waits, in the order in which they are due."""
        return sorted(self._traces, key=lambda trace_id: (self._traces[trace_id].oldest, trace_id))

    def next_deadline(self) -> int | None:
        """Engine time at which the longest waiting trace is due."""
        first = self._first()
        return first[0] + self._wait if first else None

    def dump(self) -> bytes:
        """The state, empty when nothing waits."""
        if not self._traces:
            return b""
        rows = [(trace_id, w.agentic, w.happenings, w.outlines) for trace_id, w in self._traces.items()]
        return msgspec.msgpack.encode(_Dump(VERSION, rows))

    def load(self, data: bytes) -> None:
        """Restore a dump.

        Raises:
            UnsupportedVersion: another version wrote it; what waits is made anew from files.
        """
        if not data:
            return
        check_version(data, VERSION, "waiting steps")
        if version_of(data) < VERSION:
            raise UnsupportedVersion("waiting steps of an earlier version")
        for trace_id, agentic, happenings, outlines in msgspec.msgpack.decode(data, type=_Dump).waiting:
            arrived = [one.arrived for waits in (happenings, outlines) for one in waits]
            waiting = self._wait_from(trace_id, min(arrived))
            waiting.happenings, waiting.outlines = happenings, outlines
            waiting.agentic, waiting.newest = agentic, max(arrived)
            for happening in happenings:
                if happening.phase == OPEN:
                    self.named.add(happening.step)
            self._count += len(waiting)

    def clear(self) -> None:
        """Forget everything that waits."""
        self._traces.clear()
        self._queue.clear()
        self.named.clear()
        self._count = 0

    def _wait_from(self, trace_id: bytes, oldest: int) -> _Waiting:
        waiting = self._traces[trace_id] = _Waiting(oldest)
        heapq.heappush(self._queue, (oldest, trace_id))
        return waiting

    def _first(self) -> tuple[int, bytes] | None:
        while self._queue:
            oldest, trace_id = self._queue[0]
            waiting = self._traces.get(trace_id)
            if waiting is not None and waiting.oldest == oldest:
                return oldest, trace_id
            heapq.heappop(self._queue)
        return None
