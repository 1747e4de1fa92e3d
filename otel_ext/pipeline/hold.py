"""Spans whose session is not known yet wait here, a little while.

Law of this file: what waits is bounded in time, spans and bytes, and leaves in the order in which traces
arrived; whoever takes a trace out decides its session. Time is engine time.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from otel_ext.pipeline.dumps import check_version, version_of
from otel_ext.sessions import Session

VERSION = 3
_CALL: Final = slice(13, 17)
"""Where version 2 had what an item's session counted of its call."""


class Item(msgspec.Struct, array_like=True, gc=False):
    """One span on its way to a file: rendered, with what its session counts of it as a span.

    Attributes:
        json: the span as OTLP JSON, marks included.
        own: the session id that the span or its resource carries, "" for none.
        root: whether it is its trace's (local) root; `root_error` its failure, "" for none.
        agentic: whether a convention understood it.
        call: it is a tool call that had begun and will never end; others count when detectors take them.
        span_id: its id.
        crashed, over: the reason of a mark that it carries about its session, "" for none.
        unfinished: it had begun and will never end.
    """

    trace_id: bytes
    resource: bytes
    resource_url: str
    scope: bytes
    scope_url: str
    json: bytes
    start: int
    end: int
    own: str = ""
    root: bool = False
    root_error: str = ""
    agentic: bool = False
    conflict: bool = False
    call: bool = False
    span_id: bytes = b""
    crashed: str = ""
    over: str = ""
    unfinished: bool = False


_SHARED: Final = attrgetter(
    "trace_id", "own", "resource", "resource_url", "scope", "scope_url", "crashed", "over"
)


def runs(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    """Items that follow one another and agree in where they belong and in what they state, as one."""
    if len(items) == 1:  # a process sends one at a time
        return (items,)
    return [list(run) for _, run in groupby(items, _SHARED)]


def count(items: Sequence[Item], session: Session, now: int) -> tuple[int, int]:
    """Count spans in their session's row; how many of them are conflicts, and how many unfinished."""
    start = end = conflicts = unfinished = 0
    for item in items:
        begun = item.start
        if begun and not 0 < start <= begun:
            start = begun
        end = max(end, begun, item.end)
        if item.conflict:
            conflicts += 1
        if item.unfinished:
            unfinished += 1
            session.tool_calls += item.call
    session.conflicts += conflicts
    session.unfinished += unfinished
    session.saw_spans(len(items), start, end, now)
    return conflicts, unfinished


class _Held(msgspec.Struct, array_like=True):
    since: int
    items: list[Item]
    duplicates: int = 0


class _Dump(msgspec.Struct, array_like=True):
    version: int
    held: list[tuple[bytes, _Held]]


class Hold:
    """Held spans by trace, the oldest trace first."""

    def __init__(self, wait: int, most_spans: int, most_bytes: int) -> None:
        self._wait, self._most_spans, self._most_bytes = wait, most_spans, most_bytes
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._spans = self._bytes = 0

    def __contains__(self, trace_id: bytes) -> bool:
        return trace_id in self._held

    def __len__(self) -> int:
        return self._spans

    def add(self, items: Sequence[Item], now: int) -> None:
        """Hold spans of one trace."""
        trace_id = items[0].trace_id
        held = self._held.get(trace_id)
        if held is None:
            held = self._held[trace_id] = _Held(now, [])
        held.items.extend(items)
        self._spans += len(items)
        self._bytes += sum([len(item.json) for item in items])

    def duplicate(self, trace_id: bytes) -> None:
        """Count a re-delivery of a span that is held."""
        held = self._held.get(trace_id)
        if held is not None:
            held.duplicates += 1

    def take(self, trace_id: bytes) -> tuple[list[Item], int]:
        """Take out a trace's spans and the number of their re-deliveries; nothing when it holds none."""
        held = self._held.pop(trace_id, None)
        if held is None:
            return [], 0
        self._spans -= len(held.items)
        self._bytes -= sum(len(item.json) for item in held.items)
        return held.items, held.duplicates

    def waiting(self) -> list[bytes]:
        """Traces that are held, the oldest first."""
        return list(self._held)

    def due(self, now: int) -> bytes | None:
        """The oldest trace, when its time is up or a bound is passed."""
        if not self._held:
            return None
        trace_id = next(iter(self._held))
        full = self._spans > self._most_spans or self._bytes > self._most_bytes
        return trace_id if full or self._held[trace_id].since + self._wait <= now else None

    def since(self) -> int | None:
        """Engine time at which the oldest trace came."""
        return next(iter(self._held.values())).since if self._held else None

    def next_deadline(self) -> int | None:
        """Engine time at which the oldest trace is due."""
        return next(iter(self._held.values())).since + self._wait if self._held else None

    def dump(self) -> bytes:
        """The state, empty when nothing is held."""
        return msgspec.msgpack.encode(_Dump(VERSION, list(self._held.items()))) if self._held else b""

    def load(self, data: bytes) -> None:
        """Restore a dump.

        Raises:
            UnsupportedVersion: a newer version wrote it.
        """
        check_version(data, VERSION, "held spans")
        if version_of(data) < VERSION:
            dumped = msgspec.msgpack.decode(data)
            for _, (_, items, *_) in dumped[1]:
                for item in items:
                    item[_CALL] = [False]
            data = msgspec.msgpack.encode(dumped)
        for trace_id, held in msgspec.msgpack.decode(data, type=_Dump).held:
            self._held[trace_id] = held
            self._spans += len(held.items)
            self._bytes += sum(len(item.json) for item in held.items)
