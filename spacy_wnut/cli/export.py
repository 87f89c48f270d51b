from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._app import Model, app


@app.command("export")
def export_cli(
    model: Model,
    out: Annotated[Path, typer.Argument(help="Folder to write the pipeline to")],
    corpus: Annotated[
        Path,
        typer.Option(
            help="Annotated posts to compare both pipelines on, in any format, such "
            "as dev.spacy"
        ),
    ],
    precision: Annotated[
        str, typer.Option(help="Precision of the model: fp32 or int8")
    ] = "int8",
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Annotated posts to calibrate int8 on, in any format, such as train.spacy. "
            "Required for int8"
        ),
    ] = None,
) -> None:
    """Export a pipeline to ONNX Runtime: it needs no torch and is several times faster.

    The exported pipeline is written only if it agrees with the original on the corpus.
    """
    from ..onnx_export.arguments import check_arguments

    check_arguments(model, out, precision, corpus, calibration)
    from ..onnx_export.export import export_pipeline

    figures = export_pipeline(model, out, precision, corpus, calibration)
    f1, agreement = figures["entity_f1"], figures["agreement"]
    msg.info(
        f"{corpus}: entity F1 {f1['before']:.4f} before the export, {f1['after']:.4f} "
        f"after; same tag for {agreement['all']:.2%} of all words, and for "
        f"{agreement['entities']:.2%} of the words in entities"
    )
    msg.good(f"Exported {model} in {precision} to {out}")
