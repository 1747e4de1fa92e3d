"""Intake: the least that is safe, before the answer (law L1).

Law of this file: `accept` returns only when the request is in the journal and durable; whatever it
raises, nothing of the request will be acknowledged. The order is: refuse what we have no room for,
admit (decode check, span by span), append, return. No meaning is given here.
"""

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from otel_ext import otlp
from otel_ext.clock import Clock
from otel_ext.errors import Busy, Retryable, ShuttingDown
from otel_ext.journal import Journal, Position
from otel_ext.pipeline.admission import Admission
from otel_ext.pipeline.backlog import Backlog
from otel_ext.pipeline.enginetime import EngineTime
from otel_ext.pipeline.outbox import Outbox
from otel_ext.pipeline.own import Own
from otel_ext.pipeline.records import KIND_OF, RELAY, pack_request
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.stats import Stats
from otel_ext.telemetry import ITEMS, Telemetry


class Accepted(NamedTuple):
    """What became of a request: spans, log records or data points received and rejected, and why in words.

    `message` is "" when none was rejected.
    """

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
        self._journal, self._settings, self._stats, self._time = journal, settings, stats, time
        self._outbox = outbox
        self._backlog = Backlog(processed, clock)
        self._admission = Admission(settings, self._backlog, clock=clock, stats=stats, free_bytes=free_bytes)
        self._reading, self._closed = threading.Lock(), False
        self.own = Own(
            journal, self._backlog, most=settings.max_in_flight, refusal=self.refusal, time=time, stats=stats
        )
        """What this process says itself."""

    def accept(
        self,
        body: bytes,
        telemetry: Telemetry = Telemetry.TRACES,
        *,
        engine_time: Callable[[bytes], int] | None = None,
        turn: contextlib.AbstractContextManager[None] | None = None,
    ) -> Accepted:
        """Make one OTLP request durable.

        Args:
            body: the encoded export request.
            telemetry: of what it is.
            engine_time: gives the engine time for the admitted request (replay); the clock otherwise.
            turn: entered for the work and the journal's sync, not for waiting for destinations.

        Raises:
            InvalidRequest: the bytes are not such a request.
            TooLarge: the request alone is over the budget for requests in flight.
            Busy: no room now: budget, backlog, free disk space, or the journal is stopped.
            ShuttingDown: the engine is closing.
            Retryable: `turn` has none for this request.
        """
        service = otlp.service_name(body)
        with _Room(self, len(body), service):
            end = None
            with turn or contextlib.nullcontext():
                admitted = otlp.admit(body, telemetry, alone=self._reading)
                if admitted.received:
                    payload = pack_request(admitted.body, admitted.rejected)
                    engine = engine_time(admitted.body) if engine_time else self._time.now()
                    end = self._append(KIND_OF[telemetry], payload, admitted.received, engine, service)
            if end is not None:
                self._outbox.wait(end, self._settings.forward_wait)
        rejected = sum(admitted.rejected.values())
        self._stats.add(f"otelcol_receiver_accepted_{ITEMS[telemetry]}", admitted.received - rejected)
        self._stats.add(f"otelcol_receiver_refused_{ITEMS[telemetry]}", rejected)
        return Accepted(admitted.received, rejected, admitted.message)

    def refusal(self) -> Retryable | None:
        """Why even the smallest request would be refused now; None when it would be taken."""
        return self._refused() or self._admission.refusal()

    @property
    def waiting(self) -> int:
        """Bytes of payload appended here that wait to be processed."""
        return self._backlog.waiting

    @property
    def pressing(self) -> float:
        """How much requests inside ask the pipeline to give way: 0 for not at all, 1 for all it may.

        Less the more waits, and not at all once half of what may wait does: then nobody is served better by
        more of it.
        """
        if not self._admission.in_flight:
            return 0.0
        return max(0.0, 1.0 - 2 * self._backlog.waiting / self._settings.max_backlog)

    @property
    def lag(self) -> float:
        """Age in seconds of the oldest of these bytes, to the second; 0 when none wait."""
        return self._backlog.lag

    @property
    def free(self) -> int:
        """Free bytes of the journal's disk when it was last looked at."""
        return self._admission.free

    def relay(self, body: bytes) -> None:
        """Send out spans that another engine made itself and keeps in its own files.

        Raises: as `accept`.
        """
        with _Room(self, len(body)):
            self._append(RELAY, body, 0, self._time.now())

    def close(self) -> None:
        """Refuse everything from now on; requests inside finish."""
        self._closed = True
        self.own.ask()

    def _append(self, kind: int, payload: bytes, items: int, engine: int, service: str = "") -> Position:
        end = self._journal.append(kind, payload, items=items, engine=engine)
        self._backlog.add(len(payload), service)
        return end

    def _refused(self) -> Retryable | None:
        """Why nothing is taken, whatever the budgets."""
        if self._closed:
            return ShuttingDown("the server is shutting down; send this again to its successor")
        if self._journal.stopped is not None:
            return Busy(self._journal.stopped)
        try:
            self._outbox.admit()
        except Busy as error:
            return error
        return None

    def _enter(self, size: int, service: str) -> None:
        if (refused := self._refused()) is not None:
            self._failed(refused)
            raise refused
        try:
            self._admission.enter(size, service)
        except BaseException as error:
            self._failed(error)
            raise

    def _leave(self, size: int, service: str, error: BaseException | None) -> None:
        self._admission.leave(size, service)
        if error is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, Busy):
            self._journal.wake()  # it stopped; its reader is who reopens it
        self._stats.add("otelcol_receiver_refused_requests")


class _Room:
    """A request's room, while it is inside. No generator: that would cost as much as all that it does."""

    __slots__ = ("_intake", "_service", "_size")

    def __init__(self, intake: Intake, size: int, service: str = "") -> None:
        self._intake, self._size, self._service = intake, size, service

    def __enter__(self) -> None:
        self._intake._enter(self._size, self._service)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._intake._leave(self._size, self._service, error)
