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
        typer.Option(help="DocBin (.spacy) of annotated posts to compare both on: dev"),
    ],
    precision: Annotated[str, typer.Option(help="fp32 or int8")] = "int8",
    calibration: Annotated[
        Path | None,
        typer.Option(help="DocBin (.spacy) of posts that int8 is fitted to: train"),
    ] = None,
) -> None:
    """Write a pipeline that ONNX Runtime runs: no torch, several times faster.

    It is written only if it finds the same entities.
    """
    from ..onnx_export.export import export_pipeline

    figures = export_pipeline(model, out, precision, corpus, calibration)
    f1, agreement = figures["entity_f1"], figures["agreement"]
    msg.info(
        f"On {corpus}: entity F1 {f1['before']:.4f} before, {f1['after']:.4f} after; "
        f"the same tag for {agreement['all']:.2%} of the words, and for "
        f"{agreement['entities']:.2%} of those in entities"
    )
    msg.good(f"Wrote {model} in {precision} to {out}")
