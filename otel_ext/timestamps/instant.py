"""Reading an instant in the shapes that producers write in JSON.

Law of this file: an instant that is exact in the text is exact in the result; numbers with a fraction go
through decimal arithmetic, never through a float's. Whole numbers are passed on unchanged whatever their
unit seems to be, because start and end are judged together later (`repair`).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from otel_ext.timestamps.units import SECOND, unit_of

_MOST: Final = 2**64 - 1
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_INTEGER: Final = re.compile(r"\+?[0-9]{1,24}", re.ASCII)
_DECIMAL: Final = re.compile(r"\+?[0-9]{1,24}(\.[0-9]{0,24})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{0,9}))?)?"
    r" ?(?:[Zz]|UTC|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?",
    re.ASCII,
)


def parse_instant(value: object) -> tuple[int, str]:
    """The instant that a decoded JSON value means.

    Args:
        value: a whole number or its decimal string (passed on unchanged: form "integer"); a number or
            string with fraction or exponent (unit by magnitude: form "s", "ms", "us" or "ns"); 32-bit
            halves `{"low", "high"}`, either possibly negative ("low_high"); `{"seconds", "nanos"}` or
            `[seconds, nanoseconds]` ("seconds_nanos"); ISO-8601 with 0-9 fraction digits, `T` or space,
            `Z`, an offset, or none, which means UTC ("iso8601").

    Returns:
        ns since the epoch (from 0 to 2**64 - 1), and the name of the form.

    Raises:
        ValueError: the value is none of these; the text says what it is.
    """
    match value:
        case bool() | None:
            pass
        case int():
            return _within(value), "integer"
        case float():
            return _fraction(repr(value))
        case str():
            return _text(value.strip())
        case Mapping():
            return _mapping(value)
        case [int(seconds), int(nanos)]:
            return _seconds(seconds, nanos), "seconds_nanos"
        case Sequence():
            raise ValueError(f"an array of {len(value)} that is not [seconds, nanoseconds]")
    raise ValueError(f"{value!r} is not an instant")


def _text(text: str) -> tuple[int, str]:
    if _INTEGER.fullmatch(text):
        return _within(int(text)), "integer"
    if _DECIMAL.fullmatch(text):
        return _fraction(text)
    if match := _ISO.fullmatch(text):
        return _iso(match), "iso8601"
    raise ValueError(f"{text[:40]!r} is neither a number nor an ISO-8601 instant")


def _fraction(text: str) -> tuple[int, str]:
    if not _DECIMAL.fullmatch(text):  # negative, NaN, Infinity
        raise ValueError(f"{text} is not an instant")
    number = Decimal(text)
    if not number:
        return 0, "integer"
    if not SECOND <= number <= _MOST:
        raise ValueError(f"{text} is no epoch instant in any unit")
    unit, factor = unit_of(int(number))
    return _within(int(number * factor)), unit


def _mapping(value: Mapping[object, object]) -> tuple[int, str]:
    match value:
        case {"low": int(low), "high": int(high)}:
            return (high & 0xFFFFFFFF) << 32 | low & 0xFFFFFFFF, "low_high"
        case {"seconds": int() | str() as seconds}:
            nanos = value.get("nanos", 0)
            if isinstance(nanos, int):
                return _seconds(int(seconds), nanos), "seconds_nanos"
    raise ValueError("an object that is neither {low, high} nor {seconds, nanos}")


def _seconds(seconds: int, nanos: int) -> int:
    if not 0 <= nanos < SECOND:
        raise ValueError(f"{nanos} nanoseconds are not within a second")
    return _within(seconds * SECOND + nanos)


def _iso(match: re.Match[str]) -> int:
    year, month, day, hour, minute = map(int, match.group(1, 2, 3, 4, 5))
    second = int(match[6] or 0)
    # 60 is a leap second, which counts on into the next minute as in POSIX time.
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"{match[0]} has an hour, minute or second out of range")
    days = date(year, month, day).toordinal() - _EPOCH_DAY
    total = days * 86_400 + hour * 3600 + minute * 60 + second
    if match["sign"]:
        offset = int(match["hours"]) * 3600 + int(match["minutes"] or 0) * 60
        total += -offset if match["sign"] == "+" else offset
    return _within(total * SECOND + int((match[7] or "").ljust(9, "0")))


def _within(instant: int) -> int:
    if not 0 <= instant <= _MOST:
        raise ValueError(f"{instant} ns is before 1970 or beyond 64 bits")
    return instant
