"""Figures as rows: for a terminal, and as Markdown for a page. Pure.

Law of this file: a figure that is not known is a dash, never a zero.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from otel_ext.bench.figures import Change, Middle
from otel_ext.bench.session import Session

Row = dict[str, Middle | None]
_MIB: Final = 1 << 20


def _number(digits: int, factor: float = 1.0) -> Callable[[Middle | None], str]:
    return lambda value: "-" if value is None else f"{value.median * factor:,.{digits}f}"


COLUMNS: Final[dict[str, tuple[str, Callable[[Middle | None], str]]]] = {
    "acknowledged": ("acked/s", _number(0)),
    "processed": ("processed/s", _number(0)),
    "cpu_100k": ("CPU s/100k", _number(2)),
    "cpu_gb": ("CPU s/GB", _number(1)),
    "peak": ("peak MiB", _number(0, 1 / _MIB)),
    "written": ("written/received", _number(2)),
    "p50": ("p50 ms", _number(1)),
    "p99": ("p99 ms", _number(1)),
    "fsync_p99": ("fsync p99 ms", _number(1)),
}
"""Figure, title, how it is written."""

HEADER: Final = ("case", "server", *(title for title, _ in COLUMNS.values()), "±", "")


def rows(session: Session, cases: Sequence[str] | None = None) -> list[list[str]]:
    """A row for each server under each case; ± is half the range of the acknowledged rate over its runs."""
    figures = session.figures()
    names = cases if cases is not None else list(dict.fromkeys(run.case for run in session.runs))
    found = []
    for case in names:
        for server, known in figures.items():
            if (row := known.get(case)) is None:
                continue
            rate = row["acknowledged"]
            spread = f"{rate.spread:.0%}" if rate is not None else "-"
            cells = [write(row.get(figure)) for figure, (_, write) in COLUMNS.items()]
            found.append([case, server, *cells, spread, session.marks(server, case)])
    return found


def markdown(
    header: Sequence[str], body: Sequence[Sequence[str]], left: Collection[int] = frozenset({0, 1})
) -> str:
    """A Markdown table; columns but those in `left`, which hold text, are aligned to the right."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in body]
    rule = "|".join("---" if at in left else "---:" for at in range(len(header)))
    lines = [" | ".join(header), rule]
    return "\n".join(f"| {line} |" if at != 1 else f"|{line}|" for at, line in enumerate(lines)) + "".join(
        "\n| " + " | ".join(row) + " |" for row in escaped
    )


def told(case: str, change: Change) -> str:
    """One line of what became of a figure."""
    if change.part is None:
        return f"{'?':>6}  {case}: {change.figure} cannot be compared"
    mark = {"worse": "WORSE", "better": "better"}.get(change.verdict, "")
    return (
        f"{mark:>6}  {case}: {change.figure} {change.before:,.6g} -> {change.after:,.6g} ({change.part:+.1%})"
    )
