"""A clock that moves only when it is told to.

Law of this file: wall time may be set to anything, in both directions; monotonic time only grows.
"""


class ManualClock:
    """A clock for tests; keeps the contract of `otel_ext.clock.Clock`. All values are ns."""

    def __init__(self, now: int = 1_700_000_000_000_000_000) -> None:
        self._now = now
        self._monotonic = 0

    def now(self) -> int:
        """Wall time in ns."""
        return self._now

    def monotonic(self) -> int:
        """Monotonic time in ns."""
        return self._monotonic

    def set(self, now: int) -> None:
        """Step the wall clock, as an administrator or NTP would."""
        self._now = now

    def advance(self, ns: int) -> None:
        """Let time pass on both clocks."""
        if ns < 0:
            raise ValueError("time does not pass backwards; use set() for a step of the wall clock")
        self._now += ns
        self._monotonic += ns
