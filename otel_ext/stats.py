"""Counters that anybody may read and only their owner writes.

Law of this file: a name is a dotted standard term, written once here or where it is counted; a counter
only grows. The ledger (received, stored, duplicate, rejected, lost) is not here: it lives in the
catalog's transaction, because it must survive with the data it speaks of.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence


class Stats:
    """Process-local counters by name. Adding is a plain dict operation under the GIL."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str, amount: int = 1) -> None:
        """Count `amount` more of `name`."""
        self._counts[name] += amount

    def get(self, name: str) -> int:
        """The count so far; 0 when never counted."""
        return self._counts[name]

    def snapshot(self) -> Mapping[str, int]:
        """A copy of all counts."""
        return dict(self._counts)


class Histogram:
    """How long something took, by bucket; one thread at a time adds, anybody reads.

    Args:
        bounds: upper bounds in seconds, ascending; one bucket more takes what is beyond the last.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; a bound belongs to the bucket below it."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
