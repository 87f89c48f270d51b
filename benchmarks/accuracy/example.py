"""Run a pipeline on the example posts of README, and show the entities that it finds.

    python -m spacy project run quickstart
    python -m benchmarks.accuracy.example run MODEL
    python -m benchmarks.accuracy.example table

MODEL is the calibrated pipeline of the quickstart. `run` writes
benchmarks/results/example.json. `table` draws docs/show.svg, the output of `spacy-wnut
show` in a terminal, and writes the output of the Python example in README and
docs/index.md.
"""

import re
from io import StringIO
from typing import Annotated, Any

import typer

from benchmarks.common.pages import README, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, write_results, write_text

RESULTS = FOLDER / "example.json"
PICTURE = ROOT / "docs" / "show.svg"
PAGES = (README, ROOT / "docs" / "index.md")
BLOCK = "quickstart output"
# The first one is the text of the Python example.
TEXTS = (
    "Billie Eilish in Berlin tonight, my Nintendo Switch and Microsoft can wait",
    "anyone else watching Stranger Things in Lisbon rn? #netflix",
    "pretty bad storm in new york last evening",
    "nothing to see here, just another monday",
)
COMMAND = "$ spacy-wnut show en_wnut_ner < posts.txt"
# Columns of the terminal. Few, so that a phone shows the picture in a legible size.
WIDTH = 58
# Width of a character in units of the font's size, for the usual monospaced fonts.
ASPECT_RATIO = 0.6
# Stands for a space at which no line is broken; Rich breaks at no-break spaces, too.
GLUE = "\ue000"
# Text between the code of a colour and the code that ends it.
ENTITY = re.compile(r"\x1b\[[1-9][\d;]*m[^\x1b]*")
# Rich's own format loads a font from the network.
SVG_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>Entities in posts, in colour, with their types and confidences</title>
<style>
.{unique_id}-matrix {{
font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, monospace;
}}
{styles}
</style>
<defs>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

app = make_app(__doc__)


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="Name or folder of a pipeline")],
) -> None:
    """Find the entities of the posts, and store them."""
    from spacy_wnut.display.terminal import annotate, format_doc
    from spacy_wnut.pipeline.loading import load_pipeline

    posts = []
    for doc in annotate(load_pipeline(model), TEXTS):
        entities = [
            {
                "text": ent.text,
                "label": ent.label_,
                # The last digits depend on the machine.
                "confidence": round(ent._.confidence, 4),
            }
            for ent in doc.ents
        ]
        shown = format_doc(doc, in_color=True)
        posts.append({"text": doc.text, "entities": entities, "shown": shown})
    write_results(RESULTS, posts)


@app.command()
def table() -> None:
    """Draw docs/show.svg, and write the example's output in README and docs/index.md."""
    posts = read_results(RESULTS)
    write_text(PICTURE, draw_terminal([COMMAND, *(post["shown"] for post in posts)]))
    for page in PAGES:
        write_block(BLOCK, make_block(posts), page)


def make_block(posts: list[Any]) -> str:
    """The output of the Python example: one line per entity of the first post."""
    lines = [
        f"{entity['text']} {entity['label']} {entity['confidence']:.2f}\n"
        for entity in posts[0]["entities"]
    ]
    return f"```text\n{''.join(lines)}```\n"


def draw_terminal(lines: list[str]) -> str:
    """Draw a terminal.

    lines (List[str]): Lines of output, with ANSI escape codes for colours.
    RETURNS (str): The SVG document. Lines that are wider than the terminal are wrapped
        between words, but not within an entity or between it and its type.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=WIDTH, file=StringIO(), no_color=False)
    for line in lines:
        glued = ENTITY.sub(lambda entity: entity[0].replace(" ", GLUE), line)
        console.print(Text.from_ansi(glued))
    picture = console.export_svg(
        title="", code_format=SVG_FORMAT, font_aspect_ratio=ASPECT_RATIO
    )
    return picture.replace(GLUE, "&#160;")


if __name__ == "__main__":
    run_app(app)
