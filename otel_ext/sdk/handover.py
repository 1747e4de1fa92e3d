"""From the program's threads into the journal: directly while the disk is willing, by a queue while not.

Law of this file: what one thread hands over arrives in its order, and a thread waits for the disk beyond
`PATIENCE` at most once: appends go through one door; who finds it shut for longer, or has just been slow,
sends everything through the queue, until the keeper's thread has emptied it and found the disk quick again.
While the journal refuses (disk full, stopped) the queue holds what comes, within its bound.
"""

import threading
from collections.abc import Callable
from typing import Final

from otel_ext.clock import SystemClock
from otel_ext.errors import Retryable
from otel_ext.pipeline import Engine
from otel_ext.sdk.host import is_hosts
from otel_ext.sdk.queue import Item, Queue
from otel_ext.sdk.warn import warn
from otel_ext.stats import Stats

PATIENCE: Final = 0.1
"""Seconds that a thread of the program waits for the door, and that an append may take."""

_PATIENCE_NS: Final = round(PATIENCE * 1e9)
_DROPPED: Final = "otel_ext.sdk.spans.dropped"
_clock = SystemClock()


class Handover:
    """Used by all threads of the program and by the keeper.

    Attributes:
        lock: guards the queue; what waits on it is told of every item (`put`) and of every end (`drain`).
        drained: number of items that left the queue into the journal or for good.
    """

    def __init__(self, max_bytes: int, stats: Stats, *, always: bool) -> None:
        self.lock = threading.Condition(threading.RLock())  # a signal handler may end a span inside it
        self.queue = Queue(max_bytes)
        self.engine: Engine | None = None
        self.drained = 0
        self._door = threading.RLock()  # it knows whose it is; entered twice by nobody, see `_inside`
        self._inside = 0  # ident of the thread that appends
        self._direct = False
        self._slow = False
        self._stats = stats
        self._always = always
        self._put = 0

    def hand(self, item: Item, only_if: Callable[[], bool] | None = None) -> int:
        """Put an item into the journal, or into the queue.

        Args:
            item: what to hand over.
            only_if: asked at the last moment, where nothing can overtake; False drops the item.

        Returns:
            0 when it is in the journal (or unwanted), -1 when the journal refused it for good, else the
            value that `drained` must reach.
        """
        me = threading.get_ident()
        if self._inside == me:  # a signal handler or finalizer of the thread that is just appending
            return self.put(item)
        while self._direct:
            # A signal handler may raise after any call, also between `acquire` and what follows it. So the
            # way out is one call that releases only what this thread has, and nothing is called before it.
            try:
                if not self._door.acquire(timeout=PATIENCE):
                    self._direct, self._slow = False, True
                    self._stats.add("otel_ext.sdk.disk.slow")
                    break
                self._inside = me
                if not self._is_direct():
                    break
                if only_if is not None and not only_if():
                    return 0
                done = self._append(item)
                if done is None:
                    return self.put(item)  # inside the door, so that nobody overtakes
            except BaseException:  # Ctrl-C while appending; if it is there, the second one is a duplicate
                self.put(item)
                raise
            finally:
                if self._inside == me:
                    self._inside = 0
                try:  # noqa: SIM105 - `suppress` is a call
                    self._door.release()
                except RuntimeError:  # another thread's: it was not opened in time
                    pass
            if not done:
                return -1
            return 0 if self._synced(item) else self.put(item)
        with self.lock:
            if only_if is not None and not only_if():
                return 0
            return self.put(item)

    def _is_direct(self) -> bool:
        return self._direct

    def put(self, item: Item) -> int:
        """Queue an item; see `hand`."""
        with self.lock:
            self._direct = False
            if evicted := self.queue.put(item):
                self._drop(evicted, "the journal takes no spans and the memory for those that wait is full")
            self._put += 1
            self.lock.notify_all()
            return self._put

    def drain(self) -> bool:
        """Keeper: hand over what waits, oldest first; False when the journal refused and some is left."""
        engine = self.engine
        if engine is None:
            return not self.queue
        while True:
            with self.lock:
                if not self.queue:
                    # Nothing can be put meanwhile, so whoever finds the way free overtakes nobody.
                    self._direct = not self._slow
                    self.drained = self._put
                    self.lock.notify_all()
                    return True
                item = self.queue.take()
            with self._door:
                self._inside = threading.get_ident()
                try:
                    done = self._append(item)
                finally:
                    self._inside = 0
            if done is None or (done and not self._synced(item)):
                with self.lock:
                    self.queue.give_back(item)
                return False
            with self.lock:
                self.drained = self._put - len(self.queue)

    def detach(self) -> Engine | None:
        """Keeper: from now on everything waits; returns the engine for whoever closes it."""
        with self.lock:
            self._direct = False
            engine, self.engine = self.engine, None
        return engine

    def drop_all(self, why: str) -> None:
        """Give up what waits."""
        with self.lock:
            if dropped := self.queue.clear():
                self._drop(dropped, why)

    def _append(self, item: Item) -> bool | None:
        """Into the journal: True done, False refused for good, None not now. The door is held."""
        engine = self.engine
        if engine is None:
            return None
        began = _clock.monotonic()
        try:
            item.hand_to(engine)
        except Retryable as error:
            self._stats.add("otel_ext.sdk.journal.busy")
            warn("busy", "spans wait in memory, the journal does not take them now", error)
            return None
        except Exception as error:
            if is_hosts(error):
                raise
            self._drop(item.spans, "the journal refused them", error)
            return False
        self._slow = _clock.monotonic() - began > _PATIENCE_NS
        if self._slow:
            self._direct = False
            self._stats.add("otel_ext.sdk.disk.slow")
        self._stats.add("otel_ext.sdk.spans.journalled", item.spans)
        return True

    def _synced(self, item: Item) -> bool:
        """With `sync: always`: whether it is on the disk; outside the door, so threads share one sync."""
        engine = self.engine
        if not self._always or item.what == "started":
            return True
        if engine is None:
            return False
        try:
            engine.journal.sync()
        except Retryable:
            return False
        return True

    def _drop(self, spans: int, why: str, error: BaseException | None = None) -> None:
        self._stats.add(_DROPPED, spans)
        if spans:
            warn("dropped", f"{self._stats.get(_DROPPED)} spans dropped so far, {why}", error)
