"""No fork while SQLite works: a child would inherit its global locks, held for ever by a thread it has not.

Law of this file: whatever calls SQLite is inside the gate; whoever forks shuts it first, which waits until
all are outside. SQLite says that a connection must not be carried over a fork; its memory allocator's lock
cannot be left behind at all (measured: of 551 forks beside two busy connections, 8 children hung when they
opened one of their own).
"""

import threading
from types import TracebackType


class ForkGate:
    """Entered by any thread, also again by one that is inside; shut by the one that forks.

    Attributes:
        doubtful: this process was forked while somebody was inside; SQLite may hang in it.
    """

    def __init__(self) -> None:
        self.doubtful = False
        self._renew()

    def _renew(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside: dict[int, int] = {}
        self._shut = False

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._changed:
            while self._shut and me not in self._inside:
                self._changed.wait()
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        me = threading.get_ident()
        with self._changed:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
                self._changed.notify_all()

    def shut(self, timeout: float) -> bool:
        """Before a fork: let nobody in, wait until all are outside; False when it took too long."""
        with self._changed:
            self._shut = True
            return self._changed.wait_for(lambda: not self._inside, timeout)

    def open(self) -> None:
        """After the fork, in the parent."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()

    def forked(self) -> None:
        """After the fork, in the child: those who are inside are the parent's threads."""
        self.doubtful = self.doubtful or bool(self._inside)
        self._renew()


GATE = ForkGate()
"""Of this process: SQLite's locks are global."""
