"""A door's threads, and how many requests wait for one.

Law of this file: what waits where no turns are taken is bounded; where more come than can be read, a request
is refused unread.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from otel_ext.errors import Busy

_WAITING: Final = 64


class Threads(ThreadPoolExecutor):
    """A pool of threads that knows how many calls wait for one.

    Args:
        most: threads.
        name: how theirs begin.
        waiting: calls that may wait before `check` refuses.
    """

    def __init__(self, most: int, name: str, waiting: int = _WAITING) -> None:
        super().__init__(most, thread_name_prefix=name)
        self._most, self._count, self._pending = waiting, threading.Lock(), 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As `Executor.submit`."""
        with self._count:
            self._pending += 1
        return super().submit(self._begin, fn, *args, **kwargs)

    def check(self) -> None:
        """Whether another request may be read.

        Raises:
            Busy: too many wait already.
        """
        if self._pending > self._most:
            raise Busy("more requests come than can be read")

    def _begin(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        with self._count:
            self._pending -= 1
        return fn(*args, **kwargs)
