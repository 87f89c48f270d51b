from pathlib import Path
from typing import Annotated

import typer

from ._app import (
    JsonTo,
    TagColumn,
    TagScheme,
    TokenColumn,
    TypesMap,
    app,
    check_json,
)


@app.command("score")
def score_cli(
    gold: Annotated[
        Path, typer.Argument(help="CoNLL file with gold tags", show_default=False)
    ],
    predicted: Annotated[
        Path | None,
        typer.Argument(
            help="CoNLL file of any system, with the same tokens in the same order. "
            "Without it, GOLD also holds the predicted tags, as for conlleval",
            show_default=False,
        ),
    ] = None,
    token_column: TokenColumn = None,
    tag_column: TagColumn = None,
    gold_column: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="One file: column of the gold tags, from 1; -1 is the last. Default: "
            "the last but one",
            show_default=False,
        ),
    ] = None,
    predicted_column: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="One file: column of the predicted tags. Default: the last",
            show_default=False,
        ),
    ] = None,
    scheme: TagScheme = None,
    types: TypesMap = None,
    json_to: JsonTo = None,
) -> None:
    """Score the tags of a system against gold tags, in two CoNLL files or in one.

    Tokens are matched by position. The two sides may have tags of different schemes.
    --token-column and --tag-column refer to both files, unless PREDICTED has only words
    and tags. --map renames the types of both sides.
    """
    from ..corpus.layout import Columns
    from ..corpus.type_map import TypeMap
    from ..scoring.matching import (
        TwoColumns,
        map_types,
        read_posts,
        read_posts_of_one_file,
    )
    from ..scoring.measures import all_scores
    from ..scoring.output import report_scores, warn_of_types

    names = None if types is None else TypeMap.parse(types)
    name = scheme and scheme.value
    check_json(json_to, [gold] if predicted is None else [gold, predicted])
    if predicted is None:
        if tag_column is not None:
            raise typer.BadParameter(
                "one file has two columns of tags: set --gold-column and "
                "--predicted-column",
                param_hint="--tag-column",
            )
        both = TwoColumns(token_column, gold_column, predicted_column)
        posts = list(read_posts_of_one_file(gold, both, name))
    else:
        if not gold_column is predicted_column is None:
            raise typer.BadParameter(
                "two files have one column of tags each: set --tag-column",
                param_hint="--gold-column, --predicted-column",
            )
        columns = Columns(token_column, tag_column)
        posts = list(read_posts(gold, predicted, columns, name))
    if names is not None:
        posts = map_types(posts, names)
    report_scores(f"{len(posts)} posts of {gold}", all_scores(posts), json_to)
    warn_of_types(posts)
