"""What several tell of one call is put together: a call is one step, however often it was told.

Law of this file: nothing is dropped that may be a call of its own. Two tellings are of one call only where
they name the same call (its id, or the response's), lie in the same session, overlap in time, and differ in
nothing that both know. Equal names and arguments alone never make two calls one: that is what a loop is.
(Spans inside one another, as a client's and its server's, are known for one call by `signals.lane.twins`.)

* A *view* (`Step.view`) tells more of the call that its parent is, and is gone.
* A span inside a span of the same tool adds to the outer one what that one does not know.
* Of a log record and a span the span stays; of two spans the earlier.
* What of a call is due does not leave without what waits of it: order is of no account within the window.
* A user's message among log records goes with the session's next model call (precision rule 9).

Times of log records are ends read off another clock tick, so they may be off by `SLACK`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from otel_ext.pipeline.dumps import check_version
from otel_ext.pipeline.named import names
from otel_ext.pipeline.nested import fill, share
from otel_ext.pipeline.reorder import OPEN, Happening, Reorder
from otel_ext.step import Kind, Step

VERSION = 1

SLACK: Final = 2_000_000_000
"""ns by which a log record and a span of one call may miss one another."""
MOST: Final = 1024
"""Calls remembered, the newest; another telling comes within seconds."""
_OTHER, _TOOL, _LLM = Kind.OTHER, Kind.TOOL, Kind.LLM


class _Known(msgspec.Struct, array_like=True):
    span_id: bytes
    start: int
    end: int
    name: str
    arguments: bytes | None
    record: bool


class _Dump(msgspec.Struct, array_like=True):
    version: int
    known: dict[bytes, _Known]
    turns: dict[str, tuple[int, bytes]]


class _Due(NamedTuple):
    """What is due of one trace."""

    steps: dict[bytes, Step]
    gone: set[bytes]
    order: Reorder
    session: str
    session_of: Callable[[bytes], str]

    def alike(self, step: Step) -> list[Step]:
        """Calls of the session that wait yet and may be this one, the earliest first."""
        mine = step.session_id or self.session
        alike = [
            other
            for other in self.order.named.alike(step)
            if not other.view and (other.session_id or self.session_of(other.trace_id)) == mine
        ]
        if len(alike) > 1:
            alike.sort(key=lambda other: (other.start, other.trace_id, other.span_id))
        return alike


class Tellings:
    """The newest calls of all sessions; used by the pipeline's thread only."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}  # the oldest first
        self._turns: dict[str, tuple[int, bytes]] = {}
        self._changed = False
        self.merged = 0
        """Tellings that were found to be of a call that is told already."""

    def put_together(
        self,
        order: Reorder,
        trace_id: bytes,
        until: int | None = None,
        *,
        session_of: Callable[[bytes], str],
    ) -> Iterator[Happening]:
        """The happenings of one trace that are due, in order, each call told once.

        Args:
            order: where they wait, and what else is told of the same calls.
            trace_id: the trace.
            until: as of `Reorder.take`.
            session_of: trace id -> the session that a trace belongs to.
        """
        ready = order.take(trace_id, until)
        if not ready:
            return
        session = session_of(trace_id)
        steps = {h.step.span_id: h.step for h in ready if h.phase == OPEN}
        gone = share(steps, order)
        self.merged += len(gone)
        due = _Due(steps, gone, order, session, session_of)
        for step in steps.values():
            if step.record and step.kind is _OTHER:
                self._turn(step, session, gone)
            elif step.span_id not in gone:
                self._call(step, step.session_id or session, due)
        for happening in ready:
            step = happening.step
            if step.span_id in gone:
                if step.record:
                    continue  # there is no such span
                step.kind, step.view = _OTHER, True
            yield happening

    def _turn(self, step: Step, session: str, gone: set[bytes]) -> None:
        gone.add(step.span_id)
        if step.user_turn is not None:
            self._turns.pop(session, None)
            self._turns[session] = (step.start, step.user_turn)
            self._changed = True
            while len(self._turns) > MOST:
                del self._turns[next(iter(self._turns))]

    def _call(self, step: Step, session: str, due: "_Due") -> None:
        steps, gone = due.steps, due.gone
        if step.kind is _LLM and step.user_turns is None and session in self._turns:
            since, turn = self._turns[session]
            if step.end >= since:
                step.user_turns, step.user_turn = 1, turn
                del self._turns[session]
                self._changed = True
        keys = [_digest(kind, session, name) for kind, name in names(step)]
        if not keys:
            return
        for key in keys:
            known = self._known.get(key)
            if known is not None and known.span_id != step.span_id and _same(known, step):
                break
        else:
            for other in due.alike(step):  # waiting yet, for later than this
                if _same(_known(step), other):
                    if step.record and not other.record:
                        self.merged += 1
                        with due.order.named.renamed(other):
                            fill(other, step)
                        gone.add(step.span_id)
                        return
                    fill(step, other)
            self._remember(keys, step)
            return
        self.merged += 1
        first = steps.get(known.span_id)
        if first is None or first.span_id in gone:
            gone.add(step.span_id)
        elif first.record and not step.record:
            fill(step, first)
            gone.add(first.span_id)
            self._remember(keys, step)
        else:
            fill(first, step)
            gone.add(step.span_id)

    def _remember(self, keys: Iterable[bytes], step: Step) -> None:
        for key in keys:
            self._known.pop(key, None)
            self._known[key] = _known(step)
            self._changed = True
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def dump(self) -> bytes | None:
        """The state; None when it is as it was at the last dump."""
        if not self._changed:
            return None
        self._changed = False
        return msgspec.msgpack.encode(_Dump(VERSION, self._known, self._turns))

    def load(self, data: bytes) -> None:
        """Restore a dump.

        Raises:
            UnsupportedVersion: a newer version wrote it.
        """
        if data:
            check_version(data, VERSION, "calls that were told")
            dumped = msgspec.msgpack.decode(data, type=_Dump)
            self._known, self._turns = dumped.known, dumped.turns


def _known(step: Step) -> _Known:
    return _Known(step.span_id, step.start, step.end, step.name, step.arguments_hash, step.record)


def _digest(*parts: str) -> bytes:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest()[:16]


def _same(known: _Known, step: Step) -> bool:
    """Whether a call that was told is this one: at the same time, and nothing known of both differs."""
    if step.kind is _LLM and not (known.record ^ step.record):
        # Two spans of a model's call may be a retry and its first attempt; usage alone is no identity.
        return bool(step.response_id) and known.start <= step.end and step.start <= known.end
    slack = SLACK if known.record or step.record else 0
    if known.start > step.end + slack or step.start > known.end + slack:
        return False
    if step.kind is _LLM:
        return True
    both = known.arguments is not None and step.arguments_hash is not None
    return known.name == step.name and (not both or known.arguments == step.arguments_hash)
