"""Plots as SVG, written by hand: bars and lines. Pure.

Law of this file: plain shapes and text on a card of their own, light or dark as the reader's system is, so
that they read on any page; every axis of amounts begins at 0; every text is escaped.
"""

import math
from collections.abc import Sequence
from html import escape

WIDTH, ROW, LEFT, RIGHT = 760, 28, 150, 150
_STYLE = """<style>
.card{fill:#ffffff;stroke:#d0d7de} .text{fill:#1f2328} .faint{fill:#59636e} .grid{stroke:#d0d7de}
.ours{fill:#0969da} .other{fill:#8c959f} .line{stroke:#0969da;stroke-width:2.5;fill:none}
@media (prefers-color-scheme: dark) {
.card{fill:#0d1117;stroke:#3d444d} .text{fill:#f0f6fc} .faint{fill:#9198a1} .grid{stroke:#3d444d}
.ours{fill:#4493f8} .other{fill:#656c76} .line{stroke:#4493f8}
}
</style>"""


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "text", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}" '
        f'font-size="{size}">{escape(text)}</text>'
    )


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="system-ui, Helvetica, Arial, sans-serif" role="img">'
    )
    card = f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="6" class="card"/>'
    body = [head, f"<title>{escape(title)}</title>", _STYLE, card]
    return "\n".join([*body, _text(16, 27, title, size=15), *parts, "</svg>"]) + "\n"


def short(value: float) -> str:
    """A number of three figures with k or M."""
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def ticks(top: float) -> list[float]:
    """From 0 to at least `top` in three to six steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(top))
    step = next(s * power for s in (0.2, 0.5, 1.0, 2.0) if top / (s * power) <= 5)
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def bars(
    title: str, rows: Sequence[tuple[str, float]], unit: str, note: str = "", ours: str = "otel_ext"
) -> str:
    """Horizontal bars from 0; ours in a colour of its own. A row's label may end in a mark in brackets."""
    top = max((value for _, value in rows), default=0.0) or 1.0
    parts = list[str]()
    for place, (label, value) in enumerate(rows):
        y = 44 + place * ROW
        width = max(1.0, value / top * (WIDTH - LEFT - RIGHT))
        mine = label == ours or label.startswith(f"{ours} (")
        parts += [
            _text(LEFT - 10, y + 15, label, "end"),
            f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 8}" rx="2" '
            f'class="{"ours" if mine else "other"}"/>',
            _text(LEFT + width + 8, y + 15, f"{short(value)} {unit}"),
        ]
    end = 54 + len(rows) * ROW
    if note:
        parts.append(_text(LEFT, end + 4, note, kind="faint"))
    return _svg(end + 18 * bool(note), title, parts)


def lines(title: str, points: Sequence[tuple[float, float]], across: str, unit: str) -> str:
    """A line over a logarithmic x from y = 0; every point has its amount above it."""
    if not points:
        return _svg(60, title, [_text(16, 46, "not measured")])
    low, high = (math.log10(max(1e-9, pick(x for x, _ in points))) for pick in (min, max))
    marks = ticks(max(y for _, y in points) or 1.0)
    left, right, above, below = 70, 50, 70, 300

    def at(x: float, y: float) -> tuple[float, float]:
        part = (math.log10(max(1e-9, x)) - low) / ((high - low) or 1.0)
        return left + part * (WIDTH - left - right), below - y / marks[-1] * (below - above)

    parts = [_text(16, 50, unit, kind="faint")]
    for value in marks:
        y = at(points[0][0], value)[1]
        parts += [
            f'<line x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>',
            _text(left - 8, y + 4, short(value), "end", "faint"),
        ]
    parts += [
        _text(at(x, 0)[0], below + 20, short(x), "middle", "faint") for x in sorted({x for x, _ in points})
    ]
    parts.append(_text(WIDTH - right, below + 42, f"{across} (logarithmic)", "end", "faint"))
    where = [at(x, y) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in where)
    parts.append(f'<polyline points="{path}" class="line"/>')
    for (x, y), (_, value) in zip(where, points, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="ours"/>')
        parts.append(_text(x, y - 10, short(value), "middle", size=12))
    return _svg(356, title, parts)
