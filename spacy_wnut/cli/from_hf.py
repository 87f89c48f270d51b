from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ._app import app


@app.command("from-hf")
def from_hf_cli(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_FOLDER",
            help="Model for token classification, on the hub or in a folder",
        ),
    ],
    model: Annotated[Path, typer.Argument(help="Folder to write the pipeline to")],
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit on the hub")
    ] = None,
    lang: Annotated[
        str, typer.Option(help="Language of the pipeline's tokenizer")
    ] = "en",
) -> None:
    """Convert a checkpoint with BIO labels to a spaCy pipeline with confidences."""
    from ..models.checkpoints import check_source

    check_out(model, [source], "meta.json")
    check_source(source, kind="checkpoint")
    from ..huggingface.from_hf import from_hf

    types = from_hf(source, model, revision, lang)
    msg.good(
        f"Wrote the pipeline of {source} to {model}. Entity types: {', '.join(types)}"
    )
