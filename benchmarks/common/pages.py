"""Generated tables in README and docs."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from spacy_wnut.errors import WnutError

from .results import ROOT, write_text

README = ROOT / "README.md"
# The page of results that no other page is about.
RESULTS_PAGE = ROOT / "docs" / "results.md"
END = "<!-- end -->\n"


def write_block(name: str, text: str, page: Path) -> None:
    """Replace the text between the line `<!-- NAME -->` and the next `<!-- end -->`.

    name (str): Name of the block.
    text (str): New content; ends with a newline.
    page (Path): Markdown page that has the block.

    Raises WnutError if the page doesn't have the block exactly once.
    """
    begin = f"<!-- {name} -->\n"
    before, *rest = page.read_text(encoding="utf8").split(begin)
    if len(rest) != 1 or END not in rest[0]:
        raise WnutError(
            f"{page} must have the line {begin.strip()!r} exactly once, followed by "
            f"{END.strip()!r}: the generated text goes between the two"
        )
    after = rest[0].split(END, 1)[1]
    write_text(page, f"{before}{begin}{text}{END}{after}")


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int
) -> str:
    """Format a Markdown table.

    header (Sequence[str]): Column titles.
    rows (Sequence[Sequence[str]]): Cells, one sequence per row.
    left (int): Number of left-aligned columns; the others are right-aligned.
    RETURNS (str): The table, one line per row.
    """
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def format_percent(values: Sequence[float]) -> str:
    """Format the mean of fractions in percent, with the standard deviation if there are
    several; "-" if there are none.
    """
    if not values:
        return "-"
    text = f"{100 * mean(values):.1f}"
    return f"{text} ± {100 * stdev(values):.1f}" if len(values) > 1 else text
