from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..corpus.conll import read_conll
from ..files import check_out
from ._app import app


@app.command("tiny-encoder")
def tiny_encoder_cli(
    out_dir: Annotated[Path, typer.Argument(help="Folder to write the encoder to")],
    corpus: Annotated[
        Path, typer.Argument(help="CoNLL file to learn a vocabulary from")
    ],
) -> None:
    """Make a tiny DistilBERT of random weights, to try the road with."""
    from ..models.checkpoints import make_tiny_encoder

    check_out(out_dir, [corpus], "config.json")
    texts = (" ".join(post.tokens) for post in read_conll(corpus, None))
    make_tiny_encoder(texts, out_dir)
    msg.good(f"Wrote a tiny encoder to {out_dir}")
    msg.warn("Its weights are random: scores of what is trained on it mean nothing")
