"""Every shape in which producers write an instant."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ext.timestamps import parse_instant

NS = 1_749_650_492_598_123_456
SHAPES = [
    (NS, NS, "integer"),
    (str(NS), NS, "integer"),
    (" 17 ", 17, "integer"),
    ("+17", 17, "integer"),
    (0, 0, "integer"),
    (0.0, 0, "integer"),
    (2**64 - 1, 2**64 - 1, "integer"),
    (1_749_650_492_598, 1_749_650_492_598, "integer"),
    (1749650492.598123, 1_749_650_492_598_123_000, "s"),
    ("1749650492.598123456", NS, "s"),
    (1749650492598.123, 1_749_650_492_598_123_000, "ms"),
    ("1749650492598123.456", NS, "us"),
    (1.7496504925981235e18, 1_749_650_492_598_123_500, "ns"),
    ("1.749650492598123456e18", NS, "ns"),
    ({"low": NS & 0xFFFFFFFF, "high": NS >> 32}, NS, "low_high"),
    ({"low": (NS & 0xFFFFFFFF) - 2**32, "high": NS >> 32, "unsigned": True}, NS, "low_high"),
    ({"low": -1, "high": -1}, 2**64 - 1, "low_high"),
    ([1_749_650_492, 598_123_456], NS, "seconds_nanos"),
    ({"seconds": "1749650492", "nanos": 598_123_456}, NS, "seconds_nanos"),
    ({"seconds": 1_749_650_492}, 1_749_650_492_000_000_000, "seconds_nanos"),
    ("2025-06-11T14:01:32.598123456Z", NS, "iso8601"),
    ("2025-06-11T14:01:32.598123456", NS, "iso8601"),
    ("2025-06-11 14:01:32.598123456+00:00", NS, "iso8601"),
    ("2025-06-11 14:01:32.598123456 UTC", NS, "iso8601"),
    ("2025-06-11t16:01:32,598123456+0200", NS, "iso8601"),
    ("2025-06-11T03:31:32.598123456-10:30", NS, "iso8601"),
    ("2025-06-11T16:01:32.598123456+02", NS, "iso8601"),
    ("2025-06-11T14:01:32.5Z", 1_749_650_492_500_000_000, "iso8601"),
    ("2025-06-11T14:01:32Z", 1_749_650_492_000_000_000, "iso8601"),
    ("2025-06-11T14:01:32.Z", 1_749_650_492_000_000_000, "iso8601"),
    ("2025-06-11T14:01", 1_749_650_460_000_000_000, "iso8601"),
    ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000, "iso8601"),
    ("1970-01-01T00:00:00Z", 0, "iso8601"),
]


@pytest.mark.parametrize(("value", "instant", "form"), SHAPES, ids=lambda value: repr(value)[:40])
def test_shapes(value: object, instant: int, form: str) -> None:
    """Each shape is read to the nanosecond, and its form is named."""
    assert parse_instant(value) == (instant, form)


UNREADABLE = [
    None,
    True,
    "",
    "now",
    "1,749",
    "1749650492.5s",
    "٣",
    -1,
    "-1",
    2**64,
    str(2**64),
    "9" * 5000,
    float("nan"),
    float("inf"),
    -1.5,
    12.5,
    "1e99",
    1e30,
    [],
    [1],
    [1, 2, 3],
    [1.5, 2],
    [1, 10**9],
    [1, -1],
    [-1, 0],
    {},
    {"low": 1},
    {"low": "1", "high": 2},
    {"seconds": "x"},
    {"seconds": 1, "nanos": "2"},
    "2025-13-01T00:00:00Z",
    "2025-02-30T00:00:00Z",
    "2025-06-11T24:00:00Z",
    "2025-06-11T14:01:32.1234567890Z",
    "2025-06-11",
    "1969-12-31T23:59:59Z",
    "PT1M48.75533S",
    b"17",
]


@pytest.mark.parametrize("value", UNREADABLE, ids=lambda value: repr(value)[:40])
def test_what_is_no_instant(value: object) -> None:
    """Anything else raises ValueError with words."""
    with pytest.raises(ValueError, match=r"."):
        parse_instant(value)


@given(st.integers(1_000_000_000, 99_999_999_999 // 6), st.integers(0, 999_999_999))
def test_all_shapes_agree(seconds: int, nanos: int) -> None:
    """One instant in every exact shape is one number."""
    instant = seconds * 10**9 + nanos
    assert parse_instant(f"{seconds}.{nanos:09d}")[0] == instant
    assert parse_instant([seconds, nanos])[0] == instant
    assert parse_instant({"low": instant & 0xFFFFFFFF, "high": instant >> 32})[0] == instant
    assert parse_instant(str(instant)) == (instant, "integer")


@given(st.datetimes(), st.integers(0, 999), st.sampled_from(["", "Z", "+00:00"]), st.sampled_from("T "))
def test_iso_agrees_with_the_standard_library(
    moment: dt.datetime, extra: int, zone: str, between: str
) -> None:
    """ISO text of any date is read as `datetime` reads it, down to the nanosecond."""
    text = f"{moment.isoformat(between, 'microseconds')}{extra:03d}{zone}"
    since = moment.replace(tzinfo=dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    expected = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000 + extra
    if 0 <= expected < 2**64:
        assert parse_instant(text) == (expected, "iso8601")
    else:
        with pytest.raises(ValueError, match=r"before 1970 or beyond"):
            parse_instant(text)


@given(
    st.text() | st.floats() | st.lists(st.integers(), max_size=3) | st.dictionaries(st.text(), st.integers())
)
def test_nothing_else_is_raised(value: object) -> None:
    """Any value is read, within 64 bits, or raises ValueError."""
    try:
        instant, form = parse_instant(value)
    except ValueError:
        return
    assert 0 <= instant < 2**64
    assert form
