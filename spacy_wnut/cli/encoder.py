from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._app import app, first_set


@app.command("encoder")
def encoder_cli(
    out_dir: Annotated[Path, typer.Argument(help="Folder to write the encoder to")],
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="A folder, or a model on the hub. The first that isn't empty is used",
        ),
    ],
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit on the hub")
    ] = None,
) -> None:
    """Bring an encoder into a folder, in full precision, ready to be trained."""
    from ..models.checkpoints import fetch_encoder

    source = first_set(sources, "an encoder")
    config = fetch_encoder(source, out_dir, revision)
    msg.good(f"Wrote the encoder {source} ({config.model_type}) to {out_dir}")
