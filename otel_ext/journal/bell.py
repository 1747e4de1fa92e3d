"""Waiting for records: what a reader's loop sleeps on.

Law of this file: a wake-up is never lost and never seen twice by one thread, whether it comes before the
thread waits or while it does; and a reader at the true end is never told that there is more.
"""

import threading
from collections.abc import Callable

from otel_ext.journal.frame import Position


class Bell:
    """Rung when readable records have grown or somebody wants the waiters' attention.

    `readable` says up to where reading goes at present.
    """

    def __init__(self, readable: Callable[[], Position]) -> None:
        self._readable = readable
        self._changed = threading.Condition()
        self._wakes = self._waiting = 0
        self._seen = threading.local()
        self._barren: tuple[Position, Position] | None = None

    def ring(self) -> None:
        """There may be more to read; called after that can be seen."""
        # Who waits counts itself before it looks, so nobody is missed; mostly there is nobody.
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def wake(self) -> None:
        """Let every thread's present or else next `wait` return, each once."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def nothing_between(self, after: Position, end: Position) -> None:
        """Remember that reading found no record there: nothing but damage."""
        self._barren = (after, end)

    def wait(self, after: Position, timeout: float) -> bool:
        """Sleep until there is more after the position, a wake-up, or `timeout` seconds; is there more?"""
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._woken() or self.has_more(after), timeout)
            finally:
                self._waiting -= 1
            self._seen.wakes = self._wakes
        return self.has_more(after)

    def has_more(self, after: Position) -> bool:
        """Whether a record after the position can be read."""
        end = self._readable()
        return after < end and self._barren != (after, end)

    def _woken(self) -> bool:
        return bool(self._wakes != getattr(self._seen, "wakes", 0))
