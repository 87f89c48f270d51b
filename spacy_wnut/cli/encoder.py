from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._app import DEFAULT_ENCODER, ENCODER, app, first_set


@app.command("encoder")
def encoder_cli(
    out_dir: Annotated[Path, typer.Argument(help="Folder to write the encoder to")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="A folder, or a model on the hub. The first that is not empty is used. "
            f"Default: SPACY_WNUT_ENCODER, otherwise {DEFAULT_ENCODER}",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit on the hub")
    ] = None,
) -> None:
    """Store an encoder in a folder, in full precision, for training."""
    from ..models.checkpoints import check_source, fetch_encoder

    source = first_set(sources or [], ENCODER, DEFAULT_ENCODER)
    check_source(source)
    config = fetch_encoder(source, out_dir, revision)
    msg.good(f"Wrote the encoder {source} ({config.model_type}) to {out_dir}")
