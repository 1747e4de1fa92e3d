"""A door's threads, and how many requests wait for one.

Law of this file: what waits where no turns are taken is bounded; where more come than can be read, a request
is refused unread, at once, by a thread that does nothing else.
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

    @property
    def full(self) -> bool:
        """Whether as many wait as may."""
        return self._pending >= self._most

    def check(self) -> None:
        """Whether another request may be read.

        Raises:
            Busy: too many wait already.
        """
        if self.full:
            raise Busy("more requests come than can be read")

    def _begin(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        with self._count:
            self._pending -= 1
        return fn(*args, **kwargs)


class CallThreads(Threads):
    """Threads for a library that hands over every call.

    Beyond the bound one thread more runs it, where `check` refuses: whoever is refused is told so at once,
    however long those before it wait.
    """

    def __init__(self, most: int, name: str, waiting: int = _WAITING) -> None:
        super().__init__(most, name, waiting)
        self._here = threading.local()
        self._refusing = ThreadPoolExecutor(1, f"{name}-refusing", initializer=self._mark)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As `Executor.submit`; `fn` asks `check` before anything else that may wait."""
        if self.full:
            return self._refusing.submit(fn, *args, **kwargs)
        return super().submit(fn, *args, **kwargs)

    def check(self) -> None:
        """Whether this call may be read.

        Raises:
            Busy: too many waited when it came.
        """
        if getattr(self._here, "refusing", False):
            raise Busy("more requests come than can be read")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As `Executor.shutdown`."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._refusing.shutdown(wait, cancel_futures=cancel_futures)

    def _mark(self) -> None:
        self._here.refusing = True
