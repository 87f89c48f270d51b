"""Tables in README and docs that are written by the scripts beside this one."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from spacy_wnut.errors import WnutError
from spacy_wnut.files import replacing

README = Path(__file__).parent.parent / "README.md"
END = "<!-- end -->\n"


def write_block(name: str, text: str, page: Path = README) -> None:
    """Put a text between a page's line `<!-- NAME -->` and the next `<!-- end -->`.

    Raises WnutError if the page doesn't have the place exactly once.
    """
    begin = f"<!-- {name} -->\n"
    before, *rest = page.read_text(encoding="utf8").split(begin)
    if len(rest) != 1 or END not in rest[0]:
        raise WnutError(
            f"{page} needs the line {begin.strip()!r} once, and {END.strip()!r} after "
            "it: what is generated is written in between"
        )
    after = rest[0].split(END, 1)[1]
    with replacing(page) as beside:
        beside.write_text(f"{before}{begin}{text}{END}{after}", encoding="utf8")


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: int
) -> str:
    """A table in Markdown, whose first `left` columns are text."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def percent(values: Sequence[float]) -> str:
    """The mean, and from two values on the standard deviation, in percent."""
    if not values:
        return "-"
    text = f"{100 * mean(values):.1f}"
    return f"{text} ± {100 * stdev(values):.1f}" if len(values) > 1 else text
