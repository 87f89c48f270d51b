from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ..inputs import check_inputs
from ._app import TagScheme, app


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
    scheme: TagScheme = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            help="Corpus on which to compare the entities with those of the "
            "checkpoint's best labels",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert a checkpoint for token classification to a spaCy pipeline with confidences.

    Its labels are tags in BIO, IOB1, IO, IOBES or BILOU. The command says if the
    pipeline cannot have all features of the checkpoint.
    """
    from ..models.checkpoints import check_source

    check_out(model, [source, corpus or ""], "meta.json")
    check_source(source, kind="checkpoint")
    check_inputs([], [corpus])
    from ..huggingface.from_hf import from_hf

    done = from_hf(source, model, revision, lang, scheme and scheme.value, corpus)
    for sentence in done.lost:
        msg.warn(sentence)
    if done.agreement is not None:
        posts, same_posts, entities, found, others = done.agreement
        msg.info(
            f"The entities are the same as those of the checkpoint's best labels in "
            f"{same_posts} of {posts} posts. The pipeline finds {found} of the "
            f"checkpoint's {entities} entities, and {others} others"
        )
    types = ", ".join(done.types)
    msg.good(f"Wrote the pipeline of {source} to {model}. Entity types: {types}")
