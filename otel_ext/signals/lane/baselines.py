"""What is usual: the newest measurements of each agent and each model, beyond one trace.

Law of this file: bounded in keys and in measurements a key, and what is usual is a median and the median
distance from it, so that neither a few outliers nor one bad hour move it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

KEPT: Final = 64
"""Measurements of one key that are kept."""

ANEW: Final = 4
"""After so many measurements the median is taken anew: a sort is dear on the way of every model call."""


MOST: Final = 1 << 62
"""A larger measurement (a span may end at 2^64 - 1) could not be dumped."""


class Baseline(msgspec.Struct, gc=False):
    """The newest measurements of one thing, oldest first.

    Attributes:
        order: rank in the order of use.
        values: the newest as of the last fourth measurement, and those that came after it.
        count: measurements so far.
        usual: median, as of the last fourth measurement.
    """

    key: str
    order: int = 0
    values: list[int] = []
    count: int = 0
    usual: int = 0

    def add(self, value: int) -> None:
        """Take in one measurement."""
        self.values.append(min(value, MOST))
        self.count += 1
        if self.count % ANEW == 0:
            del self.values[:-KEPT]
            self.usual = median(self.values)

    @property
    def known(self) -> int:
        """Measurements that are kept, without those that only wait to be forgotten."""
        return min(self.count, KEPT)

    @property
    def spread(self) -> int:
        """The median distance from what is usual, of the same measurements; only a slow call asks for it."""
        judged = self.values[: len(self.values) - self.count % ANEW]
        return median([abs(value - self.usual) for value in judged])


def median(values: list[int]) -> int:
    """The lower median; 0 of nothing."""
    return sorted(values)[(len(values) - 1) // 2] if values else 0


class Baselines:
    """All of them, least recently used first.

    Args:
        most: keys that are kept.
        changed: told of each that changed or, with None, went.
    """

    def __init__(self, most: int, changed: Callable[[str, Baseline | None], None]) -> None:
        self._most, self._changed = most, changed
        self._held: dict[str, Baseline] = {}
        self._order = 0

    def add(self, key: str, value: int) -> None:
        """Take in a measurement of a thing."""
        one = self._held.pop(key, None) or Baseline(key)
        one.add(value)
        self._order += 1
        one.order = self._order
        self._held[key] = one
        self._changed(key, one)
        if len(self._held) > self._most:
            oldest = next(iter(self._held))
            del self._held[oldest]
            self._changed(oldest, None)

    def get(self, key: str) -> Baseline | None:
        """What is known of a thing; not a use of it."""
        return self._held.get(key)

    def load(self, held: list[Baseline]) -> None:
        """Take over what was dumped."""
        for one in sorted(held, key=lambda one: one.order):
            self._held[one.key] = one
            self._order = max(self._order, one.order)
