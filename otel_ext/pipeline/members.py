"""Which session a trace belongs to, and which sessions are open: the registry of the fold.

Law of this file: it answers the same whatever happens to be in memory. Rows that changed stay in memory
until the checkpoint has them; any other row may be dropped and is read from the catalog again (laws L7,
L9). A generation starts when a *new* trace of a session id arrives after an end; late spans of a known
trace never start one.
"""

from collections import OrderedDict

from otel_ext.pipeline.settings import EngineSettings
from otel_ext.sessions import Catalog, Session, Trace

SECOND = 1_000_000_000
_Key = tuple[str, int]


class Members:
    """Sessions and traces of one engine; used by the pipeline's thread only."""

    def __init__(self, catalog: Catalog, settings: EngineSettings) -> None:
        self._catalog, self._settings = catalog, settings
        self._idle_ns = int(settings.idle_timeout * SECOND)
        self._sessions: OrderedDict[_Key, Session] = OrderedDict()
        self._latest: dict[str, int] = {}
        self._traces: OrderedDict[bytes, Trace] = OrderedDict()
        self._changed: dict[_Key, Session] = {}
        self._changed_traces: dict[bytes, Trace] = {}
        # Open generations, the longest silent first; the value is their traces that detectors follow.
        self._open: OrderedDict[_Key, dict[bytes, None]] = OrderedDict()
        for session in catalog.active():
            key = (session.session_id, session.generation)
            self._sessions[key] = session
            self._latest[session.session_id] = session.generation
            traces = (catalog.trace(t) for t in catalog.traces_of(*key))
            self._open[key] = {t.trace_id: None for t in traces if t is not None and t.agentic}

    def trace(self, trace_id: bytes) -> Trace | None:
        """Where a trace belongs, or None when it was never seen (or is held)."""
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._catalog.trace(trace_id)
            if trace is not None:
                self._traces[trace_id] = trace
        return trace

    def bind(self, trace_id: bytes, session_id: str, now: int) -> Trace:
        """Give a new trace to a session, which starts a generation when the last one had ended."""
        latest = self._newest(session_id)
        if latest is None or latest.ended:
            generation = latest.generation + 1 if latest else 1
            latest = Session(session_id=session_id, generation=generation, first_seen=now, last_seen=now)
            self._sessions[session_id, generation] = latest
            self._latest[session_id] = generation
        latest.new_trace()
        self._touch(latest)
        trace = Trace(trace_id=trace_id, session_id=session_id, generation=latest.generation)
        self._traces[trace_id] = self._changed_traces[trace_id] = trace
        return trace

    def join(self, trace: Trace, session_id: str) -> None:
        """Note that a trace stored under its own id belongs to a session whose id was learnt later."""
        trace.joined = session_id
        self._changed_traces[trace.trace_id] = trace

    def session(self, trace: Trace, own: str = "") -> Session:
        """The generation that a span of `trace` counts for; `own` is the session id it carries itself."""
        if own and own != trace.session_id and trace.session_id != trace.trace_id.hex():
            session = self._newest(own)
            if session is None:
                session = Session(session_id=own)
                self._latest[own] = 1
                self._sessions[own, 1] = session
            return session
        key = (trace.session_id, trace.generation)
        found = self._sessions.get(key) or self._catalog.generation(*key)
        assert found is not None, "a bound trace's session is always recorded with it"
        self._sessions[key] = found
        return found

    def changed(self, session: Session, *, active: bool) -> None:
        """Note that a session's facts grew; `active` when a span did it."""
        if active:
            self._touch(session)
        else:
            self._changed[session.session_id, session.generation] = session

    def rooted(self, trace: Trace) -> None:
        """Note that a trace's root span arrived."""
        trace.rooted = True
        self._changed_traces[trace.trace_id] = trace

    def follow(self, trace: Trace, resource: bytes) -> None:
        """Note that detectors follow this trace; `resource` is for its derived spans."""
        if not trace.agentic:
            trace.agentic, trace.resource = True, resource
            self._changed_traces[trace.trace_id] = trace
        self._open.setdefault((trace.session_id, trace.generation), {})[trace.trace_id] = None

    def idle(self, now: int) -> list[tuple[Session, list[bytes]]]:
        """End generations that were silent for the idle timeout; `(session, traces to close)` of each."""
        ended = []
        while self._open:
            key = next(iter(self._open))
            session = self._sessions[key]
            early = len(self._open) > self._settings.cached_sessions * 5
            if session.last_seen + self._idle_ns > now and not early:
                break
            traces = self._open.pop(key)
            session.idle_at = now
            self._changed[key] = session
            ended.append((session, list(traces)))
        return ended

    def next_idle(self) -> int | None:
        """Engine time at which the longest silent session ends, None when none is open."""
        if not self._open:
            return None
        return self._sessions[next(iter(self._open))].last_seen + self._idle_ns

    def take_changes(self) -> tuple[list[Session], list[Trace]]:
        """Rows for the checkpoint; afterwards the least recent unchanged rows leave memory."""
        sessions, traces = list(self._changed.values()), list(self._changed_traces.values())
        self._changed, self._changed_traces = {}, {}
        return sessions, traces

    def trim(self) -> list[str]:
        """Drop rows beyond the bounds, after the checkpoint; ids of sessions that left memory."""
        while len(self._traces) > self._settings.cached_traces:
            self._traces.popitem(last=False)
        gone = []
        for key in list(self._sessions):
            if len(self._sessions) <= self._settings.cached_sessions:
                break
            if key not in self._open:
                del self._sessions[key]
                if self._latest.get(key[0]) == key[1]:
                    del self._latest[key[0]]
                gone.append(key[0])
        return gone

    def _newest(self, session_id: str) -> Session | None:
        generation = self._latest.get(session_id)
        if generation is not None:
            return self._sessions[session_id, generation]
        session = self._catalog.session(session_id)
        if session is not None:
            self._latest[session_id] = session.generation
            # An older generation of it may be in memory, this one is not: it would have been the latest.
            self._sessions[session_id, session.generation] = session
        return session

    def _touch(self, session: Session) -> None:
        key = (session.session_id, session.generation)
        self._changed[key] = session
        if key in self._open:
            self._open.move_to_end(key)
        else:
            self._open[key] = {}
