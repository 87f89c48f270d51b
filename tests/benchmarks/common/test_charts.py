from xml.etree import ElementTree

from benchmarks.common.charts import draw_line_chart


def test_points_are_drawn_in_their_places():
    chart = draw_line_chart("a < b", "x", "y", {"one": [(0, 0), (1, 0.5)]})
    svg = ElementTree.fromstring(chart)
    assert svg.find("{*}title").text == "a < b"
    line = svg.findall("{*}polyline")[-1].get("points")
    # The origin is at (50, 330), both axes are 300 long, and y points up.
    assert line == "50.0,330.0 350.0,180.0"
