from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._app import DATA, TagColumn, TokenColumn, app, first_set


class Tokens(str, Enum):
    gold = "gold"
    spacy = "spacy"


@app.command("convert")
def convert_cli(
    out_dir: Annotated[
        Path, typer.Argument(help="Folder for train.spacy, dev.spacy and test.spacy")
    ],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="The data. The first source that is not empty is used. Default: "
            "SPACY_WNUT_DATA, otherwise wnut_17",
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        Tokens,
        typer.Option(
            "--tokens",
            "-t",
            help="Tokens of the corpus: those of the file, or spaCy's",
        ),
    ] = Tokens.gold,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            "-l",
            help="Entity types, separated by commas. Default: those of the data",
        ),
    ] = None,
    token_column: TokenColumn = None,
    tag_column: TagColumn = None,
) -> None:
    """Convert WNUT 17, or other annotated data, to spaCy's training format.

    A source is "wnut_17" (the folder assets/wnut17, otherwise the hub), a folder of
    three CoNLL files, a folder in a format of the datasets library, or the id of a
    dataset on the hub.
    """
    from ..corpus.conll import Columns
    from ..corpus.sources import load_rows

    source = first_set(sources or [], DATA, "wnut_17")
    rows = load_rows(
        source,
        None if labels is None else labels.split(","),
        Columns(token_column, tag_column),
    )
    from ..corpus.convert import convert

    msg.info(f"Source: {rows['train'].info.description}")
    counts = convert(rows, out_dir, "gold" if tokens is Tokens.gold else "spacy")
    types = sorted(set().union(*(split.entities for split in counts.values())))
    msg.table(
        [
            ("posts", *(split.posts for split in counts.values())),
            ("tokens", *(split.tokens for split in counts.values())),
            ("entities", *(sum(split.entities.values()) for split in counts.values())),
            *(
                (name, *(split.entities.get(name, 0) for split in counts.values()))
                for name in types
            ),
        ],
        header=("", *counts),
        aligns=("l", *("r" for _ in counts)),
        divider=True,
    )
    msg.good(f"Wrote {tokens.value} tokens to {out_dir}")
