"""Bytes that requests may hold at one time.

Law of this file: memory is reserved part by part, as it is used, so that a body which is announced but comes
slowly holds no more than what came; whoever gets none is told to come again, and none waits, so that a wait
cannot become memory of another kind.
"""

import threading
from types import TracebackType
from typing import Self

from otel_ext.errors import Busy


class Budget:
    """A number of bytes, shared by many threads.

    Args:
        capacity: bytes in all.

    Attributes:
        refused: how often too little was left.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._used = self.refused = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes reserved now."""
        return self._used

    def share(self) -> "Share":
        """An empty share for one request."""
        return Share(self)

    def take(self, size: int, *, soon: int = 0) -> None:
        """Reserve `size` bytes, if besides them `soon` bytes are left.

        Raises:
            Busy: too little is left.
        """
        with self._lock:
            if self._used + size + soon > self.capacity:
                self.refused += 1
                raise Busy(f"requests being received use up their budget of {self.capacity} bytes")
            self._used += size

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        with self._lock:
            self._used -= size


class Share:
    """What one request has reserved; given back by `with`."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def expect(self, size: int) -> None:
        """Make sure that `size` bytes are left, reserving none of them yet.

        Raises:
            Busy: too little is left.
        """
        self._budget.take(0, soon=size)

    def reserve(self, size: int) -> None:
        """Reserve `size` bytes more.

        Raises:
            Busy: too little is left.
        """
        self._budget.take(size)
        self._held += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._held, 0
        self._budget.give(held)
