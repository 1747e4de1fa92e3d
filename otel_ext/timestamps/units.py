"""How large a number of which unit an epoch instant can be.

Law of this file: the magnitude alone names the unit, because between 1973 and 5138 the four ranges do
not overlap: below 1e11 seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds.
Whether the instant is believable is the caller's question.
"""

from typing import Final

SECOND: Final = 1_000_000_000
"""Nanoseconds in a second; also the number below which a bare number is no epoch instant in any unit
(as seconds it lies before 2001-09-09; a monotonic clock gives such numbers)."""

_LIMITS: Final = ((10**11, "s", SECOND), (10**14, "ms", 10**6), (10**17, "us", 10**3))


def unit_of(number: int) -> tuple[str, int]:
    """The unit of a bare epoch instant by its magnitude, and how many ns it has."""
    for limit, unit, factor in _LIMITS:
        if number < limit:
            return unit, factor
    return "ns", 1
