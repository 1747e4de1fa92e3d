"""Others first: when the pipeline's thread rests.

Law of this file: nobody is acknowledged later because of work that can wait, and that work does not wait
for ever. A thread that computes keeps Python's interpreter lock for a switch interval (5 ms unless told
otherwise) whenever another one lets go of it, which a request does some ten times and a guest's program all
the time. So the pipeline rests while requests are being made durable, for no longer than a few times what
it has worked and for less the more waits to be processed; in somebody else's process it takes a breath
every now and then.
"""

import threading
from collections.abc import Callable
from typing import Final

from otel_ext.clock import Clock
from otel_ext.journal import Journal
from otel_ext.pipeline.settings import EngineSettings

_WORK: Final = 2_000_000
"""ns of work between two looks for requests: what a short rest costs must not matter."""
_NAP: Final = 0.001
"""Seconds in which no request is inside and none was appended: there is none about."""
_PIECE: Final = 200_000
"""ns of work between two breaths."""


class GiveWay:
    """Rests of the pipeline's thread.

    Args:
        journal: tells that a request has been appended.
        pressing: how much requests inside ask for, from 0 (there are none, or enough waits) to 1.
        stop: set when there is no more time for rests.
    """

    def __init__(
        self,
        journal: Journal,
        settings: EngineSettings,
        pressing: Callable[[], float],
        *,
        clock: Clock,
        stop: threading.Event,
    ) -> None:
        self._journal, self._pressing, self._clock, self._stop = journal, pressing, clock, stop
        self._most, self._breath = settings.give_way, settings.breath
        self.begin()

    def begin(self) -> None:
        """Work begins."""
        self._began = self._clock.monotonic()

    def rest(self) -> None:
        """Between two pieces of work: rest, if others are waiting."""
        now = self._clock.monotonic()
        worked = now - self._began
        if self._breath and worked >= _PIECE:
            self._stop.wait(self._breath)
            self.begin()
        elif self._most and worked >= _WORK:
            self._rest(now, worked)
            self.begin()

    def _rest(self, now: int, worked: int) -> None:
        if not (pressing := self._pressing()):
            return
        end = now + worked * self._most * pressing
        while self._clock.monotonic() < end and not self._stop.is_set():
            before = self._journal.readable_end
            self._stop.wait(_NAP)
            if not self._pressing() and self._journal.readable_end == before:
                return
