"""Engine time: never decreasing, and never standing still while the machine runs.

Law of this file: engine time follows the wall clock; where that stepped back, or a replay had recorded
later times, it goes on from where it was at the pace of the monotonic clock.
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
        self._last, self._at = start, clock.monotonic()

    def now(self) -> int:
        """Engine time in ns."""
        with self._lock:
            monotonic = self._clock.monotonic()
            self._last = max(self._clock.now(), self._last + monotonic - self._at)
            self._at = monotonic
            return self._last
