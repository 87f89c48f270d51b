import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import WnutError
from ..inputs import check_inputs
from ._app import GpuId, Model, TypesMap, app, check_json

if TYPE_CHECKING:
    from ..scoring.measures import AllScores


@app.command("evaluate")
def evaluate_cli(
    model: Model,
    corpora: Annotated[
        list[Path],
        typer.Argument(
            metavar="CORPUS",
            help="Files with the gold entities: .spacy, or any format that convert reads",
            show_default=False,
        ),
    ],
    train: Annotated[
        Path | None,
        typer.Option(
            "--train",
            help="The training data, for separate scores of seen and unseen names",
            dir_okay=False,
        ),
    ] = None,
    json_to: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="JSON file for the scores (fractions); - for standard output. "
            "With several corpora, a folder for one file per corpus: dev_gold.json "
            "for gold/dev.spacy",
            allow_dash=True,
        ),
    ] = None,
    types: TypesMap = None,
    gpu_id: GpuId = -1,
) -> None:
    """Score the entities of a pipeline on one or several corpora.

    The corpus determines the protocol: its own tokens, or the tokens of the pipeline.
    --map renames the gold entity types.
    """
    from ..corpus.type_map import TypeMap

    names = None if types is None else TypeMap.parse(types)
    paths = _json_paths(json_to, corpora)
    for path in paths:
        check_json(path, [model, *corpora, train or ""])
    check_inputs([model], [*corpora, train])
    from ..corpus.examples import read_surface_forms
    from ..scoring.evaluation import evaluate_corpora
    from ..scoring.measures import all_scores
    from ..scoring.output import report_scores, warn_of_types, write_figures

    forms = None if train is None else read_surface_forms(train)
    measured: list[AllScores] = []
    is_one = len(corpora) == 1
    evaluations = evaluate_corpora(model, corpora, gpu_id, names)
    for corpus, (posts, protocol) in zip(corpora, evaluations, strict=True):
        title = f"{model} on {corpus}: {protocol}, {len(posts)} posts"
        if measured:
            print()
        measured.append(all_scores(posts, forms))
        report_scores(title, measured[-1], json_to if is_one else None)
        warn_of_types(posts)
    if paths and not is_one:
        # At the end, so that no folder holds the scores of two pipelines.
        write_figures(dict(zip(paths, measured, strict=True)))


def _json_paths(json_to: Path | None, corpora: Sequence[Path]) -> list[Path]:
    """Return the JSON file of each corpus; none without --json.

    Raises WnutError if `json_to` cannot be a folder for several corpora, or two of them
    have the same name; typer.BadParameter if it is a folder and there is one corpus.
    """
    from ..scoring.output import STDOUT

    if json_to is None:
        return []
    if len(corpora) == 1:
        if json_to.is_dir():
            raise typer.BadParameter(
                f"File '{json_to}' is a directory.", param_hint="'--json'"
            )
        return [json_to]
    if json_to == STDOUT or (json_to.exists() and not json_to.is_dir()):
        raise WnutError(
            f"--json {json_to} takes the figures of one corpus: with several, name a "
            "folder"
        )
    paths = [json_to / _json_name(corpus) for corpus in corpora]
    seen: dict[str, Path] = {}
    for corpus, path in zip(corpora, paths, strict=True):
        # File systems may ignore letter case.
        name = path.name.casefold()
        if name in seen:
            raise WnutError(
                f"the figures of {seen[name]} and of {corpus} would both be written to "
                f"{path}: evaluate them separately, each with its own --json"
            )
        if path.is_dir():
            raise WnutError(
                f"the figures of {corpus} would be written to {path}, which is a "
                "folder: name another folder with --json"
            )
        seen[name] = corpus
    return paths


def _json_name(corpus: Path) -> str:
    """Return the name of a JSON file: "dev_gold.json" for gold/dev.spacy, with the names
    of splits and protocols in model cards.
    """
    whole = Path(os.path.abspath(corpus))
    return "_".join(filter(None, [whole.stem, whole.parent.name])) + ".json"
