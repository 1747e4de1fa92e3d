"""Plots as SVG, written by hand: bars and lines. Pure.

Law of this file: plain shapes and text on white, so that they read on any page; every text is escaped.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, ROW, LEFT, RIGHT = 720, 26, 190, 90
COLOURS = ("#2563eb", "#c2410c", "#15803d", "#7c3aed", "#a16207", "#be185d")
GREY = "#6b7280"


def _text(
    x: float, y: float, text: str, anchor: str = "start", colour: str = "#111827", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
        f'font-size="{size}">{escape(text)}</text>'
    )


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="sans-serif" role="img">'
    )
    body = [head, f"<title>{escape(title)}</title>", '<rect width="100%" height="100%" fill="#ffffff"/>']
    return "\n".join([*body, _text(12, 22, title, size=14), *parts, "</svg>"]) + "\n"


def short(value: float) -> str:
    """A number of three figures with k or M."""
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def bars(title: str, rows: Sequence[tuple[str, float]], unit: str, ours: str = "otel_ext") -> str:
    """Horizontal bars from 0; ours in a colour of its own."""
    top = max((value for _, value in rows), default=0.0) or 1.0
    room, parts = WIDTH - LEFT - RIGHT, list[str]()
    for place, (label, value) in enumerate(rows):
        y = 40 + place * ROW
        width = max(1.0, value / top * room)
        colour = COLOURS[0] if label == ours else GREY
        parts += [
            _text(LEFT - 8, y + 14, label, "end"),
            f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 8}" rx="2" fill="{colour}"/>',
            _text(LEFT + width + 6, y + 14, f"{short(value)} {unit}"),
        ]
    return _svg(52 + len(rows) * ROW, title, parts)


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]], across: str, unit: str) -> str:
    """Lines over a logarithmic x from y = 0; the points marked, the last one labelled."""
    points = [point for values in series.values() for point in values]
    if not points:
        return _svg(60, title, [_text(12, 44, "not measured")])
    low, high = (math.log10(max(1e-9, pick(x for x, _ in points))) for pick in (min, max))
    top = max(y for _, y in points) or 1.0
    left, right, above, below = 70, 40, 50, 300

    def at(x: float, y: float) -> tuple[float, float]:
        part = (math.log10(max(1e-9, x)) - low) / ((high - low) or 1.0)
        return left + part * (WIDTH - left - right), below - y / top * (below - above)

    parts = []
    for step in range(5):
        value = top * step / 4
        y = at(points[0][0], value)[1]
        parts += [
            f'<line x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>',
            _text(left - 8, y + 4, short(value), "end", GREY),
        ]
    parts += [
        _text(at(x, 0)[0], below + 18, short(x), "middle", GREY) for x in sorted({x for x, _ in points})
    ]
    parts.append(_text(WIDTH - right, below + 38, f"{across} (logarithmic)", "end", GREY))
    for place, (label, values) in enumerate(series.items()):
        colour, where = COLOURS[place % len(COLOURS)], [at(x, y) for x, y in values]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in where)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in where]
        parts.append(_text(left + place * 200, 42, f"{label} ({unit})", colour=colour))
    return _svg(350, title, parts)
