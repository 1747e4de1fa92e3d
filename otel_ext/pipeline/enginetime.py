"""Engine time: never decreasing, and at the pace of real time whatever the wall clock does.

Law of this file: within a process engine time follows the monotonic clock alone, so a step of the wall
clock, an hour ahead or back, neither ends a session nor keeps it open: only real silence does. The wall
clock is asked once, at the start: time in which no process ran counts as far as it has moved since the
journal's last record, and where it says less than that record, engine time goes on from the record.
"""

import threading

from otel_ext.clock import Clock


class EngineTime:
    """Gives the engine time of new records; used by many threads.

    Args:
        start: ns, the engine time of the journal's last record.
    """

    def __init__(self, clock: Clock, start: int) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last, self._at = max(start, clock.now()), clock.monotonic()

    def now(self) -> int:
        """Engine time in ns."""
        with self._lock:
            monotonic = self._clock.monotonic()
            self._last += monotonic - self._at
            self._at = monotonic
            return self._last
