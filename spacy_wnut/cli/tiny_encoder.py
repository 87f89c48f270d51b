from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ._app import app


@app.command("tiny-encoder")
def tiny_encoder_cli(
    out_dir: Annotated[Path, typer.Argument(help="Folder to write the encoder to")],
    corpus: Annotated[
        Path, typer.Argument(help="CoNLL file to make the vocabulary from")
    ],
) -> None:
    """Make a tiny DistilBERT with random weights, for tests."""
    from ..corpus.conll import read_conll
    from ..models.checkpoints import make_tiny_encoder

    check_out(out_dir, [corpus], "config.json")
    # A list, so that the corpus is read before torch is imported.
    texts = [" ".join(post.tokens) for post in read_conll(corpus, None)]
    make_tiny_encoder(texts, out_dir)
    msg.good(f"Wrote a tiny encoder to {out_dir}")
    msg.warn("Its weights are random: scores of pipelines trained on it mean nothing")
