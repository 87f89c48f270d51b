from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ..inputs import check_inputs
from ._app import Model, app


@app.command("to-hf")
def to_hf_cli(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="Folder to write the checkpoint to")],
    push: Annotated[
        str | None,
        typer.Option(metavar="REPO", help="Repository on the hub to upload it to"),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="Annotated posts to measure the agreement of tags on"),
    ] = None,
) -> None:
    """Write a pipeline as a checkpoint for transformers' token classification."""
    check_out(folder, [model, corpus or ""], "config.json")
    check_inputs([model], [corpus])
    from ..huggingface.to_hf import to_hf

    written = to_hf(model, folder, corpus, push)
    for sentence in written.lost:
        msg.warn(sentence)
    if written.agreement is not None:
        same, words = written.agreement
        msg.info(f"The best tag is the same for {same} of {words} words")
    msg.good(f"Wrote {model} ({written.architecture}) to {folder}")
    if push is not None:
        msg.good(f"Shared it as {push}")
