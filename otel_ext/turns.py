"""Who is next: places in which requests are worked on, and a queue before them that is fair between senders.

Law of this file: senders take turns. Whoever comes waits, besides for its own, for at most one request of
each other sender, however many of these wait. While several senders are there, one has one place at a time,
or a few for requests that are small, and after a large one rests for as long as that took: who comes finds a
place free, and mostly the disk and the interpreter as well. All waiting is bounded, in number and time;
where the queue is full, the latest of whoever has most in it goes. Who gets no place is told to come again.
"""

import contextlib
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from otel_ext.clock import Clock, SystemClock
from otel_ext.errors import Busy, Retryable, Throttled

WHY: Final = ("queue", "wait")
"""Why requests are turned away: the queue is full, or the wait was too long."""
PLACES: Final = 16
"""Measured best between 8 and 32 for one sender alone: so many share one sync of the disk."""
WAITING: Final = 256
"""So that some 200 clients which flush at the same instant are all taken; what they hold is in the budget."""
PATIENCE: Final = 4.0
"""Seconds; a Collector's exporter gives up after 5, and what is done after that is done twice."""
_APART: Final = 4
_SMALL: Final = 64 << 10
"""Places that one sender may have while others are there, and bytes below which it may have more than one."""
_PRESENT: Final = 10_000_000_000
"""ns for which a sender counts as one that sends; SDKs send every 5 s."""
_LONGEST_REST: Final = 100_000_000
"""ns for which a place is kept after a large request at most; else as long as that took. Beside eight
connections at full rate others waited 1.1 to 1.5 times as long as alone with it, 1.7 to 1.9 times without."""
_SENDERS: Final = 1024
"""Senders remembered; beyond it the longest silent that has nothing here is forgotten."""


class Ticket:
    """A request that asked for a place.

    Attributes:
        sender, size: as it asked.
        error: why it gets none.
    """

    __slots__ = ("_bell", "error", "sender", "size")

    def __init__(self, sender: str, size: int) -> None:
        self.sender, self.size = sender, size
        self.error: Retryable | None = None
        self._bell = threading.Lock()
        self._bell.acquire()

    @property
    def called(self) -> bool:
        """Whether it need not wait any more: it has a place, or `error` says why not."""
        return not self._bell.locked()

    def call(self, error: Retryable | None = None) -> None:
        """End its wait."""
        self.error = error
        self._bell.release()

    def wait(self, seconds: float) -> bool:
        """Wait to be called; False when the time is over before."""
        return self._bell.acquire(timeout=seconds)


class _Sender:
    """What one sender has here: places, bytes in them, and requests that wait."""

    __slots__ = ("held", "inside", "queue", "seen")

    def __init__(self) -> None:
        self.inside = self.held = self.seen = 0
        self.queue = deque[Ticket]()


class State(NamedTuple):
    """How it stands: places taken, requests waiting, and requests turned away so far, by why."""

    inside: int
    waiting: int
    refused: dict[str, int]


class Turns:
    """Places and their queue; used by many threads.

    Args:
        places: requests worked on at one time.
        waiting: requests that may wait, of all senders.
        patience: seconds that one may wait.
        pause: sleeps for so many seconds.
    """

    def __init__(
        self,
        places: int = PLACES,
        waiting: int = WAITING,
        patience: float = PATIENCE,
        *,
        clock: Clock | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._places, self._most, self._patience = places, waiting, patience
        self._clock = clock or SystemClock()
        self._lock, self._pause = threading.Lock(), pause
        self._senders = OrderedDict[str, _Sender]()  # the one seen last is last
        self._ring = OrderedDict[str, _Sender]()  # those who wait, in the order of their turns
        self._inside = self._waiting = 0
        self._refused = Counter[str]()

    @contextlib.contextmanager
    def of(self, sender: str, size: int) -> Iterator[None]:
        """A place for as long as the block takes; waits for it.

        Args:
            sender: whose turn it is; a service's name.
            size: bytes of the request.

        Raises:
            Throttled: the queue is full, and this sender has most in it.
            Busy: no place was free in time.
        """
        ticket = self.ask(sender, size)
        if not ticket.wait(self._patience):
            self._give_up(ticket)
        if ticket.error is not None:
            raise ticket.error
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._rest(ticket, self._clock.monotonic() - began)
            self.leave(ticket)

    @property
    def state(self) -> State:
        """How it stands."""
        with self._lock:
            return State(self._inside, self._waiting, dict(self._refused))

    def ask(self, sender: str, size: int) -> Ticket:
        """Ask for a place without waiting for it; `leave` once it was called and has one."""
        ticket = Ticket(sender, size)
        with self._lock:
            one = self._seen(sender)
            if not one.queue and self._may(one, size):
                self._let_in(one, ticket)
                return ticket
            one.queue.append(ticket)
            self._ring.setdefault(sender, one)
            self._waiting += 1
            if self._waiting > self._most:
                self._drop()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a place back."""
        with self._lock:
            one = self._senders[ticket.sender]
            self._inside -= 1
            one.inside -= 1
            one.held -= ticket.size
            self._call()

    def _call(self) -> None:
        """Give free places to those whose turn it is."""
        for name, one in list(self._ring.items()):
            if self._inside == self._places:
                return
            if self._may(one, one.queue[0].size):
                self._waiting -= 1
                self._let_in(one, one.queue.popleft())
                del self._ring[name]
                if one.queue:
                    self._ring[name] = one  # at the end: its turn comes after everybody else's

    def _rest(self, ticket: Ticket, took: int) -> None:
        """Keep the place of a large request while others are there: they find the disk idle at times."""
        with self._lock:
            resting = ticket.size > _SMALL and self._others(self._senders[ticket.sender])
        if resting:
            self._pause(min(took, _LONGEST_REST) / 1e9)

    def _let_in(self, one: _Sender, ticket: Ticket) -> None:
        self._inside += 1
        one.inside += 1
        one.held += ticket.size
        ticket.call()

    def _may(self, one: _Sender, size: int) -> bool:
        if self._inside == self._places:
            return False
        few = not one.inside or (one.inside < _APART and one.held + size <= _SMALL)
        return few or not self._others(one)

    def _others(self, one: _Sender) -> bool:
        """Whether another sender is here; it is the last of them that was seen."""
        other = next((each for each in reversed(self._senders.values()) if each is not one), None)
        return other is not None and self._clock.monotonic() - other.seen < _PRESENT

    def _drop(self) -> None:
        """Turn away the latest request of whoever has most waiting."""
        ticket = max(self._ring.values(), key=lambda one: len(one.queue)).queue[-1]
        self._turn_away(ticket, "queue", Throttled("more requests of this service wait than of any other"))

    def _give_up(self, ticket: Ticket) -> None:
        with self._lock:
            if not ticket.called:
                error = Busy(f"no place was free within {self._patience:.0f} s")
                self._turn_away(ticket, "wait", error)

    def _turn_away(self, ticket: Ticket, why: str, error: Retryable) -> None:
        queue = self._senders[ticket.sender].queue
        queue.remove(ticket)
        self._waiting -= 1
        self._refused[why] += 1
        if not queue:
            del self._ring[ticket.sender]
        ticket.call(error)

    def _seen(self, name: str) -> _Sender:
        one = self._senders.get(name)
        if one is None:
            if len(self._senders) >= _SENDERS:  # most of them have nothing here: all that is here is bounded
                del self._senders[next(n for n, s in self._senders.items() if not (s.inside or s.queue))]
            one = self._senders[name] = _Sender()
        self._senders.move_to_end(name)
        one.seen = self._clock.monotonic()
        return one
