from pathlib import Path
from typing import Annotated

import typer

from ..inputs import check_inputs
from ._app import GpuId, HasBias, JsonTo, app, check_json


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
            help="Annotated posts that it was not trained on: .spacy, or any format that "
            "convert reads",
            show_default=False,
        ),
    ],
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for the calibrated pipeline. Default: MODEL is changed",
            file_okay=False,
        ),
    ] = None,
    has_bias: HasBias = False,
    or_copy: Annotated[
        bool,
        typer.Option(
            "--or-copy",
            help="Copy a pipeline that cannot be calibrated, such as spaCy's ner, which has "
            "no confidences, instead of failing",
        ),
    ] = False,
    json_to: JsonTo = None,
    gpu_id: GpuId = -1,
) -> None:
    """Fit the temperature of a pipeline, and store it with the pipeline.

    Afterwards about 80 percent of the entities with a confidence of 0.8 are correct.
    """
    check_json(json_to, [model, corpus])
    check_inputs([model], [corpus])
    from ..calibration.pipeline import calibrate_pipeline
    from ..calibration.tables import format_calibration
    from ..scoring.output import write_output

    figures = calibrate_pipeline(model, corpus, out_dir, has_bias, gpu_id, or_copy)
    if figures is None:
        text = "has nothing to calibrate (no entity_tagger, or it finds no entities)"
        write_output(f"{model} {text}: {out_dir or model} is unchanged", None, json_to)
        return
    title = f"{out_dir or model} calibrated on {corpus}: {figures['posts']} posts"
    write_output(f"{title}\n{format_calibration(figures)}", figures, json_to)
