"""Units of character offsets."""

# Python and spaCy count code points. JavaScript, Java and C# count UTF-16 code units, of
# which a character beyond U+FFFF, such as an emoji, has two.
CODE_POINTS, UTF16 = "codepoints", "utf16"


def to_unit(text: str, offset: int, unit: str) -> int:
    """Return an offset in another unit.

    text (str): The text.
    offset (int): An offset in code points.
    unit (str): CODE_POINTS or UTF16.

    >>> to_unit("🎉 in Oslo", 5, UTF16)
    6
    """
    if unit == CODE_POINTS or text.isascii():
        return offset
    return offset + sum(character > "\uffff" for character in text[:offset])
