"""The thread that does for the program whatever may take time: opening, retrying, flushing, closing.

Law of this file: no thread of the program opens, syncs or closes anything; it waits for the keeper within a
bound, or not at all. The keeper starts with the first item and ends with `close`; a later item starts it
again. Where no thread can be started (the interpreter is ending) one round is done in the caller's.
"""

import threading
from collections.abc import Callable
from typing import Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value

from otel_ext.clock import SystemClock
from otel_ext.errors import DataFolderError
from otel_ext.pipeline import Engine
from otel_ext.sdk.handover import Handover
from otel_ext.sdk.warn import warn

_SECOND: Final = 1_000_000_000
_LOOK: Final = _SECOND
"""ns between looks at open spans."""
_FOLDER_AGAIN: Final = 30 * _SECOND
"""ns until a data folder that could not be used is tried again."""
_FIRST_PAUSE: Final = _SECOND // 4
_LONGEST_PAUSE: Final = 2 * _SECOND
_clock = SystemClock()


class Keeper:
    """One recorder's thread.

    Args:
        handover: whose engine it opens and closes, and whose queue it empties.
        open_engine: opens and starts one.
        look: journals open spans that have grown; called at most every second.

    Attributes:
        tried: set once opening was tried and what waited was handed over, or not.
        opening: held while the engine is being opened.
    """

    def __init__(
        self, handover: Handover, open_engine: Callable[[], Engine], look: Callable[[], None]
    ) -> None:
        self.tried = threading.Event()
        self.opening = threading.Lock()
        self._handover, self._open_engine, self._look = handover, open_engine, look
        self._thread: threading.Thread | None = None
        self._inline = False
        self._try_at = self._look_at = 0
        self._pause = _FIRST_PAUSE
        self._wanted = self._served = 0
        self._synced = False
        self._closing, self._over = False, True

    @property
    def is_me(self) -> bool:
        """Whether the calling thread is the keeper's."""
        return threading.current_thread() is self._thread or self._inline

    def call(self) -> None:
        """See that it runs and looks."""
        with self._handover.lock:
            if self._thread is not None and (self._thread.is_alive() or self._inline):
                self._handover.lock.notify_all()
                return
            self._thread = threading.Thread(target=self._keep, name="otel-ext-keeper", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                self._inline = True
            else:
                return
        try:
            self._round()
        finally:
            self._thread, self._inline = None, False

    def flush(self, timeout: float) -> bool:
        """One attempt to bring all that was handed over to the disk; whether it is there in time."""
        handover = self._handover
        with handover.lock:
            if handover.engine is None and not handover.queue:
                return True
            self._wanted += 1
            ticket = self._wanted
        self.call()
        with handover.lock:
            handover.lock.wait_for(lambda: self._served >= ticket, timeout)
            return self._served >= ticket and self._synced

    def close(self, timeout: float) -> bool:
        """Hand over what waits, close the engine and end; whether all is saved, within `timeout` seconds."""
        handover = self._handover
        with handover.lock:
            if self._thread is None and handover.engine is None and not handover.queue:
                return True
            self._closing, self._over = True, False
        self.call()
        with handover.lock:
            handover.lock.wait_for(lambda: not self._closing, timeout)
            return self._over

    def _keep(self) -> None:
        # Our own database calls must not become spans of the program; the pipeline's thread inherits this.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        lock, me = self._handover.lock, threading.current_thread()
        while True:
            with lock:
                while not self._due():
                    lock.wait(self._nap())
            try:
                self._round()
            except Exception as error:  # noqa: BLE001 - it must go on
                warn("keeper", "the recorder's thread failed", error)
                self._try_at = _clock.monotonic() + _SECOND
            with lock:
                if self._thread is not me:
                    return

    def _due(self) -> bool:
        now = _clock.monotonic()
        waiting = bool(self._handover.queue) and now >= self._try_at
        return waiting or self._closing or self._wanted > self._served or now >= self._look_at

    def _nap(self) -> float:
        until = min(self._look_at, self._try_at) if self._handover.queue else self._look_at
        return max(0.001, (until - _clock.monotonic()) / _SECOND)

    def _round(self) -> None:
        handover, wanted = self._handover, self._wanted
        if handover.engine is None and handover.queue:
            self._open()
        drained, now = handover.drain(), _clock.monotonic()
        if drained:
            self._pause = _FIRST_PAUSE
        elif handover.engine is not None:
            self._try_at, self._pause = now + self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        self.tried.set()
        if wanted > self._served:
            synced = drained and self._sync()
            with handover.lock:
                self._served, self._synced = wanted, synced
                handover.lock.notify_all()
        if now >= self._look_at:
            self._look()
            # A program with thousands of open spans gets a twentieth of a core looked at, no more.
            self._look_at = _clock.monotonic() + max(_LOOK, 20 * (_clock.monotonic() - now))
        if self._closing:
            self._finish()

    def _open(self) -> None:
        with self.opening:
            try:
                self._handover.engine = self._open_engine()
            except Exception as error:  # noqa: BLE001 - a guest never raises
                again = "; it is tried again" if isinstance(error, DataFolderError) else ""
                warn("folder", f"spans wait in memory, the data folder cannot be used{again}", error)
                self._try_at = _clock.monotonic() + _FOLDER_AGAIN

    def _sync(self) -> bool:
        engine = self._handover.engine
        try:
            if engine is not None:
                engine.journal.sync()
        except Exception as error:  # noqa: BLE001 - a guest never raises
            warn("busy", "the journal cannot be flushed now", error)
            return False
        return True

    def _finish(self) -> None:
        handover, over = self._handover, True
        handover.drain()
        handover.drop_all("the process ends and the journal does not take them")
        engine = handover.detach()
        try:
            if engine is not None:
                over = engine.close(over=True)
        except Exception as error:  # noqa: BLE001 - a guest never raises
            over = False
            warn("close", "the engine could not be closed; the next process finishes its work", error)
        with handover.lock:
            self._over, self._closing, self._thread = over, False, None
            self.tried = threading.Event()
            handover.lock.notify_all()
