"""Every request passes here on its way from a door to the engine: counted, timed, its refusals told once.

Law of this file: it changes no answer. Here all doors meet, so here a request waits for its turn (`turns`).
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from otel_ext import otlp
from otel_ext.clock import Clock
from otel_ext.errors import OtelExtError, Retryable, ShuttingDown
from otel_ext.pipeline import Accepted, Intake
from otel_ext.service.metrics import Sample
from otel_ext.telemetry import ITEMS, Telemetry
from otel_ext.turns import Turns

log = logging.getLogger(__name__)

Accept = Callable[[bytes, Telemetry], Accepted]
GRPC: Final = "grpc"
HTTP: Final = "http"
_OUTCOMES: Final = ("success", "refused", "failure")
_CALM: Final = 5_000_000_000
"""ns without a refusal after which requests count as taken again."""
_RECEIVER: Final = "otlp"


class Doorkeeper:
    """Wraps the engine's entrance for each door; used by all their threads.

    Attributes:
        inside: requests on their way.
        last: monotonic ns of the end of the last request; None before the first.
    """

    def __init__(self, intake: Intake, turns: Turns, clock: Clock) -> None:
        self._intake, self._turns, self._clock = intake, turns, clock
        self._lock = threading.Lock()
        self._items = Counter[tuple[str, Telemetry, str]]()
        self._requests = Counter[tuple[str, str]]()
        self._refusing: type[OtelExtError] | None = None
        self._refused_at = 0
        self.inside = 0
        self.last: int | None = None

    def door(self, transport: str) -> Accept:
        """The `accept` of one door.

        Raises: what it is given raises.
        """

        def accept(body: bytes, telemetry: Telemetry) -> Accepted:
            outcome, taken = "failure", None
            with self._lock:
                self.inside += 1
            try:
                turn = self._turns.of(otlp.service_name(body), len(body))
                taken = self._intake.accept(body, telemetry, turn=turn)
            except Retryable as error:
                outcome = "refused"
                self._tell(error)
                raise
            else:
                outcome = "success"
                self._tell(None)
                return taken
            finally:
                with self._lock:
                    self.inside -= 1
                    self.last = self._clock.monotonic()
                    self._requests[transport, outcome] += 1
                    if taken is not None:
                        self._items[transport, telemetry, "accepted"] += taken.received - taken.rejected
                        self._items[transport, telemetry, "refused"] += taken.rejected

        return accept

    def idle(self) -> float | None:
        """Seconds since the last request, 0 while one is inside, None when there never was one."""
        with self._lock:
            if self.inside:
                return 0.0
            return None if self.last is None else (self._clock.monotonic() - self.last) / 1e9

    def samples(self) -> Iterator[Sample]:
        """What came in, by door."""
        with self._lock:
            items, requests = dict(self._items), dict(self._requests)
        for transport in (GRPC, HTTP):
            for telemetry in Telemetry:
                for what in ("accepted", "refused"):
                    name = f"otelcol_receiver_{what}_{ITEMS[telemetry]}_total"
                    yield Sample(name, (_RECEIVER, transport), items.get((transport, telemetry, what), 0))
            for outcome in _OUTCOMES:
                count = requests.get((transport, outcome), 0)
                yield Sample("otelcol_receiver_requests_total", (_RECEIVER, transport, outcome), count)

    def _tell(self, error: Retryable | None) -> None:
        """Log when refusing begins, for what reason, and when it has ended: at its limit it alternates."""
        now = self._clock.monotonic()
        kind = type(error) if error is not None else None
        if error is None:
            if self._refusing is None or now - self._refused_at < _CALM:
                return
            log.warning("requests are taken again")
        else:
            self._refused_at = now
            if kind is self._refusing or kind is ShuttingDown:
                return
            log.warning("requests are refused for now: %s", error)
        self._refusing = kind
