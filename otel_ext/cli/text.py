"""Text for people: hostile strings made harmless, numbers and times made short, rows made a table."""

import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime


def clean(text: str, most: int = 80) -> str:
    """`text` on one line, without control, format or private characters, at most `most` long."""
    safe = "".join(c if unicodedata.category(c)[0] != "C" else f"\\x{ord(c):02x}" for c in text[: most + 1])
    return safe if len(safe) <= most else safe[: most - 1] + "…"


def wrapped(text: str, indent: int) -> str:
    """`text` on lines no wider than the terminal (120 columns where there is none), each indented."""
    width = max(40, shutil.get_terminal_size((120, 24)).columns)
    margin = " " * indent
    return textwrap.fill(text, width, initial_indent=margin, subsequent_indent=margin)


def instant(ns: int) -> str:
    """A UTC time to the millisecond, or a dash when unknown."""
    if ns <= 0:
        return "-"
    try:
        moment = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{ns} ns"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ns // 1_000_000 % 1000:03d}"


def duration(start: int, end: int) -> str:
    """The time between two instants, in the unit a person would use; a dash when unknown."""
    if start <= 0 or end < start:
        return "-"
    seconds = (end - start) / 1e9
    if seconds < 1:
        return f"{seconds * 1000:.{1 if seconds < 0.01 else 0}f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def brief(count: int) -> str:
    """A count in at most five characters: exact below 10,000, then in thousands, millions, ..."""
    if count < 10_000:
        return f"{count:,}"
    amount, units = count / 1000, iter("kMGTPE")
    unit = next(units)
    while amount >= 999.5:
        amount, unit = amount / 1000, next(units, unit)
    return f"{amount:.1f}{unit}" if amount < 99.95 else f"{amount:.0f}{unit}"


def tokens(given: int, produced: int) -> str:
    """Tokens in and out, or nothing when none were reported."""
    return f"{given:,} in / {produced:,} out" if given or produced else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Columns padded to their widest cell; those in `right` are aligned to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = (
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
