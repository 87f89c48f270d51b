from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ..inputs import check_inputs
from ._app import GoldCorpus, GpuId, Model, app


@app.command("report")
def report_cli(
    model: Model,
    corpus: GoldCorpus,
    out: Annotated[
        Path,
        typer.Option(help="HTML file to write", dir_okay=False, show_default=False),
    ],
    against: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Another pipeline to compare with"),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="The training data, to tell seen names from unseen names"),
    ] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Write an HTML report of the correct and wrong entities of a pipeline, by post."""
    check_out(out, [model, corpus, against or "", train or ""])
    check_inputs([model, against], [corpus, train])
    from ..display.report import report

    data = report(model, corpus, out, against, train, gpu_id)
    for run in data["runs"]:
        msg.info(f"{run['name']}: entity F1 {100 * run['entity']['f1']:.2f}")
    msg.good(f"Wrote {out}: {len(data['posts'])} posts, {data['protocol']}")
