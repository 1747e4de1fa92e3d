"""Judging the start and end of a span together."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from otel_ext.span import Value
from otel_ext.timestamps import FLAGS, ORIGINAL_END, ORIGINAL_START, UNIT_END, UNIT_START, Repair, repair

NOW = 1_763_700_000_000_000_000
START = 1_749_650_492_598_123_456
END = START + 5_000_000_000
DAY = 86_400 * 10**9
Y2000 = 946_684_800 * 10**9
MOST = 2**64 - 1


MS, US, S = START // 10**6, START // 10**3, START // 10**9
MS_NS, US_NS, S_NS = MS * 10**6, US * 10**3, S * 10**9
UP = 50 * 10**9
OLD_MS = Y2000 // 10**6 - 1

ORDINARY = {
    "usual": (START, END),
    "no duration": (START, START),
    "replayed from 2000": (Y2000, Y2000 + 1),
    "clock a day ahead": (NOW, NOW + DAY),
}

# Sent start and end; start and end afterwards; units changed from; flags.
DOUBTFUL: dict[str, tuple[int, int, int, int, str, str, list[str]]] = {
    "milliseconds": (MS, MS + 5, MS_NS, MS_NS + 5 * 10**6, "ms", "ms", []),
    "microseconds": (US, US + 5, US_NS, US_NS + 5000, "us", "us", []),
    "seconds": (S, S + 5, S_NS, S_NS + 5 * 10**9, "s", "s", []),
    "only the start in ms": (MS, END, MS_NS, END, "ms", "", []),
    "only the end in ms": (START, MS + 5, START, MS_NS + 5 * 10**6, "", "ms", []),
    "both missing": (0, 0, 0, 0, "", "", ["start_missing", "end_missing"]),
    "unfinished": (START, 0, START, 0, "", "", ["end_missing"]),
    "unfinished, in ms": (MS, 0, MS_NS, 0, "ms", "", ["end_missing"]),
    "no start": (0, END, 0, END, "", "", ["start_missing"]),
    "backwards": (END, START, END, START, "", "", ["end_before_start"]),
    "backwards in ms": (MS + 5, MS, MS_NS + 5 * 10**6, MS_NS, "ms", "ms", ["end_before_start"]),
    "end never": (START, MOST, START, MOST, "", "", ["future"]),
    "far future": (NOW + DAY + 1, NOW + DAY + 2, NOW + DAY + 1, NOW + DAY + 2, "", "", ["future"]),
    "1999": (Y2000 - 2, Y2000 - 1, Y2000 - 2, Y2000 - 1, "", "", ["past"]),
    "1999 in ms": (OLD_MS, END, 0, END, "unknown", "", ["unknown_unit"]),
    "monotonic seconds": (5000, 5001, 0, 0, "unknown", "unknown", ["unknown_unit"]),
    "monotonic ns, 50 s": (UP, UP + 1, 0, 0, "unknown", "unknown", ["unknown_unit"]),
    "nanosecond part alone": (598_123_456, END, 0, END, "unknown", "", ["unknown_unit"]),
}


@pytest.mark.parametrize(("start", "end"), ORDINARY.values(), ids=ORDINARY)
def test_ordinary_times(start: int, end: int) -> None:
    """An ordinary span is left alone."""
    assert repair(start, end, NOW) is None


@pytest.mark.parametrize("case", DOUBTFUL)
def test_doubtful_times(case: str) -> None:
    """Each known mistake is mended or flagged, with its original beside it; nothing is swapped."""
    start, end, new_start, new_end, start_unit, end_unit, flags = DOUBTFUL[case]
    marks: list[tuple[str, Value]] = []
    if start_unit:
        marks += [(ORIGINAL_START, str(start)), (UNIT_START, start_unit)]
    if end_unit:
        marks += [(ORIGINAL_END, str(end)), (UNIT_END, end_unit)]
    if flags:
        marks += [(FLAGS, flags)]
    expected = Repair(new_start, new_end, tuple(marks), duration_known=not flags)
    assert repair(start, end, NOW) == expected


def test_an_unknown_time_of_receipt() -> None:
    """Without a time of receipt nothing counts as future."""
    assert repair(START, MOST, 0) is None
    assert repair(NOW // 10**6, 0, 0) is not None


_ordinary = st.integers(Y2000 // 10**9, NOW // 10**9)


@given(_ordinary, st.integers(0, 10**6), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_all_units_come_to_the_same(second: int, lasting: int, divisor: int) -> None:
    """A span of whole seconds sent in any unit has the same times in the end."""
    start, end = second * 10**9, (second + lasting) * 10**9
    assume(end <= NOW + DAY and second >= 10**9)
    mended = repair(start // divisor, end // divisor, NOW)
    assert (start, end) == ((mended.start, mended.end) if mended else (start // divisor, end // divisor))
    assert (mended is None) == (divisor == 1)


_any = (
    st.integers(0, MOST)
    | _ordinary
    | st.integers(0, 10**18)
    | st.sampled_from([0, START, END, MS, US, S, MOST])
)


@given(_any, _any, st.sampled_from([NOW, 0, END]))
def test_repairing_twice_changes_nothing_more(start: int, end: int, received: int) -> None:
    """A repaired span, judged again, keeps its times and gets no unit."""
    once = repair(start, end, received)
    if once is None:
        return
    twice = repair(once.start, once.end, received)
    if twice is not None:
        assert (twice.start, twice.end) == (once.start, once.end)
        assert [name for name, _ in twice.marks] in ([], [FLAGS])


@given(_any, _any)
def test_nothing_is_lost(start: int, end: int) -> None:
    """A changed time has its original and unit on the span; an unchanged one has neither."""
    mended = repair(start, end, NOW)
    if mended is None:
        return
    marks = dict(mended.marks)
    for sent, now, original, unit in (
        (start, mended.start, ORIGINAL_START, UNIT_START),
        (end, mended.end, ORIGINAL_END, UNIT_END),
    ):
        assert marks.get(original) == (None if sent == now else str(sent))
        assert (unit in marks) == (sent != now)
    assert mended.duration_known == (FLAGS not in marks)
    assert marks
    if mended.duration_known:
        assert 0 < mended.start <= mended.end
