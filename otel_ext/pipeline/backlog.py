"""What was appended and waits to be processed: how much, since when, and whose it is.

Law of this file: it is told what was appended and asks how far the pipeline has come; in between it remembers
slices, of a second or a MiB, so that its size does not depend on how many requests wait.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from otel_ext.clock import Clock

_SECOND: Final = 1_000_000_000
_BYTES: Final = 1 << 20
_MOST: Final = 100_000
"""Slices remembered; beyond it the last one grows."""


class _Slice:
    __slots__ = ("end", "senders", "since", "size")

    def __init__(self, since: int) -> None:
        self.since, self.size, self.end = since, 0, 0
        self.senders = Counter[str]()


class Backlog:
    """Payload bytes in the journal that wait; used by many threads.

    Args:
        processed: bytes of payload appended since the start that the pipeline has processed.
    """

    def __init__(self, processed: Callable[[], int], clock: Clock) -> None:
        self._processed, self._clock = processed, clock
        self._lock = threading.Lock()
        self._appended = 0
        self._slices = deque[_Slice]()
        self._senders = Counter[str]()

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return max(0, self._appended - self._processed())

    @property
    def lag(self) -> float:
        """Age in seconds of the oldest of them, to the second; 0 when none wait."""
        with self._lock:
            self._forget()
            since = self._slices[0].since if self._slices else None
        return 0.0 if since is None else (self._clock.monotonic() - since) / _SECOND

    def of(self, service: str) -> int:
        """Bytes of one service's that wait, to the slice."""
        with self._lock:
            self._forget()
            return self._senders[service]

    def add(self, size: int, service: str) -> None:
        """Bytes of a service's were appended."""
        now = self._clock.monotonic()
        with self._lock:
            self._forget()
            last = self._slices[-1] if self._slices else None
            full = last is None or now - last.since >= _SECOND or last.size >= _BYTES
            if last is None or (full and len(self._slices) < _MOST):
                last = _Slice(now)
                self._slices.append(last)
            self._appended += size
            last.end, last.size = self._appended, last.size + size
            last.senders[service] += size
            self._senders[service] += size

    def _forget(self) -> None:
        processed = self._processed()
        while self._slices and self._slices[0].end <= processed:
            for service, size in self._slices.popleft().senders.items():
                self._senders[service] -= size
                if not self._senders[service]:
                    del self._senders[service]
