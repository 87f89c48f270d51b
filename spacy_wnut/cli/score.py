from pathlib import Path
from typing import Annotated

import typer

from ._app import JsonTo, TagColumn, TokenColumn, TypesMap, app, check_json


@app.command("score")
def score_cli(
    gold: Annotated[
        Path, typer.Argument(help="CoNLL file with gold tags", show_default=False)
    ],
    predicted: Annotated[
        Path,
        typer.Argument(
            help="CoNLL file of any system, with the same tokens in the same order",
            show_default=False,
        ),
    ],
    token_column: TokenColumn = None,
    tag_column: TagColumn = None,
    types: TypesMap = None,
    json_to: JsonTo = None,
) -> None:
    """Score the CoNLL file of a system against gold tags.

    Tokens are matched by position. --token-column and --tag-column refer to both files,
    unless PREDICTED has only words and tags. --map renames the types of both files.
    """
    from ..corpus.conll import Columns
    from ..corpus.type_map import TypeMap
    from ..scoring.matching import map_types, read_posts
    from ..scoring.measures import all_scores
    from ..scoring.output import report_scores, warn_of_types

    check_json(json_to, [gold, predicted])
    columns = Columns(token_column, tag_column)
    names = None if types is None else TypeMap.parse(types)
    posts = list(read_posts(gold, predicted, columns))
    if names is not None:
        posts = map_types(posts, names)
    report_scores(f"{len(posts)} posts of {gold}", all_scores(posts), json_to)
    warn_of_types(posts)
