"""An end to waiting: whoever is not through in time is interrupted.

Law of this file: one thread watches all, asleep without a time limit while nobody waits.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final

from otel_ext.clock import Clock, SystemClock

log = logging.getLogger(__name__)

_LOOKS: Final = 8
"""How often in the time allowed it is looked; so much later, at most, one is interrupted."""


class Patience:
    """Seconds that something may take; `start`, then `of` from any thread, then `stop`."""

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self._seconds, self._clock = seconds, clock or SystemClock()
        self._waiting: dict[object, tuple[int, Callable[[], object]]] = {}  # in order of their ends
        self._lock = threading.Lock()
        self._some, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-ext-patience", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End watching."""
        self._ended.set()
        self._some.set()
        if self._thread.ident is not None:
            self._thread.join()

    @contextlib.contextmanager
    def of(self, interrupt: Callable[[], object]) -> Iterator[None]:
        """Call `interrupt`, once, if the block takes longer."""
        key = object()
        with self._lock:
            self._waiting[key] = (self._clock.monotonic() + int(self._seconds * 1e9), interrupt)
            if not self._some.is_set():
                self._some.set()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.pop(key, None)

    def _run(self) -> None:
        while True:
            self._some.wait()
            if self._ended.wait(self._seconds / _LOOKS):
                return
            late, now = [], self._clock.monotonic()
            with self._lock:
                while self._waiting and (first := next(iter(self._waiting.items())))[1][0] <= now:
                    late.append(self._waiting.pop(first[0])[1])
                if not self._waiting:
                    self._some.clear()
            for interrupt in late:
                try:
                    interrupt()
                except Exception:  # the others are still to be watched
                    log.exception("a wait could not be ended")
