from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ..inputs import check_inputs
from ._app import GpuId, PerFile, Texts, app, texts_of


@app.command("pseudo-label")
def pseudo_label_cli(
    out: Annotated[Path, typer.Argument(help="DocBin (.spacy) to write")],
    teachers: Annotated[
        list[str],
        typer.Option("--teacher", help="Trained pipeline. Several are averaged"),
    ],
    texts: Texts = None,
    min_entities: Annotated[
        float, typer.Option(help="Least expected number of entities of a post")
    ] = 0.0,
    limit: Annotated[
        int | None, typer.Option(help="Maximum number of posts to write")
    ] = None,
    per_file: PerFile = None,
    gpu_id: GpuId = -1,
) -> None:
    """Write posts with soft labels of trained pipelines, to train another pipeline on.

    OUT is unchanged if it was made from the same posts, teachers and settings.
    """
    from ..unlabelled.texts import sample_texts

    names = texts_of(texts)
    check_out(out, [*teachers, *names])
    check_inputs(teachers)
    posts = sample_texts(names, per_file)
    from ..unlabelled.pseudo_labels import pseudo_label

    labelled = pseudo_label(
        teachers,
        posts,
        out,
        min_entities=min_entities,
        limit=limit,
        gpu_id=gpu_id,
    )
    if labelled is None:
        msg.info(f"{out} is unchanged: it was made from the same posts and teachers")
        return
    msg.good(f"Labelled {labelled.posts} posts and wrote {labelled.kept} to {out}")
    msg.info(f"Expected number of entities in them: {labelled.entities:.0f}")
