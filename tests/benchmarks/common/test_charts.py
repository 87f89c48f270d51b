from itertools import combinations
from xml.etree import ElementTree

import pytest

from benchmarks.common.charts import Axis, draw_line_chart


def test_points_are_drawn_in_their_places():
    chart = draw_line_chart("a < b", Axis("x"), Axis("y"), {"one": [(0, 0), (1, 0.5)]})
    svg = ElementTree.fromstring(chart)
    assert svg.find("{*}title").text == "a < b"
    line = svg.findall("{*}polyline")[-1].get("points")
    # The origin is at (50, 330), both axes are 300 long, and y points up.
    assert line == "50.0,330.0 350.0,180.0"


def test_axes_have_ranges():
    """The middle of a logarithmic axis is the geometric mean of its ends."""
    chart = draw_line_chart(
        "",
        Axis("x", 100, 10_000, is_log=True),
        Axis("y", 50, 70),
        {"one": [(100, 50), (1_000, 60), (10_000, 70)]},
    )
    svg = ElementTree.fromstring(chart)
    line = svg.findall("{*}polyline")[-1].get("points")
    assert line == "50.0,330.0 200.0,180.0 350.0,30.0"
    texts = {text.text: text for text in svg.findall("{*}text")}
    assert texts["1,000"].get("x") == "200.0"
    assert float(texts["65"].get("y")) == pytest.approx(105, abs=6)


@pytest.mark.parametrize(
    "values, is_log, ticks",
    [
        ([54.3, 61.0], False, [54, 56, 58, 60, 62]),
        ([0.31, 0.9], False, [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ([57.0], False, [57, 57.2]),
        ([250, 4200], True, [200, 500, 1000, 2000, 5000]),
        ([1000, 5000], True, [1000, 2000, 5000]),
        ([500], True, [500, 1000]),
    ],
)
def test_axes_around_values_begin_and_end_at_ticks(values, is_log, ticks):
    axis = Axis.around("", values, is_log)
    found = axis.ticks()
    assert [axis.low, axis.high] == pytest.approx([ticks[0], ticks[-1]])
    assert set(map(str, ticks)) <= {f"{tick:g}" for tick in found}
    assert [found[0], found[-1]] == pytest.approx([axis.low, axis.high])
    assert 2 <= len(found) <= 7


def test_labels_of_dots_do_not_overlap():
    """Crossing lines, and dots that are close to each other."""
    lines = {
        "one": [(x / 100, 0.5 + x / 1000) for x in range(0, 100, 11)],
        "a name that is longer than the legend": [
            (x / 100, 0.6 - x / 1000) for x in range(0, 100, 12)
        ],
    }
    labels = {
        name: [f"{name[0]}{i:02}" for i in range(len(points))]
        for name, points in lines.items()
    }
    chart = draw_line_chart(
        "", Axis("x"), Axis("y"), lines, has_dots=True, dot_labels=labels
    )
    svg = ElementTree.fromstring(chart)
    drawn = [
        (float(text.get("x")), float(text.get("y")))
        for text in svg.findall("{*}text")
        if text.text in {*labels["one"], *list(labels.values())[1]}
    ]
    dots = [
        (float(dot.get("cx")), float(dot.get("cy"))) for dot in svg.findall("{*}circle")
    ]
    assert len(drawn) == len(dots) == 19
    # Labels of three characters are about 20 pixels wide and 12 high.
    for (x1, y1), (x2, y2) in combinations(drawn, 2):
        assert abs(x1 - x2) > 20 or abs(y1 - y2) > 11
    for x1, y1 in drawn:
        # The y of a text is that of its base line.
        assert all(abs(x1 - x2) > 13 or abs(y1 - 4 - y2) > 9 for x2, y2 in dots)
        # Each is near its dot.
        assert min(abs(x1 - x2) + abs(y1 - y2) for x2, y2 in dots) < 75
    # The legend is within the picture: 7 pixels per character at most.
    name = next(t for t in svg.findall("{*}text") if t.text in list(lines)[1:])
    assert float(name.get("x")) + 7 * len(name.text) < float(svg.get("width"))
