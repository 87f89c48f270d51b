from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ._app import PerFile, Texts, app, texts_of


@app.command("pretrain")
def pretrain_cli(
    encoder: Annotated[str, typer.Argument(help="A folder, or a model on the hub")],
    out_dir: Annotated[Path, typer.Argument(help="Folder to write the encoder to")],
    texts: Texts = None,
    epochs: Annotated[float, typer.Option(help="Passes over the posts")] = 1.0,
    learn_rate: Annotated[float, typer.Option(help="Peak learning rate")] = 1e-4,
    batch_size: Annotated[int, typer.Option(help="Posts per step")] = 32,
    per_file: PerFile = None,
    seed: Annotated[int, typer.Option(help="Seed of the masks and the shuffling")] = 0,
) -> None:
    """Train an encoder further on unlabelled posts, as a masked language model.

    After an interruption, the same command continues from the last checkpoint.
    """
    from ..models.checkpoints import check_source
    from ..unlabelled.masked_lm import pretrain_encoder
    from ..unlabelled.texts import sample_texts

    names = texts_of(texts)
    check_out(out_dir, [encoder, *names], "config.json")
    check_source(encoder)
    posts, loss = pretrain_encoder(
        encoder,
        sample_texts(names, per_file, seed),
        out_dir,
        epochs=epochs,
        learn_rate=learn_rate,
        batch_size=batch_size,
        seed=seed,
    )
    msg.good(f"Wrote the encoder to {out_dir}: {posts} posts, last loss {loss:.3f}")
