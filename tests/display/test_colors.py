import re

import pytest
import spacy
from spacy import displacy
from spacy.displacy.render import DEFAULT_LABEL_COLORS
from spacy.tokens import Doc

from spacy_wnut.display.colors import (
    COLORS,
    OTHERS,
    make_colors,
    page_colors,
    terminal_color,
)
from spacy_wnut.labels import WNUT_17


def luminance(color):
    """Compute the relative luminance of a CSS colour (WCAG 2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first, second):
    dark, light = sorted([luminance(first), luminance(second)])
    return (light + 0.05) / (dark + 0.05)


def test_types_of_wnut_17_have_different_colors():
    assert tuple(make_colors()) == WNUT_17.types
    assert len(set(make_colors().values())) == 6
    assert len({terminal_color(name) for name in WNUT_17.types}) == 6


@pytest.mark.parametrize("color", [*COLORS.values(), *OTHERS])
def test_dark_text_is_readable_on_each_color(color):
    assert contrast(color, "#16181b") >= 7


def test_displacy_uses_the_colors_by_default():
    doc = Doc(spacy.blank("en").vocab, words=["ESB"], ents=["B-creative-work"])
    html = displacy.render(doc, style="ent", jupyter=False)
    assert f"background: {COLORS['creative-work']};" in html


def test_other_pipelines_keep_their_colors():
    for name, color in COLORS.items():
        assert DEFAULT_LABEL_COLORS.get(name.upper(), color) == color


def test_other_types_have_colors():
    colors = page_colors(["person", "PER", "LOC"])
    assert colors[0] == COLORS["person"] and len(set(colors)) == 3
    many = page_colors([f"type-{i}" for i in range(40)])
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in many)
    assert 0 < terminal_color("PER") < 256
