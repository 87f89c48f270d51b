"""Line charts as SVG."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise, zip_longest
from typing import NamedTuple

# Okabe and Ito's palette without yellow, which colour-blind readers can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
SIZE, LEFT, TOP, RIGHT, BOTTOM = 300, 50, 30, 150, 45
FONT = 'font-family="sans-serif" font-size="12" fill="#555"'
# Approximate size of text, in pixels: the width of a character and the height of a line.
CHARACTER, LINE = 7, 12
DOT = 3.5
# Distance of the legend's names from the plot.
LEGEND = 34
# Sides of a dot for its label, the preferred one first: x to the right, y down.
SIDES = ((0, -1), (0, 1), (1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1))
# Most intervals between the ticks of a linear axis.
INTERVALS = 6
# Steps between ticks of a linear axis, and the ticks of a logarithmic one: these numbers
# times powers of ten.
ROUND = (1, 2, 5)

# x and y of the centre, width and height, in pixels.
Box = tuple[float, float, float, float]


class Axis(NamedTuple):
    """An axis of a chart.

    title (str): Its title.
    low, high (float): Its range. Both above 0 on a logarithmic axis.
    is_log (bool): Whether it is logarithmic.
    """

    title: str
    low: float = 0
    high: float = 1
    is_log: bool = False

    @classmethod
    def around(
        cls, title: str, values: Iterable[float], is_log: bool = False
    ) -> "Axis":
        """Create an axis that starts and ends at ticks.

        title (str): Its title.
        values (Iterable[float]): The values on the axis, at least one. All above 0 for
            a logarithmic one.
        is_log (bool): Whether it is logarithmic.
        RETURNS (Axis): The axis. Its range includes the values.
        """
        values = list(values)
        least, most = min(values), max(values)
        if is_log:
            ticks = _round_numbers(least, most)
            low = max(tick for tick in ticks if tick <= least)
            high = min(tick for tick in ticks if tick >= most and tick > low)
        else:
            step = _step((most - least) or 1.0)
            low = math.floor(least / step) * step
            high = max(math.ceil(most / step) * step, low + step)
        return cls(title, low, high, is_log)

    def position(self, value: float) -> float:
        """Position of a value: 0 at the low end of the axis, 1 at its high end."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round values from low to high, where lines of the grid are drawn."""
        if self.is_log:
            values = _round_numbers(self.low, self.high)
            return [value for value in values if self.low <= value <= self.high]
        step = _step(self.high - self.low)
        # Up to rounding errors.
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def _step(span: float) -> float:
    """Step between the ticks of a linear axis, for a range of a length above 0."""
    power = math.floor(math.log10(span)) - 1
    steps = [digit * 10.0**e for e in (power, power + 1) for digit in ROUND]
    return next(step for step in steps if span / step <= INTERVALS)


def _round_numbers(low: float, high: float) -> list[float]:
    """Ticks of logarithmic axes, from one below or at `low` to one above `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 2)
    return [digit * 10.0**power for power in powers for digit in ROUND]


def draw_line_chart(
    title: str,
    x_axis: Axis,
    y_axis: Axis,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    has_dots: bool = False,
    has_diagonal: bool = False,
    dot_labels: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Draw lines with a legend.

    title (str): Title above the plot.
    x_axis, y_axis (Axis): The axes. All points have to be within their ranges.
    lines (Mapping[str, Sequence[Tuple[float, float]]]): Points (x, y) of each line, by
        its name in the legend; at most as many lines as there are COLOURS.
    has_dots (bool): Whether points are marked by dots.
    has_diagonal (bool): Whether the diagonal is drawn.
    dot_labels (Optional[Mapping[str, Sequence[str]]]): Text beside each point, by the
        name of the line.
    RETURNS (str): The SVG document.
    """
    right = max([RIGHT, *(LEGEND + CHARACTER * (len(name) + 1) for name in lines)])
    width, height = LEFT + SIZE + right, TOP + SIZE + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(LEFT + SIZE / 2, 18, title, "middle"),
        *_draw_grid(x_axis, y_axis),
    ]
    parts.append(_text(LEFT + SIZE / 2, height - 8, x_axis.title, "middle"))
    rotation = f'transform="rotate(-90 14 {TOP + SIZE / 2})"'
    parts.append(_text(14, TOP + SIZE / 2, y_axis.title, "middle", rotation))
    if has_diagonal:
        diagonal = [_to_pixels(0, 0), _to_pixels(1, 1)]
        parts.append(_line(diagonal, "#999", 1, 'stroke-dasharray="4 4"'))
    pixels = {
        name: [_to_pixels(x_axis.position(x), y_axis.position(y)) for x, y in points]
        for name, points in lines.items()
    }
    for i, (name, points) in enumerate(pixels.items()):
        colour = COLOURS[i]
        parts.append(_line(points, colour, 2))
        if has_dots:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT}" fill="{colour}"/>'
                for x, y in points
            ]
        row, column = TOP + 12 + 20 * i, LEFT + SIZE + 12
        parts.append(
            f'<rect x="{column}" y="{row - 6}" width="16" height="3" fill="{colour}"/>'
        )
        parts.append(_text(LEFT + SIZE + LEGEND, row, name, "start"))
    if dot_labels is not None:
        texts = [dot_labels[name] for name in pixels]
        for text, x, y in _place_labels(list(pixels.values()), texts):
            parts.append(_text(x, y + LINE / 3, text, "middle"))
    return "\n".join([*parts, "</svg>", ""])


def _draw_grid(x_axis: Axis, y_axis: Axis) -> Iterator[str]:
    """Draw the lines and numbers of the ticks of both axes."""
    for x_tick, y_tick in zip_longest(x_axis.ticks(), y_axis.ticks()):
        # In turn, the lines of both axes before their numbers.
        x = None if x_tick is None else x_axis.position(x_tick)
        y = None if y_tick is None else y_axis.position(y_tick)
        if x is not None:
            yield _line([_to_pixels(x, 0), _to_pixels(x, 1)], "#ddd", 1)
        if y is not None:
            yield _line([_to_pixels(0, y), _to_pixels(1, y)], "#ddd", 1)
        if x is not None:
            at = _to_pixels(x, 0)[0]
            yield _text(at, TOP + SIZE + 16, f"{x_tick:,g}", "middle")
        if y is not None:
            yield _text(LEFT - 6, _to_pixels(0, y)[1] + 4, f"{y_tick:,g}", "end")


def _place_labels(
    lines: Sequence[Sequence[tuple[float, float]]], texts: Sequence[Sequence[str]]
) -> Iterator[tuple[str, float, float]]:
    """Place labels near their dots, where there is neither a line nor another label as
    far as possible.

    lines (Sequence[Sequence[Tuple[float, float]]]): Dots of each line, in pixels.
    texts (Sequence[Sequence[str]]): The labels of the dots.
    YIELDS (Tuple[str, float, float]): Each label, and its centre in pixels.
    """
    taken = [(*dot, 2 * DOT, 2 * DOT) for line in lines for dot in line]
    crossed = [(*point, 2.0, 2.0) for line in lines for point in _points_along(line)]

    def count_overlaps(box: Box) -> tuple[int, int]:
        # A label on a line can be read, one on another label can't.
        return (
            sum(_overlap(box, other) for other in taken),
            sum(_overlap(box, other) for other in crossed),
        )

    for line, line_texts in zip(lines, texts, strict=True):
        for (x, y), text in zip(line, line_texts, strict=True):
            width = CHARACTER * len(text)
            places = [(*at, width, LINE) for at in _label_places(x, y, width)]
            best = min(places, key=count_overlaps)
            taken.append(best)
            yield text, best[0], best[1]


def _points_along(line: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield points on a line at distances of at most two pixels."""
    for (x1, y1), (x2, y2) in pairwise(line):
        n_points = 1 + int(math.hypot(x2 - x1, y2 - y1) / 2)
        for i in range(n_points + 1):
            share = i / n_points
            yield x1 + share * (x2 - x1), y1 + share * (y2 - y1)


def _label_places(x: float, y: float, width: float) -> Iterator[tuple[float, float]]:
    """Yield centres of a label around a dot within the plot, near ones first."""
    for distance in (1, 2, 3):
        dx, dy = DOT + 2 + width / 2 * distance, LINE * distance
        for i, j in SIDES:
            at = x + i * dx, y + j * dy
            is_inside = (
                LEFT <= at[0] - width / 2
                and at[0] + width / 2 <= LEFT + SIZE
                and TOP <= at[1] - LINE / 2
                and at[1] + LINE / 2 <= TOP + SIZE
            )
            if is_inside:
                yield at


def _overlap(one: Box, other: Box) -> bool:
    return all(
        abs(one[axis] - other[axis]) < (one[axis + 2] + other[axis + 2]) / 2
        for axis in (0, 1)
    )


def _to_pixels(x: float, y: float) -> tuple[float, float]:
    """Pixels of a position on both axes, each from 0 to 1."""
    return LEFT + SIZE * x, TOP + SIZE * (1 - y)


def _line(
    points: Sequence[tuple[float, float]], colour: str, width: int, attributes: str = ""
) -> str:
    pixels = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{pixels}" fill="none" stroke="{colour}" '
        f'stroke-width="{width}" {attributes}/>'
    )


def _text(x: float, y: float, text: str, anchor: str, attributes: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {FONT} text-anchor="{anchor}" {attributes}>'
        f"{escape(text)}</text>"
    )
