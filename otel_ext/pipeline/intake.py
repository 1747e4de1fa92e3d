"""Intake: the least that is safe, before the answer (law L1).

Law of this file: `accept` returns only when the request is in the journal and durable; whatever it
raises, nothing of the request will be acknowledged. The order is: refuse what we have no room for,
admit (decode check, span by span), append, return. No meaning is given here.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from otel_ext import otlp
from otel_ext.clock import Clock
from otel_ext.conventions import storable
from otel_ext.errors import Busy, InvalidRequest, ShuttingDown, TooLarge
from otel_ext.journal import Journal, Position
from otel_ext.pipeline.enginetime import EngineTime
from otel_ext.pipeline.outbox import Outbox
from otel_ext.pipeline.records import MARK, RELAY, REQUEST, STARTED, MarkKind, pack_mark, pack_request
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.stats import Stats

_LOOK_AGAIN = 500_000_000
"""ns between looks at the free disk space."""


class Accepted(NamedTuple):
    """What became of a request: spans received, spans rejected, and why in words ("" for none)."""

    received: int
    rejected: int
    message: str


class Intake:
    """The engine's entrance; used by many threads.

    Args:
        journal: where requests become durable.
        time: engine time of new records.
        processed: bytes of payload appended here that the pipeline has processed.
        free_bytes: free bytes of the journal's disk.
        outbox: says whether there is room, and when a request has gone out.
    """

    def __init__(
        self,
        journal: Journal,
        settings: EngineSettings,
        *,
        clock: Clock,
        time: EngineTime,
        stats: Stats,
        processed: Callable[[], int],
        free_bytes: Callable[[], int],
        outbox: Outbox,
    ) -> None:
        self._journal, self._settings, self._clock, self._stats = journal, settings, clock, stats
        self._time = time
        self._processed, self._free_bytes, self._outbox = processed, free_bytes, outbox
        self._lock = threading.Lock()
        self._in_flight = 0
        self._appended = 0
        self._free = free_bytes()
        self._looked = clock.monotonic()
        self._closed = False

    def accept(self, body: bytes, *, engine_time: Callable[[bytes], int] | None = None) -> Accepted:
        """Make one OTLP trace request durable.

        Args:
            body: the encoded ExportTraceServiceRequest.
            engine_time: gives the engine time for the admitted request (replay); the clock otherwise.

        Raises:
            InvalidRequest: the bytes are not such a request.
            TooLarge: the request alone is over the budget for requests in flight.
            Busy: no room now: budget, backlog, free disk space, or the journal is stopped.
            ShuttingDown: the engine is closing.
        """
        with self._room_for(len(body)):
            admitted = otlp.admit(body)
            if admitted.received:
                payload = pack_request(admitted.body, admitted.rejected)
                engine = engine_time(admitted.body) if engine_time else self._time.now()
                end = self._append(REQUEST, payload, admitted.received, engine)
                self._outbox.wait(end, self._settings.forward_wait)
        rejected = sum(admitted.rejected.values())
        self._stats.add("otelcol_receiver_accepted_spans", admitted.received - rejected)
        self._stats.add("otelcol_receiver_refused_spans", rejected)
        return Accepted(admitted.received, rejected, admitted.message)

    def started(self, body: bytes) -> None:
        """Note spans that have begun, so that they are known if they never end.

        Args:
            body: an encoded ExportTraceServiceRequest of spans whose end time is 0; it may be repeated with
                what was learnt of them since. They do not count as received.

        Raises: as `accept`.
        """
        with self._room_for(len(body)):
            self._append(STARTED, body, 0, self._time.now())

    def mark(self, session_id: str, kind: MarkKind, reason: str) -> None:
        """State a fact about a session: that it crashed, or that it is over.

        Raises: as `accept`.
        """
        if not session_id:
            raise InvalidRequest("a mark names no session; say which one it is about")
        payload = pack_mark(storable(session_id), kind, storable(reason))
        with self._room_for(len(payload)):
            self._append(MARK, payload, 0, self._time.now())

    def relay(self, body: bytes) -> None:
        """Send out spans that another engine made itself and keeps in its own files.

        Raises: as `accept`.
        """
        with self._room_for(len(body)):
            self._append(RELAY, body, 0, self._time.now())

    def close(self) -> None:
        """Refuse everything from now on; requests inside finish."""
        self._closed = True

    def _append(self, kind: int, payload: bytes, items: int, engine: int) -> Position:
        end = self._journal.append(kind, payload, items=items, engine=engine)
        with self._lock:
            self._appended += len(payload)
        return end

    @contextlib.contextmanager
    def _room_for(self, size: int) -> Iterator[None]:
        self._enter(size)
        try:
            yield
        except BaseException as error:
            if isinstance(error, Busy):
                self._journal.wake()  # it stopped; its reader is who reopens it
            self._stats.add("otelcol_receiver_refused_requests")
            raise
        finally:
            with self._lock:
                self._in_flight -= size

    def _enter(self, size: int) -> None:
        settings = self._settings
        if self._closed:
            raise ShuttingDown("the server is shutting down; send this again to its successor")
        if size > settings.max_in_flight:
            raise TooLarge(
                f"the request has {size} bytes, more than all requests together may have "
                f"({settings.max_in_flight}); send smaller batches"
            )
        if self._room() < settings.min_free:
            raise Busy(
                f"less than {settings.min_free} bytes are free on the data folder's disk", retry_after=5.0
            )
        if self._appended - self._processed() > settings.max_backlog:
            raise Busy(f"more than {settings.max_backlog} bytes wait to be processed", retry_after=5.0)
        self._outbox.admit()
        with self._lock:
            if self._in_flight + size > settings.max_in_flight:
                raise Busy(f"requests in flight use up their budget of {settings.max_in_flight} bytes")
            self._in_flight += size

    def _room(self) -> int:
        now = self._clock.monotonic()
        if now - self._looked >= _LOOK_AGAIN:
            # In this order: whoever finds the look fresh must find what was seen.
            try:
                self._free = self._free_bytes()
            except OSError as error:
                raise Busy(f"the data folder's disk cannot be looked at: {error.strerror}") from error
            self._looked = now
        return self._free
