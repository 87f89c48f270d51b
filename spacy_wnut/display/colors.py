"""The colours of entity types: on pages, in terminals and in displaCy."""

from collections.abc import Sequence

# Person and product have spaCy's own, so that other pipelines' keep theirs. All are
# light: text on them is dark, on a dark page too.
COLORS = {
    "corporation": "#7aecec",
    "creative-work": "#ff9fc0",
    "group": "#9fc5ff",
    "location": "#feca74",
    "person": "#aa9cfc",
    "product": "#bfeeb7",
}

# For types of other label sets, in this order and then from the start again.
OTHERS = (
    "#ffe680",
    "#ffb3a1",
    "#8fe3c4",
    "#e3b8ff",
    "#c9d6e8",
    "#d9e87a",
    "#e8c9a0",
    "#a8dcf5",
)

# The same in the 256 colours of terminals.
TERMINAL_COLORS = {
    "corporation": 123,
    "creative-work": 211,
    "group": 111,
    "location": 221,
    "person": 141,
    "product": 157,
}
OTHER_TERMINAL_COLORS = (228, 216, 115, 183, 152, 192, 180, 153)


def make_colors() -> dict[str, str]:
    """WNUT 17's six colours, which displaCy takes without being asked.

    RETURNS (Dict[str, str]): For each type a colour as CSS has them.
    """
    return dict(COLORS)


def page_colors(types: Sequence[str]) -> list[str]:
    """A colour for each of some types, as CSS has them."""
    others = [name for name in types if name not in COLORS]
    return [
        COLORS.get(name) or OTHERS[others.index(name) % len(OTHERS)] for name in types
    ]


def terminal_color(label: str) -> int:
    """A type's number in the 256 colours of terminals."""
    # Not `hash`: that is another one in every process.
    other = OTHER_TERMINAL_COLORS[
        sum(label.encode("utf8")) % len(OTHER_TERMINAL_COLORS)
    ]
    return TERMINAL_COLORS.get(label, other)
