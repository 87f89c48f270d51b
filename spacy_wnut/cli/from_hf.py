from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._app import app


@app.command("from-hf")
def from_hf_cli(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_FOLDER",
            help="Fine-tuned model for token classification, on the hub or a folder",
        ),
    ],
    model: Annotated[Path, typer.Argument(help="Folder to write the pipeline to")],
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit on the hub")
    ] = None,
    lang: Annotated[
        str, typer.Option(help="Language whose tokenizer the pipeline takes")
    ] = "en",
) -> None:
    """Turn a checkpoint with BIO labels into a spaCy pipeline with confidences."""
    from ..huggingface.from_hf import from_hf

    types = from_hf(source, model, revision, lang)
    msg.good(f"Wrote a pipeline of {source} to {model}. It finds {', '.join(types)}")
