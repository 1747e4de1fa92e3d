"""Which session a trace belongs to, and which sessions are open: the registry of the fold.

Law of this file: it answers the same whatever happens to be in memory. Rows that changed stay in memory
until the checkpoint has them; any other row may be dropped and is read from the catalog again (laws L7,
L9). A generation starts when a *new* trace of a session id arrives after an end; late spans of a known
trace never start one.
"""

from collections import OrderedDict
from itertools import islice

from otel_ext.pipeline.settings import EngineSettings
from otel_ext.sessions import Catalog, Session, Trace

SECOND = 1_000_000_000
_PRELOAD = 10_000
"""Traces read at the start; more of them are read when they are asked for."""
_Key = tuple[str, int]


class Members:
    """Sessions and traces of one engine; used by the pipeline's thread only."""

    def __init__(self, catalog: Catalog, settings: EngineSettings) -> None:
        self._catalog, self._settings = catalog, settings
        self._idle_ns = int(settings.idle_timeout * SECOND)
        self._sessions = {(s.session_id, s.generation): s for s in catalog.active()}
        # Open generations, the longest silent first.
        self._open: OrderedDict[_Key, None] = OrderedDict.fromkeys(self._sessions)
        # While no other is in the catalog, it need not be asked for each new one.
        self._all_known = catalog.session_count() == len(self._sessions)
        self._latest: dict[str, int] = dict(sorted(self._sessions)) if self._all_known else {}
        self._traces: dict[bytes, Trace] = {}  # an unknown one is new while all are here
        self._all_here = catalog.trace_count() <= min(_PRELOAD, settings.cached_traces)
        if self._all_here:
            self._traces.update((trace.trace_id, trace) for trace in catalog.traces())
        self._changed: dict[_Key, Session] = {}
        self._changed_traces: dict[bytes, Trace] = {}
        # Traces that detectors follow and that the catalog does not know as such yet.
        self._followed: dict[_Key, set[bytes]] = {}
        self._marked = set(catalog.marked())

    def trace(self, trace_id: bytes) -> Trace | None:
        """Where a trace belongs, or None when it was never seen (or is held)."""
        trace = self._traces.get(trace_id)
        if trace is None and not self._all_here:
            trace = self._catalog.trace(trace_id)
            if trace is not None:
                self._traces[trace_id] = trace
        return trace

    def bind(self, trace_id: bytes, session_id: str, now: int) -> Trace:
        """Give a new trace to a session, which starts a generation when the last one had ended."""
        latest = self._newest(session_id)
        # A mark may come before the first span: its generation is still without a trace.
        if latest is None or (latest.ended and latest.traces):
            latest = self._begin(session_id, latest.generation + 1 if latest else 1, now)
        latest.new_trace()
        if not latest.agentic or latest.traces == 1:
            latest.trace_id = trace_id
        self._touch(latest)
        trace = Trace(trace_id=trace_id, session_id=session_id, generation=latest.generation)
        self.put(trace)
        return trace

    def put(self, trace: Trace) -> None:
        """Take in a new trace, or one that changed."""
        self._traces[trace.trace_id] = self._changed_traces[trace.trace_id] = trace

    def join(self, trace: Trace, session_id: str) -> None:
        """Note that a trace stored under its own id belongs to a session whose id was learnt later."""
        newest = self._newest(session_id)
        trace.joined, trace.joined_generation = session_id, newest.generation if newest else 1
        self._changed_traces[trace.trace_id] = trace

    def session(self, trace: Trace, own: str = "") -> Session:
        """The generation that a span of `trace` counts for; `own` is the session id it carries itself."""
        if own and own != trace.session_id and trace.session_id != trace.trace_id.hex():
            return self.newest(own, 0)
        return self.generation(trace.session_id, trace.generation)

    def generation(self, *key: *_Key) -> Session:
        """A generation that is known."""
        if (found := self._sessions.get(key)) is None:
            found = self._catalog.generation(*key)
            assert found is not None, "a bound trace's session is always recorded with it"
            self._sessions[key] = found
        return found

    def changed(self, session: Session, *, active: bool) -> None:
        """Note that a session's facts grew; `active` when a span did it."""
        if active:
            self._touch(session)
        else:
            self._changed[session.session_id, session.generation] = session

    def newest(self, session_id: str, now: int) -> Session:
        """The generation that a mark is about; of a session never seen it is the first, without spans."""
        return self._newest(session_id) or self._begin(session_id, 1, now)

    def mark(self, session: Session) -> None:
        """Remember that a crash was stated of a session before any trace of it; `marked` then knows it."""
        if not session.traces:
            self._marked.add(session.session_id)

    def marked(self, session_id: str) -> Session | None:
        """The session of an id of which a crash was stated before any trace of it was seen."""
        session = self._newest(session_id) if session_id in self._marked else None
        return session if session is not None and session.crash and not session.traces else None

    def joined_to(self, session: Session) -> list[Session]:
        """The sessions of traces that were stored under their own ids and joined this generation later."""
        known = {t.trace_id: t for t in self._catalog.joined_to(session.session_id)} | self._changed_traces
        joined = (self._traces.get(trace_id, trace) for trace_id, trace in sorted(known.items()))
        key = session.session_id, session.generation
        return [self.session(trace) for trace in joined if (trace.joined, trace.joined_generation) == key]

    def leave(self, session: Session) -> list[bytes]:
        """Take a generation that ended out of the open ones; the traces to close, as in `idle`."""
        self._open.pop((session.session_id, session.generation), None)
        session.open = False
        return self.followed(session)

    def rooted(self, trace: Trace, root: bytes, error: str) -> None:
        """Note that a trace's root span arrived, with its failure in words, "" for none."""
        home = self.session(trace)
        home.root_ended(error)
        self.changed(home, active=False)
        trace.rooted, trace.root = True, root
        self._changed_traces[trace.trace_id] = trace

    def follow(self, trace: Trace, resource: bytes, now: int) -> None:
        """Note that detectors follow this trace; `resource` is for its derived spans.

        Its own session is awake as long as it is followed, so that silence closes what was found.
        """
        if not trace.agentic or (resource and not trace.resource):
            trace.agentic, trace.resource = True, resource
            self._changed_traces[trace.trace_id] = trace
            self._followed.setdefault((trace.session_id, trace.generation), set()).add(trace.trace_id)
        home = self.session(trace)
        if trace.adopted:
            home.follow_logs(trace.trace_id)
            return
        home.agentic, home.trace_id = True, trace.trace_id
        if home.last_seen != now:
            home.stirred(now)
            self._touch(home)

    def idle(self, now: int) -> list[tuple[Session, list[bytes]]]:
        """End generations that were silent for the idle timeout; `(session, traces to close)` of each."""
        due: list[Session] = []
        while self._open:
            key = next(iter(self._open))
            session = self._sessions[key]
            crowded = len(self._open) > self._settings.open_sessions and session.last_seen < now
            # Those of one instant leave together: their order in memory is not part of the state.
            together = bool(due) and due[-1].last_seen == session.last_seen
            if session.last_seen + self._idle_ns > now and not crowded and not together:
                break
            del self._open[key]
            due.append(session)
        due.sort(key=lambda s: (s.last_seen, s.session_id, s.generation))
        return [self._end(session, now) for session in due]

    def end_all(self, now: int) -> list[tuple[Session, list[bytes]]]:
        """End every open generation: the input is over."""
        due = [self._sessions[key] for key in sorted(self._open)]
        self._open.clear()
        return [self._end(session, now) for session in due]

    def _end(self, session: Session, now: int) -> tuple[Session, list[bytes]]:
        session.idle_at, session.open = now, False
        self._changed[session.session_id, session.generation] = session
        return session, self.followed(session)

    def followed(self, session: Session) -> list[bytes]:
        """The traces of a generation that detectors follow."""
        key = session.session_id, session.generation
        followed = self._followed.get(key, set()) | set(self._catalog.followed(*key))
        # One that log records follow may have gone on to another generation since the checkpoint.
        return sorted(t for t in followed if (trace := self.trace(t)) and trace.generation == key[1])

    def next_idle(self) -> int | None:
        """Engine time at which the longest silent session ends, None when none is open."""
        first = next(iter(self._open), None)
        return None if first is None else self._sessions[first].last_seen + self._idle_ns

    def take_changes(self) -> tuple[list[Session], list[Trace]]:
        """Rows for the checkpoint; afterwards the least recent unchanged rows leave memory."""
        sessions, traces = list(self._changed.values()), list(self._changed_traces.values())
        self._changed, self._changed_traces, self._followed = {}, {}, {}
        return sessions, traces

    def trim(self) -> None:
        """Drop rows beyond the bounds, after the checkpoint."""
        for trace_id in list(self._traces)[: max(0, len(self._traces) - self._settings.cached_traces)]:
            del self._traces[trace_id]
            self._all_here = False
        most = max(0, len(self._sessions) - self._settings.cached_sessions)
        for key in list(islice((key for key in self._sessions if key not in self._open), most)):
            del self._sessions[key]
            if self._latest.get(key[0]) == key[1]:
                del self._latest[key[0]]
            self._all_known = False

    def busy(self) -> set[str]:
        """Ids of sessions of which a generation is open, and of traces that have just joined one."""
        open_ids = {session_id for session_id, _ in self._open}
        joined = (trace for trace in self._changed_traces.values() if trace.joined in open_ids)
        return open_ids | {trace.session_id for trace in joined}

    def forget(self, session_ids: set[str]) -> None:
        """Retention left nothing of these sessions: so does memory.

        Except of those that live: of what is open or not yet in a checkpoint, memory is all there is.
        """
        live = {session_id for session_id, _ in (*self._open, *self._changed)}
        session_ids = session_ids - live - {trace.session_id for trace in self._changed_traces.values()}
        for key in [key for key in self._sessions if key[0] in session_ids]:
            del self._sessions[key]
        for session_id in session_ids:
            self._latest.pop(session_id, None)
        for trace_id in [t for t, trace in self._traces.items() if trace.session_id in session_ids]:
            del self._traces[trace_id]

    def _begin(self, session_id: str, generation: int, now: int) -> Session:
        new = Session(session_id=session_id, generation=generation, first_seen=now, last_seen=now)
        self._sessions[session_id, generation], self._latest[session_id] = new, generation
        return new

    def _newest(self, session_id: str) -> Session | None:
        generation = self._latest.get(session_id)
        if generation is not None:
            return self._sessions[session_id, generation]
        session = None if self._all_known else self._catalog.session(session_id)
        if session is not None:
            self._latest[session_id] = session.generation
            # What is in memory may have grown since the checkpoint.
            return self._sessions.setdefault((session_id, session.generation), session)
        return session

    def _touch(self, session: Session) -> None:
        key = (session.session_id, session.generation)
        self._changed[key] = session
        session.open = True
        self._open[key] = None
        self._open.move_to_end(key)
