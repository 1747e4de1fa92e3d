"""Percentiles, medians, and what is a regression. Pure.

Law of this file: a change is flagged only where both sides are known, the old one is not zero, and the change
is more than the runs themselves differ from one another.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

WORSE: Final = 0.10
"""A loss of more than this part is a regression."""

BETTER: Final = 0.05
"""A gain of more than this part is an improvement."""

HIGHER: Final = ("acknowledged", "processed")
"""Figures of which more is better."""

LOWER: Final = (
    *("cpu_100k", "cpu_gb", "peak", "written", "p50", "p99"),
    *("start", "call_p50", "call_p99", "call_cpu", "idle"),
)
"""Figures of which less is better."""

Verdict: TypeAlias = Literal["worse", "better", "same", "unknown"]


def cut(values: Sequence[float], part: float) -> float:
    """The smallest of the sorted `values` that at least `part` of them do not exceed (nearest rank).

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("no values")
    return values[max(0, math.ceil(part * len(values)) - 1)]


class Middle(msgspec.Struct, frozen=True):
    """The median of several runs, the lowest and the highest."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half of the range, as a part of the median; 0 where that is 0."""
        return (self.high - self.low) / 2 / abs(self.median) if self.median else 0.0


def middle(values: Iterable[float | None]) -> Middle | None:
    """Of the values that are known; None when none is."""
    known = [value for value in values if value is not None]
    return Middle(statistics.median(known), min(known), max(known)) if known else None


class Change(msgspec.Struct, frozen=True):
    """What became of one figure; `part` is positive where it grew, None where it cannot be said."""

    figure: str
    before: float | None
    after: float | None
    part: float | None
    verdict: Verdict


def compare(figure: str, before: Middle | None, after: Middle | None) -> Change:
    """Judge one figure; unknown where a side is missing or the old median is zero or not a number."""
    old, new = before.median if before else None, after.median if after else None
    if old is None or new is None or not math.isfinite(old) or not math.isfinite(new) or old <= 0:
        return Change(figure, old, new, None, "unknown")
    assert before is not None
    assert after is not None
    part = new / old - 1
    gain = part if figure in HIGHER else -part
    # Ranges that overlap are noise, however far their medians are apart.
    apart = after.low > before.high or after.high < before.low
    if gain < -WORSE and apart:
        return Change(figure, old, new, part, "worse")
    if gain > BETTER and apart:
        return Change(figure, old, new, part, "better")
    return Change(figure, old, new, part, "same")


def regressions(
    before: Mapping[str, Mapping[str, Middle | None]], after: Mapping[str, Mapping[str, Middle | None]]
) -> list[tuple[str, Change]]:
    """Every judged figure of the cases that both hold, by case."""
    return [
        (case, compare(figure, before[case].get(figure), figures.get(figure)))
        for case, figures in after.items()
        if case in before
        for figure in (*HIGHER, *LOWER)
        if figures.get(figure) is not None or before[case].get(figure) is not None
    ]
