from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._app import DATA, DEFAULT_ENCODER, ENCODER, app, first_set


@app.command("package")
def package_cli(
    model: Annotated[Path, typer.Argument(help="Folder of a trained pipeline")],
    out_dir: Annotated[Path, typer.Argument(help="Folder to write the wheel to")],
    name: Annotated[str, typer.Option(help="Name, without the language")],
    version: Annotated[str, typer.Option(help="Version")],
    encoder: Annotated[
        list[str],
        typer.Option(
            help="Encoder that it was trained from. The first that is not empty is used. "
            f"Default: SPACY_WNUT_ENCODER, otherwise {DEFAULT_ENCODER}",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    license_file: Annotated[
        Path | None,
        typer.Option(
            "--license",
            help="File with the text of the licence, or an SPDX id. Default: the licence "
            "of the pipeline",
        ),
    ] = None,
    data: Annotated[
        list[str],
        typer.Option(
            help="Data that it was trained on. The first that is not empty is used. "
            "Default: SPACY_WNUT_DATA, otherwise wnut_17",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    metrics: Annotated[
        list[Path],
        typer.Option(
            help="JSON file of evaluate --json, or a folder of them, for meta.json"
        ),
    ] = [],  # noqa: B006
) -> None:
    """Build the wheel of a pipeline, with its scores and a model card."""
    from ..packaging.wheels import package_pipeline

    wheel = package_pipeline(
        model,
        out_dir,
        name=name,
        version=version,
        encoder=first_set(encoder, ENCODER, DEFAULT_ENCODER),
        license_file=license_file,
        metrics=metrics,
        data=first_set(data, DATA, "wnut_17"),
    )
    msg.good(f"Built {wheel}")
