"""A plot as SVG: panels of lines over one time axis, with marks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, PANEL, LEFT, RIGHT, GAP = 960, 150, 60, 190, 34
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
MOST_POINTS = 800

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """Lines by their names, and what their values are."""

    title: str
    lines: Mapping[str, Line]


def svg(title: str, panels: Sequence[Panel], marks: Sequence[tuple[float, str]]) -> str:
    """Return a plot of panels one below the other. Times are in s."""
    times = [x for panel in panels for line in panel.lines.values() for x, _ in line] or [0.0]
    start, end = min(times), max(max(times), min(times) + 1)
    height = GAP + len(panels) * (PANEL + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        top = GAP + number * (PANEL + GAP)
        parts += _panel(panel, top, start, end, marks)
    minutes = (end - start) / 60
    parts.append(f'<text x="{LEFT}" y="{height - 12}">0 to {minutes:.1f} minutes</text></svg>')
    return "\n".join(parts)


def _panel(
    panel: Panel, top: int, start: float, end: float, marks: Sequence[tuple[float, str]]
) -> list[str]:
    width, bottom = WIDTH - LEFT - RIGHT, top + PANEL
    most = max((y for line in panel.lines.values() for _, y in line), default=0.0) or 1.0

    def x_of(time: float) -> float:
        return round(LEFT + width * (time - start) / (end - start), 1)

    parts = [
        f'<text x="{LEFT}" y="{top - 4}">{escape(panel.title)}</text>',
        f'<path d="M{LEFT} {top}V{bottom}H{LEFT + width}" fill="none" stroke="#888"/>',
        f'<text x="{LEFT - 6}" y="{top + 9}" text-anchor="end">{most:.4g}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
    ]
    for time, what in marks:
        if start <= time <= end:
            parts.append(
                f'<path d="M{x_of(time)} {top}V{bottom}" stroke="#ccc" stroke-dasharray="2">'
                f"<title>{escape(what)}</title></path>"
            )
    for number, (name, line) in enumerate(panel.lines.items()):
        color = COLORS[number % len(COLORS)]
        step = max(1, len(line) // MOST_POINTS)
        points = " ".join(f"{x_of(x)},{bottom - PANEL * y / most:.1f}" for x, y in line[::step])
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}"/>')
        y = top + 10 + 13 * number
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y}" fill="{color}">{escape(name)}</text>')
    return parts
