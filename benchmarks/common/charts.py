"""Line charts as SVG, with both axes from 0 to 1."""

from collections.abc import Mapping, Sequence
from html import escape

# From Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73")
SIZE, LEFT, TOP, RIGHT, BOTTOM = 300, 50, 30, 150, 45
FONT = 'font-family="sans-serif" font-size="12" fill="#555"'


def draw_line_chart(
    title: str,
    x_label: str,
    y_label: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    has_dots: bool = False,
    has_diagonal: bool = False,
) -> str:
    """Draw lines with a legend.

    title (str): Title above the plot.
    x_label, y_label (str): Titles of the axes.
    lines (Mapping[str, Sequence[Tuple[float, float]]]): Points (x, y) of each line, by
        its name in the legend; at most as many lines as there are COLOURS.
    has_dots (bool): Whether points are marked by dots.
    has_diagonal (bool): Whether the diagonal is drawn.
    RETURNS (str): The SVG document.
    """
    width, height = LEFT + SIZE + RIGHT, TOP + SIZE + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(LEFT + SIZE / 2, 18, title, "middle"),
    ]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        x, y = _to_pixels(tick, tick)
        parts += [
            _line([(tick, 0), (tick, 1)], "#ddd", 1),
            _line([(0, tick), (1, tick)], "#ddd", 1),
            _text(x, TOP + SIZE + 16, f"{tick:g}", "middle"),
            _text(LEFT - 6, y + 4, f"{tick:g}", "end"),
        ]
    parts.append(_text(LEFT + SIZE / 2, height - 8, x_label, "middle"))
    rotation = f'transform="rotate(-90 14 {TOP + SIZE / 2})"'
    parts.append(_text(14, TOP + SIZE / 2, y_label, "middle", rotation))
    if has_diagonal:
        parts.append(_line([(0, 0), (1, 1)], "#999", 1, 'stroke-dasharray="4 4"'))
    for i, (name, points) in enumerate(lines.items()):
        colour = COLOURS[i]
        parts.append(_line(points, colour, 2))
        if has_dots:
            for x, y in (_to_pixels(*point) for point in points):
                parts.append(
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
                )
        y = TOP + 12 + 20 * i
        x = LEFT + SIZE + 12
        parts.append(
            f'<rect x="{x}" y="{y - 6}" width="16" height="3" fill="{colour}"/>'
        )
        parts.append(_text(x + 22, y, name, "start"))
    return "\n".join([*parts, "</svg>", ""])


def _to_pixels(x: float, y: float) -> tuple[float, float]:
    return LEFT + SIZE * x, TOP + SIZE * (1 - y)


def _line(
    points: Sequence[tuple[float, float]], colour: str, width: int, attributes: str = ""
) -> str:
    pixels = " ".join("{:.1f},{:.1f}".format(*_to_pixels(*point)) for point in points)
    return (
        f'<polyline points="{pixels}" fill="none" stroke="{colour}" '
        f'stroke-width="{width}" {attributes}/>'
    )


def _text(x: float, y: float, text: str, anchor: str, attributes: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {FONT} text-anchor="{anchor}" {attributes}>'
        f"{escape(text)}</text>"
    )
