from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ._app import GpuId, PerFile, Texts, app


@app.command("pseudo-label")
def pseudo_label_cli(
    out: Annotated[Path, typer.Argument(help="DocBin (.spacy) to write")],
    texts: Texts,
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
    per_file: PerFile = None,
    gpu_id: GpuId = -1,
) -> None:
    """Label posts softly with trained pipelines, for another to learn from."""
    from ..unlabelled.pseudo_labels import pseudo_label
    from ..unlabelled.texts import sample_texts

    check_out(out, [*teachers, *texts])
    posts, kept, entities = pseudo_label(
        teachers,
        sample_texts(texts, per_file),
        out,
        min_entities=min_entities,
        limit=limit,
        gpu_id=gpu_id,
    )
    msg.good(f"Labelled {posts} posts and wrote {kept} to {out}")
    msg.info(f"To be expected in them: {entities:.0f} entities")
