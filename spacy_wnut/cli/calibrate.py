from pathlib import Path
from typing import Annotated

import typer

from ._app import app


@app.command("calibrate")
def calibrate_cli(
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a trained pipeline, or name of an installed one",
            show_default=False,
        ),
    ],
    corpus: Annotated[
        Path,
        typer.Argument(
            help="DocBin (.spacy) of posts it wasn't trained on, as convert writes it",
            show_default=False,
        ),
    ],
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder to write the pipeline to, instead of MODEL itself",
            file_okay=False,
        ),
    ] = None,
    has_bias: Annotated[
        bool,
        typer.Option(
            "--bias/--no-bias",
            help="Tune the bias for the best entity F1, or leave it as it is",
        ),
    ] = True,
    json_to: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="File to write the figures to, as fractions; - for standard output",
            dir_okay=False,
            allow_dash=True,
        ),
    ] = None,
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", help="GPU to run on; -1 for the CPU")
    ] = -1,
) -> None:
    """Fit the temperature and the bias of a pipeline, and store them with it.

    After that, of entities with a confidence of 0.8 about 80 percent are right.
    """
    from ..calibration.pipeline import calibrate_pipeline
    from ..calibration.report import format_calibration
    from ..scoring.report import hand_over

    figures = calibrate_pipeline(model, corpus, out_dir, has_bias, gpu_id)
    title = f"{out_dir or model} calibrated on {corpus}: {figures['posts']} posts"
    hand_over(f"{title}\n{format_calibration(figures)}", figures, json_to)
