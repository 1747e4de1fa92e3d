"""Counters that anybody may read and only their owner writes.

Law of this file: a name is a dotted standard term, written once here or where it is counted; a counter
only grows. The ledger (received, stored, duplicate, rejected, lost) is not here: it lives in the
catalog's transaction, because it must survive with the data it speaks of.
"""

from collections import Counter
from collections.abc import Mapping


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
