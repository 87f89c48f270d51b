from pathlib import Path
from typing import Annotated

import typer

from ..scoring.evaluation import evaluate_pipeline
from ..scoring.measures import all_scores
from ..scoring.report import report_scores
from ._app import app


@app.command("evaluate")
def evaluate_cli(
    model: Annotated[
        str,
        typer.Argument(
            help="Name of an installed pipeline, or its folder", show_default=False
        ),
    ],
    corpus: Annotated[
        Path,
        typer.Argument(
            help="DocBin (.spacy) with the right entities, as convert writes it",
            show_default=False,
        ),
    ],
    json_to: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="File to write the scores to, as fractions; - for standard output",
            dir_okay=False,
            allow_dash=True,
        ),
    ] = None,
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", help="GPU to run on; -1 for the CPU")
    ] = -1,
) -> None:
    """Score a pipeline's entities on a corpus.

    The corpus says by which protocol: on its tokens, or on the pipeline's own.
    """
    posts, protocol = evaluate_pipeline(model, corpus, gpu_id)
    title = f"{model} on {corpus}: {protocol}, {len(posts)} posts"
    report_scores(title, all_scores(posts), json_to)
