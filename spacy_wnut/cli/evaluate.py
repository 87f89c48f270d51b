from pathlib import Path
from typing import Annotated

import typer

from ..corpus.docbin import read_surface_forms
from ..scoring.evaluation import evaluate_pipeline
from ..scoring.measures import all_scores
from ..scoring.output import report_scores
from ._app import GoldCorpus, GpuId, JsonTo, Model, app, check_json


@app.command("evaluate")
def evaluate_cli(
    model: Model,
    corpus: GoldCorpus,
    train: Annotated[
        Path | None,
        typer.Option(
            "--train",
            help="DocBin it was trained on, to score seen and unseen names apart",
            dir_okay=False,
        ),
    ] = None,
    json_to: JsonTo = None,
    gpu_id: GpuId = -1,
) -> None:
    """Score a pipeline's entities on a corpus.

    The corpus says by which protocol: on its tokens, or on the pipeline's own.
    """
    check_json(json_to, [model, corpus, train or ""])
    forms = None if train is None else read_surface_forms(train)
    posts, protocol = evaluate_pipeline(model, corpus, gpu_id)
    title = f"{model} on {corpus}: {protocol}, {len(posts)} posts"
    report_scores(title, all_scores(posts, forms), json_to)
