"""Writes the tables of `docs/performance.md` between their markers, and the plots beside it.

Law of this file: prose is written by hand, figures never are. Markers without figures keep what they hold.
"""

import math
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from otel_ext.bench.baseline import REFERENCE, Baseline
from otel_ext.bench.cases import BATCH, shown, suites
from otel_ext.bench.figures import Middle
from otel_ext.bench.tables import COLUMNS, markdown
from tests.bench import svg
from tests.bench.goals import BASE, END, HTTP, JSON, LARGE, OURS, goals
from tests.support import ROOT

PAGE = ROOT / "docs/performance.md"
PLOTS = ROOT / "docs/plots"

_DWARFS = 20
"""A bar so many times as long as ours would leave nothing to see of the others; it is told in words."""


def _cell(value: Middle | None, digits: int = 1, factor: float = 1.0) -> str:
    return "-" if value is None else f"{value.median * factor:,.{digits}f}"


def _mark(kept: Baseline, server: str, case: str) -> str:
    """What to know of a row, as its table has it; "" where there is nothing."""
    mark = kept.marks.get(f"{server}: {case}")
    return f" ({mark})" if mark else ""


def _table(kept: Baseline, cases: Sequence[str], only: Collection[str] | None = None) -> str:
    rows = []
    for case in cases:
        for server, known in kept.figures.items():
            row = known.get(case)
            if row is None or "acknowledged" not in row or (only and server not in only):
                continue
            rate = row["acknowledged"]
            cells = [write(row.get(figure)) for figure, (_, write) in COLUMNS.items()]
            spread = f"{rate.spread:.0%}" if rate is not None else "-"
            rows.append([case, server, *cells, spread, kept.marks.get(f"{server}: {case}", "")])
    header = ("case", "server", *(title for title, _ in COLUMNS.values()), "±", "mark")
    return markdown(header, rows) if rows else ""


def sections(kept: Baseline) -> dict[str, str]:
    """What goes between each pair of markers; "" where nothing was measured."""
    by_suite: dict[str, list[str]] = {}
    for quick in (False, True):
        for name, members in suites(quick).items():
            by_suite.setdefault(name, []).extend(
                case.name for case in members if case.name not in by_suite.get(name, [])
            )
    rivals = [BASE, HTTP, LARGE, LARGE.replace("grpc", "http")]
    found = {"rivals": _table(kept, rivals)}
    for name, cases in by_suite.items():
        found[name] = _table(
            kept, cases, {"sync": {OURS, REFERENCE}, "work": {OURS, REFERENCE, JSON}}.get(name)
        )
    machine = kept.machine
    found["machine"] = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_mib'] / 1024:.0f} GiB; kernel "
        f"{machine['kernel']}, Python {machine['python']}; commit `{machine['commit']}`; medians of "
        f"{machine.get('runs', '?')} runs."
    )
    judged = [
        [
            goal.what,
            goal.bound,
            "-" if goal.value is None else f"{goal.value:,.3g}",
            {True: "yes", False: "**no**", None: "not measured"}[goal.met],
            goal.mark,
        ]
        for goal in goals(kept.figures, kept.marks)
    ]
    found["goals"] = markdown(("what", "aim", "measured", "met", "mark"), judged, {0, 1, 3, 4})
    ends = [
        [
            server,
            *(
                _cell(row.get(name))
                for name in ("call_p50", "call_p99", "burst_p50", "burst_p99", "call_cpu")
            ),
            _cell(row.get("idle"), 2, 100) + " %",
        ]
        for server, cases in kept.figures.items()
        if (row := cases.get(END)) is not None
    ]
    ended = (
        "processor",
        "p50 µs",
        "p99 µs",
        "burst p50",
        "burst p99",
        "all CPU µs a span",
        "idle, of a core",
    )
    found["inprocess"] = markdown(ended, ends, {0}) if ends else ""
    begins = [[name, _cell(row.get("start"), 0, 1000)] for name, row in kept.figures.get("start", {}).items()]
    found["starts"] = markdown(("what", "ms"), begins, {0}) if begins else ""
    restarts = [
        [case, _cell(row.get("journal"), 0), _cell(row.get("start"), 2), _cell(row.get("first"), 2)]
        for case, row in kept.figures.get(OURS, {}).items()
        if case.startswith("restart")
    ]
    titles = ("case", "journal MiB", "ready s", "first acknowledgement s")
    found["restart"] = markdown(titles, restarts, {0}) if restarts else ""
    return found


def between(text: str, name: str, new: str) -> str:
    """`text` with what stands between the markers of a name replaced.

    Raises:
        ValueError: there are no such markers.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no markers of {name!r}")
    return pattern.sub(lambda found: f"{found[1]}{new}\n{found[2]}", text)


def plots(kept: Baseline) -> dict[str, str]:
    """Every plot that there are figures for, by file name."""
    found = {}
    for name, case, figure, title, unit in (
        ("acknowledged-grpc", BASE, "acknowledged", "acknowledged, 600 B spans, gRPC, 8 clients", "spans/s"),
        ("acknowledged-http", HTTP, "acknowledged", "acknowledged, 600 B spans, HTTP, 8 clients", "spans/s"),
        ("cpu-grpc", BASE, "cpu_100k", "server CPU for 100,000 spans of 600 B, until processed", "s"),
        ("cpu-large", LARGE, "cpu_gb", "server CPU for a GB of 20 kB spans, until processed", "s"),
    ):
        rows = [
            (server + _mark(kept, server, case), value.median)
            for server, cases in kept.figures.items()
            if (value := cases.get(case, {}).get(figure)) is not None
        ]
        top = _DWARFS * dict(rows).get(OURS, math.inf)
        dwarfing = [row for row in rows if figure != "acknowledged" and row[1] > top]
        note = ", ".join(f"{who} {svg.short(value)} {unit}" for who, value in dwarfing)
        if len(rows) > 1:
            seen = [row for row in rows if row not in dwarfing]
            found[f"{name}.svg"] = svg.bars(title, seen, unit, note and f"too long to show: {note}")
    ours = kept.figures.get(OURS, {})
    sizes = [(float(size), f"{shown(size)}, grpc, 4 clients") for size in BATCH]
    counts = [10**power for power in range(1, 7)]
    for name, cases, across in (
        ("sessions", [(float(n), f"{BASE}, {n} sessions") for n in counts], "sessions"),
        (
            "depth",
            [(float(n), f"600 B, grpc, 1 client, {n} spans a session") for n in counts],
            "spans a session",
        ),
        ("attributes", sizes, "bytes of a span"),
    ):
        for figure, unit, factor in (
            ("cpu_gb", "CPU seconds a GB", 1.0),
            ("peak", "peak memory in MiB", 1 / (1 << 20)),
        ):
            points = [
                (x, value.median * factor)
                for x, case in cases
                if (value := ours.get(case, {}).get(figure)) is not None
            ]
            if len(points) > 1:
                title = f"{OURS}: {unit}, by {across}"
                found[f"{name}-{figure}.svg"] = svg.lines(title, points, across, unit)
    restarts = [
        (row["journal"].median, row["first"].median)
        for case, row in ours.items()
        if case.startswith("restart") and row["journal"] is not None and row["first"] is not None
    ]
    if len(restarts) > 1:
        title = "killed and started again: seconds until the first acknowledgement"
        found["restart.svg"] = svg.lines(title, sorted(restarts), "MiB of journal", "s")
    return found


def speed(kept: Baseline) -> str:
    """The README's table."""
    rows = []
    for server, cases in kept.figures.items():
        if (row := cases.get(BASE)) is None:
            continue
        cells = [
            _cell(cases.get(case, {}).get("acknowledged"), 0) + _mark(kept, server, case)
            for case in (BASE, HTTP)
        ]
        cells += [
            _cell(row.get("processed"), 0),
            _cell(row.get("cpu_100k"), 2),
            _cell(row.get("peak"), 0, 1 / (1 << 20)),
        ]
        rows.append([server, *cells, kept.promises.get(server, "")])
    titles = ("server", "acked/s, gRPC", "HTTP", "processed/s", "CPU s/100k", "peak MiB", "OK means")
    plot = "\n\n![acknowledged spans a second](docs/plots/acknowledged-grpc.svg)"
    note = "\n\n(c): the clients' core was full, the server may be faster; (!): others used the machine."
    marked = note if any("(" in cell for row in rows for cell in row[1:3]) else ""
    return markdown(titles, rows, {0, 6}) + marked + plot * (len(rows) > 1) if rows else ""


def write(
    kept: Baseline, page: Path = PAGE, folder: Path = PLOTS, readme: Path = ROOT / "README.md"
) -> list[str]:
    """Write page and plots; the names of the parts that had figures."""
    text, done = page.read_text(), []
    if table := speed(kept):
        readme.write_text(between(readme.read_text(), "speed", table))
    for name, new in sections(kept).items():
        if new:
            text = between(text, name, new)
            done.append(name)
    page.write_text(text)
    folder.mkdir(exist_ok=True)
    for name, drawn in plots(kept).items():
        (folder / name).write_text(drawn)
        done.append(name)
    return done
