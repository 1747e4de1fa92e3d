"""The one door to time. Nothing else in the package calls `time.*` for a decision.

All instants are integers of nanoseconds since 1970-01-01 UTC; a float never holds an instant.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What the engine asks of time."""

    def now(self) -> int:
        """Wall time in ns; may step in both directions."""
        ...

    def monotonic(self) -> int:
        """A never-decreasing count of ns, for durations and time-outs only."""
        ...


class SystemClock:
    """The machine's own clocks, with nothing in between: some are asked several times for each span."""

    now = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic_ns)
