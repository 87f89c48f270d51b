"""Generated tables in README, each between two comments."""

from collections.abc import Iterable
from pathlib import Path

from spacy_wnut.errors import WnutError
from spacy_wnut.files import replacing

END = "<!-- end -->\n"


def write_between(page: Path, begin: str, lines: Iterable[str]) -> None:
    """Put lines in the place of those between a comment and the end after it.

    page (Path): The page. It is written anew.
    begin (str): The comment before the lines, a line that the page has once.
    lines (Iterable[str]): What to put there, without line breaks.

    Raises WnutError if the page doesn't have the place exactly once.
    """
    text = page.read_text(encoding="utf8")
    before, *rest = text.split(f"{begin}\n")
    if len(rest) != 1 or END not in rest[0]:
        raise WnutError(
            f"{page} needs the line {begin!r} once, and {END.strip()!r} after it: "
            "the table is written in between"
        )
    after = rest[0].split(END, 1)[1]
    body = "".join(f"{line}\n" for line in lines)
    with replacing(page) as beside:
        beside.write_text(f"{before}{begin}\n{body}{END}{after}", encoding="utf8")
