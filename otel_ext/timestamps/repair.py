"""Mending the times of a span whose producer used another unit.

Law of this file: a time is changed only when exactly one unit makes it believable, and its original stays
beside it; every doubt is flagged. Repairing what was repaired changes nothing more. Start and end are
judged together, against the time of receipt.

Believable: from 2000-01-01 (old data may be replayed) to one day after receipt (clocks differ).
"""

from dataclasses import dataclass
from typing import Final

from otel_ext.span import Value
from otel_ext.timestamps.units import SECOND, unit_of

ORIGINAL_START: Final = "otel_ext.timestamp.original.start"
ORIGINAL_END: Final = "otel_ext.timestamp.original.end"
UNIT_START: Final = "otel_ext.timestamp.unit.start"
UNIT_END: Final = "otel_ext.timestamp.unit.end"
FLAGS: Final = "otel_ext.timestamp.flags"

START_MISSING: Final = "start_missing"
END_MISSING: Final = "end_missing"
UNKNOWN_UNIT: Final = "unknown_unit"
"""No unit makes the number believable (a monotonic clock, the nanosecond part alone): set to 0."""
FUTURE: Final = "future"
PAST: Final = "past"
END_BEFORE_START: Final = "end_before_start"

_OLDEST: Final = 946_684_800 * SECOND
"""2000-01-01 UTC."""
_AHEAD: Final = 86_400 * SECOND
_UNBOUNDED: Final = 2**64


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a span's times.

    Attributes:
        start: ns since the epoch; 0 when unknown.
        end: ns since the epoch; 0 when unknown.
        marks: the `otel_ext.timestamp.*` attributes to put on the span.
        duration_known: whether `end - start` means anything.
    """

    start: int
    end: int
    marks: tuple[tuple[str, Value], ...]
    duration_known: bool


def ordinary(received: int) -> tuple[int, int]:
    """The first and the last ns that are believable in what was received at `received` (see `repair`).

    Where `first <= start <= end <= last` there is nothing to repair.
    """
    return _OLDEST, received + _AHEAD if received > 0 else _UNBOUNDED


def repair(start: int, end: int, received: int) -> Repair | None:
    """Judge a span's times, meant to be ns since the epoch.

    Args:
        start: the span's start as sent, 0 when missing.
        end: the span's end as sent, 0 when missing.
        received: ns since the epoch when the span was received; 0 or less when that is not known, and
            then nothing counts as future.

    Returns:
        None when both are ordinary; otherwise the new values and the marks.
    """
    oldest, latest = ordinary(received)
    if oldest <= start <= end <= latest:
        return None
    new_start, start_unit, start_flag = _judge(start, latest, START_MISSING)
    new_end, end_unit, end_flag = _judge(end, latest, END_MISSING)
    marks: list[tuple[str, Value]] = []
    if start_unit:
        marks += ((ORIGINAL_START, str(start)), (UNIT_START, start_unit))
    if end_unit:
        marks += ((ORIGINAL_END, str(end)), (UNIT_END, end_unit))
    flags = list(dict.fromkeys(flag for flag in (start_flag, end_flag) if flag))
    if new_start and 0 < new_end < new_start:
        flags.append(END_BEFORE_START)
    if flags:
        marks.append((FLAGS, flags))
    return Repair(new_start, new_end, tuple(marks), duration_known=not flags)


def _judge(time: int, latest: int, missing: str) -> tuple[int, str, str]:
    """One time: its new value, the unit it was changed from ("" when not changed), and its flag."""
    if time <= 0:
        return 0, "", missing
    unit, factor = unit_of(time)
    if unit == "ns":
        return time, "", FUTURE if time > latest else PAST if time < _OLDEST else ""
    if time >= SECOND and _OLDEST <= time * factor <= latest:
        return time * factor, unit, ""
    return 0, "unknown", UNKNOWN_UNIT
