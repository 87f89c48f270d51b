from pathlib import Path
from typing import Annotated

import typer

from ..scoring.matching import read_posts
from ..scoring.measures import all_scores
from ..scoring.report import report_scores
from ._app import JsonTo, app, check_json


@app.command("score")
def score_cli(
    gold: Annotated[
        Path, typer.Argument(help="CoNLL file with the right tags", show_default=False)
    ],
    predicted: Annotated[
        Path,
        typer.Argument(
            help="CoNLL file of any system, with the same tokens in the same order",
            show_default=False,
        ),
    ],
    json_to: JsonTo = None,
) -> None:
    """Score a system's CoNLL file against the right one.

    Tokens are matched by position; the last column is the tag.
    """
    check_json(json_to, [gold, predicted])
    posts = list(read_posts(gold, predicted))
    report_scores(f"{len(posts)} posts of {gold}", all_scores(posts), json_to)
