from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._app import app


@app.command("pseudo-label")
def pseudo_label_cli(
    out: Annotated[Path, typer.Argument(help="DocBin (.spacy) to write")],
    texts: Annotated[
        list[Path],
        typer.Argument(metavar="TEXTS...", help="Posts, one a line (.txt or .gz)"),
    ],
    teachers: Annotated[
        list[str],
        typer.Option("--teacher", help="Trained pipeline. Several are averaged"),
    ],
    min_entities: Annotated[
        float, typer.Option(help="Leave out posts with fewer expected entities")
    ] = 0.0,
    limit: Annotated[
        int | None, typer.Option(help="The greatest number of posts to keep")
    ] = None,
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", help="GPU to run on; -1 for the CPU")
    ] = -1,
) -> None:
    """Label posts softly with trained pipelines, for another to learn from."""
    from ..unlabelled.pseudo_labels import pseudo_label
    from ..unlabelled.texts import read_texts

    posts, kept, entities = pseudo_label(
        teachers,
        read_texts(texts),
        out,
        min_entities=min_entities,
        limit=limit,
        gpu_id=gpu_id,
    )
    msg.good(f"Labelled {posts} posts and wrote {kept} to {out}")
    msg.info(f"To be expected in them: {entities:.0f} entities")
