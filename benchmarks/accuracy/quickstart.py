"""Measure the pipeline of the quickstart, and show the entities of README's posts.

    python -m spacy project run quickstart
    python -m benchmarks.accuracy.quickstart run
    python -m benchmarks.accuracy.quickstart table

`run` writes benchmarks/results/quickstart.json: the times of the steps, the scores on the
test splits of the sample corpus and of WNUT 17, and the entities. WNUT 17 is read from
SPACY_WNUT_DATA, or as in `spacy-wnut convert`. `table` draws docs/show.svg, the output of
`spacy-wnut show` in a terminal, and writes the scores and the output of the Python
example in README and docs/index.md.
"""

import re
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill
from typing import Annotated, Any

import typer

from benchmarks.common.machine import describe_machine
from benchmarks.common.pages import README, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, write_results, write_text
from spacy_wnut.cli._app import DATA, first_set

RESULTS = FOLDER / "quickstart.json"
PICTURE = ROOT / "docs" / "show.svg"
PAGES = (README, ROOT / "docs" / "index.md")
WIDTH_OF_TEXT = 88
SCORES, OUTPUT = "quickstart scores", "quickstart output"
# The first one is the text of the Python example.
EXAMPLES = ROOT / "corpus" / "sample" / "examples.txt"
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
    project: Annotated[
        Path, typer.Option(help="The project that ran the quickstart")
    ] = ROOT,
) -> None:
    """Measure the pipeline, find the entities of the posts, and store the results."""
    from weasel.util.config import load_project_config  # type: ignore[import-untyped]

    from spacy_wnut.pipeline.loading import load_pipeline

    # The script sets no other variable that names these folders.
    folders = load_project_config(ROOT, overrides={"vars.run": "sample"})["vars"]
    model = project / folders["model_dir"] / "model-calibrated"
    metrics = project / folders["metrics_dir"]
    scores = read_results(metrics / "test_gold.json")
    results = {
        "machine": describe_machine(),
        "seconds": read_results(metrics.with_name(f"{metrics.name}-seconds.json")),
        "f1": {"sample": scores["entity"]["f1"], "wnut_17": score_on_wnut_17(model)},
        "posts": annotate_posts(load_pipeline(str(model)), read_posts()),
    }
    write_results(RESULTS, results)


@app.command()
def table() -> None:
    """Draw docs/show.svg, and write the scores and the example's output in README and
    docs/index.md.
    """
    results = read_results(RESULTS)
    shown = [post["shown"] for post in results["posts"]]
    write_text(PICTURE, draw_terminal([COMMAND, *shown]))
    for page in PAGES:
        for name, text in make_blocks(results):
            write_block(name, text, page)


def read_posts() -> list[str]:
    """Read the posts of README."""
    return EXAMPLES.read_text(encoding="utf8").splitlines()


def score_on_wnut_17(model: Path) -> float:
    """Compute the entity F1 on the test split of WNUT 17, with its tokens."""
    from spacy_wnut.corpus.convert import convert
    from spacy_wnut.corpus.sources import WNUT_NAME, load_rows
    from spacy_wnut.scoring.evaluation import evaluate_pipeline
    from spacy_wnut.scoring.measures import all_scores

    rows = load_rows(first_set([], DATA, WNUT_NAME))
    with TemporaryDirectory() as folder:
        convert(rows, Path(folder), "gold")
        posts, _ = evaluate_pipeline(str(model), Path(folder) / "test.spacy", -1)
    return float(all_scores(posts)["entity"]["f1"])


def annotate_posts(nlp: Any, texts: list[str]) -> list[dict[str, Any]]:
    """Find the entities of texts. `shown` is the output of `spacy-wnut show`."""
    from spacy_wnut.display.terminal import annotate, format_doc

    posts = []
    for doc in annotate(nlp, texts):
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
    return posts


def make_blocks(results: dict[str, Any]) -> list[tuple[str, str]]:
    """The generated blocks of README and docs/index.md, with their names."""
    return [(SCORES, make_scores(results)), (OUTPUT, make_output(results["posts"]))]


def make_scores(results: dict[str, Any]) -> str:
    """The scores and the time, as a paragraph."""
    f1, machine = results["f1"], results["machine"]
    seconds = sum(results["seconds"].values())
    text = (
        f"Its test F1 is {100 * f1['sample']:.1f} on the sample corpus and "
        f"{100 * f1['wnut_17']:.1f} on WNUT 17, of which it has seen no post. "
        f"All steps took {seconds:.0f} seconds on {machine['cores']} cores "
        f"({machine['name']})."
    )
    return f"{fill(text, WIDTH_OF_TEXT)}\n"


def make_output(posts: list[Any]) -> str:
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
