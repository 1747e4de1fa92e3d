"""The crash guard: how sessions end, who says so, and what is told of it.

Law of this file: an end is a fact like any other, and every fact is a record of the journal, so the state
is the same whoever wrote first. A crash is never taken back: not by a later span, not by a later end, not
by an exporter that was slower. There is no moment between a check and a rename in which a crash mark
could be lost (the race that a guard over whole-file snapshots cannot close): nothing is checked, nothing is
renamed, a mark is appended and the state follows from all facts there are.

What ends a session: silence for the idle timeout, a program's word (`ended`), the polite end of its
process, or a crash: a program's word, or the death of its process while a span of it was unfinished.
Each end is told as a derived span `termination.*`, once for each state and reason that it comes to.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from otel_ext.pipeline.hold import Item
from otel_ext.pipeline.ledger import Ledger
from otel_ext.pipeline.members import Members
from otel_ext.pipeline.records import unpack_mark
from otel_ext.pipeline.spans import SpanReader
from otel_ext.pipeline.unfinished import Begun, Unfinished
from otel_ext.sessions import Session, State, Trace
from otel_ext.signals import Finding, Status, termination

DIED = "its process died with {} unfinished"
"""Reason of a crash that nobody stated."""

_UNTOLD: Final = (
    *("session_id", "trace_id", "agentic", "told", "told_as"),
    *("logs", "log_start", "log_end"),  # they come and go as they are sent, apart from spans
    *("first_seen", "last_seen", "idle_at", "open"),  # engine times, which a replay gives anew
)


def ending(session: Session, trace: Trace) -> Finding:
    """What tells a generation's end in a trace of it, with the facts that `reindex` learns it from."""
    facts = msgspec.to_builtins(session)
    for name in _UNTOLD:
        del facts[name]
    state, reason = session.state.value, session.reason
    return termination(
        state=state,
        reason=reason,
        session_id=session.session_id,
        revision=session.told,
        trace_id=trace.trace_id,
        root=trace.root,
        start=session.first,
        end=session.last,
        facts={"state": state, "reason": reason, **facts},
    )


class Fold(Protocol):
    """What the guard needs of the fold around it."""

    def settle(self, trace_id: bytes, session_id: str, now: int) -> Trace:
        """Give a trace that has no session yet to one."""
        ...

    def store(self, run: Sequence[Item], trace: Trace, now: int) -> None:
        """Store spans; see `hold.runs`."""
        ...

    def close_trace(self, trace_id: bytes, status: Status, now: int) -> None:
        """End what the detectors have open in a trace."""
        ...

    def catch_up(self, trace_id: bytes, now: int) -> None:
        """Let no step of a trace wait any longer."""
        ...

    def emit(self, findings: Iterable[Finding]) -> None:
        """Write derived spans."""
        ...

    def seal(self, session_id: str) -> None:
        """Let later lines of a session begin a new file."""
        ...


class CrashGuard:
    """Ends sessions of one engine; used by the pipeline's thread only.

    Unfinished spans that it stores count as received when they are written: nobody sent them ended.
    """

    def __init__(
        self, fold: Fold, ledger: Ledger, members: Members, unfinished: Unfinished, reader: SpanReader
    ) -> None:
        self._fold, self._ledger, self._members = fold, ledger, members
        self._unfinished, self._reader = unfinished, reader

    def begin(self, body: bytes, now: int) -> None:
        """Note spans that have begun; a session id that they carry decides about their trace at once."""
        for begun in self._reader.begun(body):
            self._unfinished.add(begun)
            trace = self._members.trace(begun.trace_id)
            if trace is None:
                if not begun.session_id:
                    continue
                trace = self._fold.settle(begun.trace_id, begun.session_id, now)
            session = self._members.session(trace, begun.session_id)
            session.stirred(now)
            self._members.changed(session, active=True)
        while (oldest := self._unfinished.crowded()) is not None:
            if not oldest.written:  # better found as unfinished, should it end after all, than not at all
                self._write([oldest], now)
            self._unfinished.ended(oldest.trace_id + oldest.span_id)

    def mark(self, payload: bytes, now: int) -> None:
        """Note somebody's word about a session, known or not yet."""
        session_id, kind, reason = unpack_mark(payload)
        newest = self._members.newest(session_id, now)
        for session in (newest, *self._members.joined_to(newest)):
            if kind == "crashed":
                self.crash(session, reason, now)
            else:
                self.over(session, reason, now)

    def bound(self, trace: Trace, now: int) -> None:
        """Carry a crash that came first, stated of a trace's id or of an unseen session, to its session."""
        for told, to in ((trace.trace_id.hex(), trace.session_id), (trace.joined, trace.session_id)):
            marked = self._members.marked(told) if told and told != to else None
            if marked is not None:
                for reason in filter(None, (marked.crash, *marked.crash_notes)):
                    self.crash(self._members.session(trace), reason, now)

    def heed(self, item: Item, session: Session, now: int) -> None:
        """Act on what a span that was just stored states of its session."""
        if item.over:
            self.over(session, item.over, now)
        if item.crashed:
            self.crash(session, item.crashed, now)
        if session.ended:  # a mark that came before it, or a root that was missing at an explicit end
            self.tell(session, now)

    def over(self, session: Session, reason: str, now: int) -> None:
        """Note that a session is over; it ends when no root span of it is missing any more."""
        session.over = session.over or reason or "declared over"
        self._members.changed(session, active=False)
        if session.ended:
            self.end([(session, self._members.leave(session))], now)

    def crash(self, session: Session, reason: str, now: int) -> None:
        """Note that a session crashed: write what it had begun, close what was found in it."""
        if reason in {session.crash, *session.crash_notes}:
            return  # said before
        self._members.mark(session)
        self._write(
            [begun for begun in self._unfinished.unwritten() if self._session_of(begun) is session], now
        )
        session.crashed(reason)
        self._members.changed(session, active=False)
        self.end([(session, self._members.leave(session))], now)

    def end(self, ended: Iterable[tuple[Session, list[bytes]]], now: int) -> None:
        """Close what the detectors had open in the traces of sessions that ended, and tell the end."""
        for session, traces in ended:
            status: Status = "terminated" if session.crash else "persisted"
            for trace_id in traces:
                self._fold.close_trace(trace_id, status, now)
            self.tell(session, now)
            self._fold.seal(session.session_id)

    def tell(self, session: Session, now: int) -> None:
        """Tell how an agent's session, or any that crashed, has ended, unless that was told."""
        state = session.state
        if state is State.ACTIVE or not (session.agentic or session.crash):
            return
        told_as = f"{state}: {session.reason}"
        if session.told_as == told_as:
            return
        trace = self._members.trace(session.trace_id) if session.trace_id else None
        if trace is None:
            return  # a mark came first; told with the first span
        for trace_id in self._members.followed(session):
            self._fold.catch_up(trace_id, now)  # what waits is told of, too
        session.told, session.told_as = session.told + 1, told_as
        self._members.changed(session, active=False)
        self._fold.emit([ending(session, trace)])

    def died(self, now: int) -> None:
        """The process is gone: sessions with unfinished spans crashed."""
        crashed: dict[tuple[str, int], tuple[Session, int]] = {}
        for begun in self._write(self._unfinished.unwritten(), now):
            session = self._session_of(begun)
            assert session is not None, "a written span's trace is bound"
            key = (session.session_id, session.generation)
            crashed[key] = (session, crashed.get(key, (session, 0))[1] + 1)
        self._unfinished.clear()
        for session, count in crashed.values():
            self.crash(session, DIED.format(f"{count} span{'s' if count > 1 else ''}"), now)

    def finish(self, now: int) -> None:
        """The input is over: what has begun is written, every session ends."""
        self._write(self._unfinished.unwritten(), now)
        self._unfinished.clear()
        self.end(self._members.end_all(now), now)

    def _session_of(self, begun: Begun) -> Session | None:
        trace = self._members.trace(begun.trace_id)
        return self._members.session(trace, begun.session_id) if trace is not None else None

    def _write(self, begun_spans: list[Begun], now: int) -> list[Begun]:
        """Store begun spans, marked unfinished."""
        names = {b.trace_id: name for b in begun_spans if (name := self._unfinished.session_of(b.trace_id))}
        for begun in begun_spans:
            trace_id = begun.trace_id
            trace = self._members.trace(trace_id)
            if trace is None:
                trace = self._fold.settle(trace_id, names.get(trace_id, trace_id.hex()), now)
            self._ledger.received += 1
            self._unfinished.wrote(begun)
            self._fold.store((self._reader.unfinished(begun),), trace, now)
        return begun_spans
