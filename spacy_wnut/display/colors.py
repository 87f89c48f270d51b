"""Colours of entity types on pages, in terminals and in displaCy."""

from collections.abc import Sequence

# Person and product have the colours of spaCy's PERSON and PRODUCT, since displaCy
# ignores the case of types: other pipelines keep their colours. All colours are light,
# because the text on them is dark, in dark mode too.
COLORS = {
    "corporation": "#7aecec",
    "creative-work": "#ff9fc0",
    "group": "#9fc5ff",
    "location": "#feca74",
    "person": "#aa9cfc",
    "product": "#bfeeb7",
}

# Colours of all other types, used in this order and cyclically.
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

# Similar colours among the 256 of terminals.
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
    """Create the colours of WNUT 17's six types, which displaCy loads by entry point.

    RETURNS (Dict[str, str]): A CSS colour (#rrggbb) for each type.
    """
    return dict(COLORS)


def page_colors(types: Sequence[str]) -> list[str]:
    """Assign a CSS colour to each type.

    types (Sequence[str]): Distinct entity types.
    RETURNS (List[str]): A colour (#rrggbb) for each type. Up to eight types outside
        WNUT 17 have different colours.

    Example:
        >>> from spacy_wnut.display.colors import page_colors
        >>> page_colors(["person", "PER"])
        ['#aa9cfc', '#ffe680']
    """
    others = [name for name in types if name not in COLORS]
    return [
        COLORS.get(name) or OTHERS[others.index(name) % len(OTHERS)] for name in types
    ]


def terminal_color(label: str) -> int:
    """Return the terminal colour of a type.

    label (str): The entity type.
    RETURNS (int): The number of one of the 256 colours.

    Example:
        >>> from spacy_wnut.display.colors import terminal_color
        >>> terminal_color("person")
        141
    """
    # Not `hash`, whose values for strings differ between processes.
    other = OTHER_TERMINAL_COLORS[
        sum(label.encode("utf8")) % len(OTHER_TERMINAL_COLORS)
    ]
    return TERMINAL_COLORS.get(label, other)
