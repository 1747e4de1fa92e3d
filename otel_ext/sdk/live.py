"""Spans that began and have not ended: whose session they belong to, and whether they have grown.

Law of this file: it holds no span (only weak references to it), at most `MOST` entries and `FAILED` failures,
and it is exact for what it holds: the session of a trace is the first that one of its spans or their
resources named, else the trace id. Threads may use it at once; every change is a plain dict operation or
under the lock.
"""

import threading
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan, Span

from otel_ext.clock import SystemClock
from otel_ext.conventions.identity import session_of
from otel_ext.otlp.wire import plain_dict
from otel_ext.sdk.reasons import chain, type_name

MOST: Final = 4096
"""Open spans watched at most; one beyond it is journalled when it starts, and not looked at again."""

FAILED: Final = 64
"""Failed roots remembered, to know them again when their exception reaches the top of the program."""

_RECENT: Final = 10_000_000_000
"""ns that an exception may take from a root to the top; an equal one that was handled long ago is another."""

_SEARCH: Final = 1_000_000_000
"""ns between searches for spans that were dropped, while the bound is reached."""

_clock = SystemClock()


_own = threading.local()


def this_thread() -> object:
    """The calling thread's token: unlike its ident, it is never given to a later thread."""
    try:
        return _own.token
    except AttributeError:
        token = _own.token = object()
        return token


class Open:
    """One open span: who started it, and what of it is in the journal."""

    __slots__ = ("key", "seen", "span", "thread")

    def __init__(self, span: Span, key: tuple[int, int], attributes: Mapping[str, Any]) -> None:
        self.span = weakref.ref(span)
        self.key = key
        self.thread = this_thread()
        self.seen = _look(span, attributes)


class _Failed(NamedTuple):
    kind: str
    message: str
    session: str
    when: int
    thread: object


class _Trace:
    __slots__ = ("open", "session")

    def __init__(self) -> None:
        self.open = 0
        self.session: str | None = None


class Live:
    """The open spans of one process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open: dict[tuple[int, int], Open] = {}
        self._traces: dict[int, _Trace] = {}
        self._failed: deque[_Failed] = deque(maxlen=FAILED)
        self._inherited: frozenset[tuple[int, int]] = frozenset()
        self._resource: tuple[object, str | None] = (None, None)  # the last one, and the session it names
        self._search_at = 0
        self.unwatched = 0
        """Spans that were not watched because `MOST` were open."""

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, entry: Open) -> bool:
        return self._open.get(entry.key) is entry

    def began(self, span: Span, attributes: Mapping[str, Any]) -> bool:
        """Watch a span that has these attributes; False when it is already (a second processor has it)."""
        context = span.get_span_context()
        key = (context.trace_id, context.span_id)
        with self._lock:
            if key in self._open:
                return False
            if len(self._open) >= MOST and not self._forget_dropped():
                self.unwatched += 1
                return True
            self._open[key] = Open(span, key, attributes)
            trace = self._traces.get(key[0])
            if trace is None:
                trace = self._traces[key[0]] = _Trace()
            trace.open += 1
            if trace.session is None:
                trace.session = self._named(span, attributes)
        return True

    def ended(self, span: ReadableSpan) -> bool:
        """Forget a span; False when it is not this process's (it was open when the process was forked)."""
        context = span.get_span_context()
        if context is None:
            return True
        key = (context.trace_id, context.span_id)
        if self._inherited and key in self._inherited:
            return False
        with self._lock:
            entry = self._open.pop(key, None)
            trace = self._traces.get(key[0])
            if trace is not None:
                if trace.session is None:
                    trace.session = self._named(span, plain_dict(span.attributes))
                if entry is not None:
                    trace.open -= 1
                    if trace.open <= 0:
                        del self._traces[key[0]]
            parent, inherited = span.parent, self._inherited
            if parent is None or parent.is_remote or (parent.trace_id, parent.span_id) in inherited:
                self._remember_failures(span, key[0], trace)
        return True

    def is_inherited(self, span: ReadableSpan) -> bool:
        """Whether the span was open when this process was forked: it is the parent's."""
        context = span.get_span_context()
        return context is not None and (context.trace_id, context.span_id) in self._inherited

    @property
    def inherited(self) -> frozenset[tuple[int, int]]:
        """Keys of the spans that were open when this process was forked: parents in another process."""
        return self._inherited

    def grown(self) -> Iterator[tuple[Open, Span]]:
        """Open spans that differ from what was journalled of them; taking one says that it now is."""
        for entry in list(self._open.values()):
            span = entry.span()
            if span is None:
                continue
            attributes = plain_dict(span.attributes)
            now = _look(span, attributes)
            if now != entry.seen:
                entry.seen = now
                with self._lock:
                    trace = self._traces.get(entry.key[0])
                    if trace is not None and trace.session is None:
                        trace.session = self._named(span, attributes)
                yield entry, span

    def sessions(self, thread: object = None) -> list[str]:
        """Sessions with open spans, those that a thread started or all of them."""
        with self._lock:
            traces = {e.key[0]: None for e in self._open.values() if thread is None or e.thread is thread}
            return list(dict.fromkeys(_session(trace, self._traces.get(trace)) for trace in traces))

    def failed(self, error: BaseException) -> list[str]:
        """Sessions whose root span recorded this exception, or one that led to it, in this thread.

        A span records type and message only, and another thread's failure may well have equal ones.
        """
        causes = {(type_name(each), str(each)) for each in chain(error)}
        since, thread = _clock.monotonic() - _RECENT, this_thread()
        with self._lock:
            recent = [f for f in self._failed if f.when >= since and f.thread is thread]
        found = [f.session for f in recent if (f.kind, f.message) in causes]
        return list(dict.fromkeys(found))

    def forked(self) -> None:
        """In a forked child: what is open belongs to the parent, also if it is ended here."""
        self._inherited = self._inherited.union(self._open)
        self._lock = threading.RLock()
        self._open, self._traces = {}, {}
        self._failed.clear()

    def _named(self, span: ReadableSpan, attributes: Mapping[str, Any]) -> str | None:
        """The session that a span names itself, or its resource; as the engine has it."""
        resource, session = self._resource
        if resource is not span.resource:
            session = session_of(dict(span.resource.attributes))
            self._resource = span.resource, session
        return session_of(attributes) or session

    def _forget_dropped(self) -> bool:
        """Forget spans that the program dropped without ending them; whether there were any."""
        now = _clock.monotonic()
        if now < self._search_at:
            return False
        self._search_at = now + _SEARCH
        dropped = [entry.key for entry in self._open.values() if entry.span() is None]
        for key in dropped:
            del self._open[key]
            trace = self._traces.get(key[0])
            if trace is not None:
                trace.open -= 1
                if trace.open <= 0:
                    del self._traces[key[0]]
        return bool(dropped)

    def _remember_failures(self, span: ReadableSpan, trace_id: int, trace: _Trace | None) -> None:
        for event in span.events:
            if event.name == "exception":
                session = _session(trace_id, trace)
                attributes = event.attributes or {}
                kind, message = attributes.get("exception.type"), attributes.get("exception.message")
                failed = _Failed(str(kind), str(message), session, _clock.monotonic(), this_thread())
                self._failed.append(failed)


def _session(trace_id: int, trace: _Trace | None) -> str:
    return trace.session if trace is not None and trace.session else f"{trace_id:032x}"


def _look(span: Span, attributes: Mapping[str, Any]) -> tuple[object, ...]:
    """What changes when a span grows; values are compared by identity first, so this is cheap."""
    return span.name, attributes, len(span.events), span.status
