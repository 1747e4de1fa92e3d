"""Admission: whether there is room for one more request, and when to come back.

Law of this file: disk, memory and backlog have two marks each. Over the upper one requests are refused until
the lower one is reached, so that at its limit it does not refuse every second request (what is in flight is
given back within a request's time and has one mark). Whoever is refused is told what is used up and how long
to wait, and nothing of the request was kept. Of a request only the service that sent it is looked at.

    disk       free bytes of the data folder's disk: `min_free`
    memory     resident bytes of this process: `memory_limit`
    backlog    journal bytes that wait to be processed: `max_backlog`
    in_flight  bytes of requests that are being made durable: `max_in_flight`
    service    one service's share of these

Memory that is in use while nothing is inside and nothing waits is what this process needs: refusing would
never end, so then requests are let in one at a time.

While more than one service sends, none may use more than `service_share` of backlog and in flight: one
looping agent leaves room for the others. A service alone may use everything.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from otel_ext import memory
from otel_ext.clock import Clock
from otel_ext.errors import Busy, TooLarge
from otel_ext.pipeline.backlog import Backlog
from otel_ext.pipeline.settings import EngineSettings
from otel_ext.stats import Stats

BUDGETS: Final = ("disk", "memory", "backlog", "in_flight", "service")
REFUSED: Final = "otel_ext.admission.refused"
"""Counter of refused requests; a budget's name follows."""
_LOOK_AGAIN: Final = 500_000_000
"""ns between looks at disk and memory."""
_PRESENT: Final = 10_000_000_000
"""ns for which a service counts as one that sends."""
_SERVICES: Final = 1024
"""Services told apart; beyond it the longest silent is forgotten."""
_LOW: Final = 0.9
"""The lower mark, as a share of the upper one."""


class Mark:
    """A budget's state: over its upper mark, and not yet under its lower one since."""

    def __init__(self) -> None:
        self._over = False

    def over(self, used: float, high: float) -> bool:
        """Whether there is no room at this use."""
        self._over = used > (high * _LOW if self._over else high)
        return self._over


class Service:
    """What one service has inside."""

    __slots__ = ("in_flight", "seen")

    def __init__(self) -> None:
        self.in_flight = self.seen = 0


class Admission:
    """The budgets of one engine's entrance; used by many threads.

    Args:
        free_bytes: free bytes of the journal's disk.
        resident: bytes of this process in memory.

    Attributes:
        free: free bytes of the disk when it was last looked at.
    """

    def __init__(
        self,
        settings: EngineSettings,
        backlog: Backlog,
        *,
        clock: Clock,
        stats: Stats,
        free_bytes: Callable[[], int],
        resident: Callable[[], int] = memory.resident,
    ) -> None:
        self._settings, self._backlog, self._clock, self._stats = settings, backlog, clock, stats
        self._free_bytes, self._resident = free_bytes, resident
        self._lock = threading.Lock()
        self._services: OrderedDict[str, Service] = OrderedDict()  # the one seen last is last
        self._in_flight = self._used = 0
        self.free = free_bytes()
        self._looked = clock.monotonic()
        self._disk, self._memory, self._waiting = Mark(), Mark(), Mark()

    @property
    def in_flight(self) -> int:
        """Bytes of requests inside."""
        return self._in_flight

    def refusal(self) -> Busy | None:
        """Why even the smallest request of anybody would be refused; None when it would be taken."""
        found = self._used_up() or self._too_much_memory()
        return None if found is None else found[1]

    def enter(self, size: int, service: str) -> None:
        """Take room for a request of `size` bytes.

        Raises:
            TooLarge: no budget will ever hold it.
            Busy: not now.
        """
        most = self._settings.max_in_flight
        if size > most:
            raise TooLarge(
                f"the request has {size} bytes, more than all requests together may have ({most}); "
                f"send smaller batches"
            )
        found = self._used_up()
        with self._lock:
            one = self._seen(service)
            if found is None:  # one at a time is judged where it is counted
                found = self._too_much_memory()
            if found is None and self._in_flight + size > most:
                found = "in_flight", Busy(f"requests in flight use up their budget of {most} bytes")
            if found is None and self._contended(one):
                found = self._share(one, size, service)
            if found is None:
                self._in_flight += size
                one.in_flight += size
                return
        budget, error = found
        self._stats.add(f"{REFUSED}.{budget}")
        raise error

    def leave(self, size: int, service: str) -> None:
        """Give back what `enter` took."""
        with self._lock:
            self._in_flight -= size
            one = self._services.get(service)
            if one is not None:  # it may have been forgotten meanwhile, and come again
                one.in_flight = max(0, one.in_flight - size)

    def _used_up(self) -> tuple[str, Busy] | None:
        """The budget of all, memory left out, that has no room, and the error that says so."""
        settings = self._settings
        try:
            self._look()
        except OSError as error:
            return "disk", Busy(f"the data folder's disk cannot be looked at: {error.strerror}")
        # How much of the wanted space is missing, so that the marks read alike.
        if settings.min_free and self._disk.over(settings.min_free, self.free):
            text = f"less than {settings.min_free} bytes are free on the data folder's disk"
            return "disk", Busy(text, retry_after=5.0)
        if self._waiting.over(self._backlog.waiting, settings.max_backlog):
            text = f"more than {settings.max_backlog} bytes wait to be processed"
            return "backlog", Busy(text, retry_after=5.0)
        return None

    def _too_much_memory(self) -> tuple[str, Busy] | None:
        """The refusal for want of memory, while there is something that may give some back."""
        limit = self._settings.memory_limit
        if not self._short(limit) or not (self._in_flight or self._backlog.waiting):
            return None
        return "memory", Busy(f"more than {limit} bytes of memory are in use", retry_after=2.0)

    def _short(self, limit: int) -> bool:
        return bool(limit) and self._memory.over(self._used, limit)

    def _share(self, one: Service, size: int, name: str) -> tuple[str, Busy] | None:
        """What goes beyond one service's share."""
        settings, share = self._settings, self._settings.service_share
        if one.in_flight and one.in_flight + size > settings.max_in_flight * share:
            return "service", Busy("this service's requests use up its share of bytes in flight")
        if self._backlog.of(name) > settings.max_backlog * share:
            text = "what this service has sent uses up its share of what may wait to be processed"
            return "service", Busy(text, retry_after=5.0)
        return None

    def _seen(self, name: str) -> Service:
        one = self._services.get(name)
        if one is None:
            one = self._services[name] = Service()
            if len(self._services) > _SERVICES:
                self._services.popitem(last=False)
        self._services.move_to_end(name)
        one.seen = self._clock.monotonic()
        return one

    def _contended(self, one: Service) -> bool:
        """Whether another service sends as well; it is the last but one that was seen."""
        if len(self._services) < 2:
            return False
        newest = iter(reversed(self._services.values()))
        next(newest)
        return one.seen - next(newest).seen < _PRESENT

    def _look(self) -> None:
        """Look at the disk and the memory, every so often. Raises OSError."""
        now = self._clock.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        # In this order: whoever finds the look fresh must find what was seen.
        self.free = self._free_bytes()
        if limit := self._settings.memory_limit:
            self._used = self._resident()
            if self._short(limit):
                memory.release()  # what was freed need not have gone back to the system
                self._used = self._resident()
        self._looked = now
