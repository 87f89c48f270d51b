import sys
from contextlib import redirect_stdout
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from wasabi import msg

from ..errors import WnutError
from ._app import (
    DATA,
    SOME_REJECTED,
    TagColumn,
    TagScheme,
    TokenColumn,
    TypesMap,
    app,
    first_set,
)

if TYPE_CHECKING:
    from ..corpus.convert import Conversion


class Tokens(str, Enum):
    gold = "gold"
    spacy = "spacy"


class Misaligned(str, Enum):
    missing = "missing"
    expand = "expand"
    contract = "contract"
    error = "error"


class Overlaps(str, Enum):
    error = "error"
    longest = "longest"


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
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Format of the files. Default: found by their content",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            "-l",
            help="Entity types, separated by commas. Default: those of the data",
        ),
    ] = None,
    types: TypesMap = None,
    misaligned: Annotated[
        Misaligned,
        typer.Option(
            "--misaligned",
            help="Spans with boundaries inside words: the annotation of these words is "
            "missing, the span is expanded or contracted, or it is an error",
        ),
    ] = Misaligned.missing,
    overlaps: Annotated[
        Overlaps,
        typer.Option(
            "--overlaps", help="Overlapping entities: an error, or the longest is kept"
        ),
    ] = Overlaps.error,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="TRAIN,DEV[,TEST]",
            help="Fractions for splits that are drawn from the training data. Default: "
            "0.8,0.1,0.1 for a single file",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the drawing of splits")
    ] = 0,
    lang: Annotated[
        str,
        typer.Option(
            "--lang", help="Language whose tokenizer splits texts without given words"
        ),
    ] = "en",
    text_field: Annotated[
        str | None,
        typer.Option(
            "--text-field",
            metavar="NAME",
            help="JSON: field of the text, such as data.text. Default: its usual name",
            show_default=False,
        ),
    ] = None,
    token_column: TokenColumn = None,
    tag_column: TagColumn = None,
    scheme: TagScheme = None,
    tokens_column: Annotated[
        str | None,
        typer.Option(
            "--tokens-column",
            metavar="NAME",
            help="Datasets: column of the tokens. Default: tokens",
            show_default=False,
        ),
    ] = None,
    tags_column: Annotated[
        str | None,
        typer.Option(
            "--tags-column",
            metavar="NAME",
            help="Datasets: column of the tags. Default: ner_tags",
            show_default=False,
        ),
    ] = None,
    label_names: Annotated[
        str | None,
        typer.Option(
            "--label-names",
            metavar="O,B-X,I-X,...",
            help="Datasets: names of integer tags in the order of their numbers",
            show_default=False,
        ),
    ] = None,
    incorrect_spans_key: Annotated[
        str,
        typer.Option(
            "--incorrect-spans-key",
            metavar="KEY",
            help="Key in doc.spans of the spans annotated as not entities",
        ),
    ] = "incorrect_spans",
) -> None:
    """Convert annotated data in any known format to spaCy's training format.

    A source is "wnut_17" (the folder assets/wnut17, otherwise the hub), a file, a folder
    with the files train, dev and test, a folder in a format of the datasets library, or
    the id of a dataset on the hub.

    Records that cannot be converted are written to OUT_DIR.rejected.jsonl with the
    reason, and the exit status is 3.
    """
    from ..corpus.formats.options import ReadOptions
    from ..corpus.layout import Columns
    from ..corpus.sources import load_posts
    from ..corpus.splits import count_duplicates, draw_splits, parse_fractions
    from ..corpus.type_map import TypeMap

    source = first_set(sources or [], DATA, "wnut_17")
    fractions = None if split is None else parse_fractions(split)
    _check_apart(out_dir, source)
    loaded = load_posts(
        source,
        format_name=format_name,
        options=ReadOptions(
            columns=Columns(token_column, tag_column),
            scheme=scheme and scheme.value,
            tokens_column=tokens_column,
            tags_column=tags_column,
            label_names=None if label_names is None else tuple(label_names.split(",")),
            text_field=text_field,
        ),
        labels=None if labels is None else labels.split(","),
        types=None if types is None else TypeMap.parse(types),
    )
    splits, drawn = draw_splits(loaded.splits, fractions, seed)
    from ..corpus.alignment import Alignment
    from ..corpus.convert import convert

    msg.info(f"Source: {loaded.origin}")
    if drawn:
        msg.info(
            f"Drawn from train with seed {seed}, stratified by type: {', '.join(drawn)}"
        )
    conversion = convert(
        splits,
        out_dir,
        tokens.value,
        alignment=Alignment(misaligned.value, overlaps.value, incorrect_spans_key),
        lang=lang,
    )
    _print_table(conversion)
    msg.good(f"Wrote {tokens.value} tokens to {out_dir}")
    with redirect_stdout(sys.stderr):
        for (one, other), count in count_duplicates(splits).items():
            msg.warn(
                f"{count:,} posts of {other} have the text of a post in {one}: scores on "
                f"{other} may be too high"
            )
        _warn(conversion, misaligned, out_dir)
    if conversion.rejected:
        raise typer.Exit(SOME_REJECTED)


def _check_apart(out_dir: Path, source: str) -> None:
    """Raise WnutError if the source is in the folder that is replaced."""
    path = Path(source)
    if path.exists() and path.resolve().is_relative_to(out_dir.resolve()):
        raise WnutError(
            f"{out_dir} holds {source}, which is read: name another folder to write to"
        )


def _print_table(conversion: "Conversion") -> None:
    counts = conversion.values()
    types = sorted(set().union(*(split.entities for split in counts)))
    rows = [
        ("posts", *(split.posts for split in counts)),
        ("tokens", *(split.tokens for split in counts)),
        ("entities", *(sum(split.entities.values()) for split in counts)),
        *((name, *(split.entities.get(name, 0) for split in counts)) for name in types),
    ]
    if any(split.missing for split in counts):
        rows.append(("not annotated (tokens)", *(split.missing for split in counts)))
    if any(split.incorrect for split in counts):
        rows.append(("incorrect spans", *(split.incorrect for split in counts)))
    msg.table(
        rows,
        header=("", *conversion),
        aligns=("l", *("r" for _ in conversion)),
        divider=True,
    )


def _warn(conversion: "Conversion", misaligned: Misaligned, out_dir: Path) -> None:
    from ..corpus.alignment import LISTED
    from ..corpus.convert import rejected_path

    treatment = {
        Misaligned.expand: "expanded",
        Misaligned.contract: "contracted, or missing where no word is inside",
    }.get(misaligned, "treated as missing annotation")
    for items, text in (
        (
            conversion.misaligned,
            f"spans do not match the boundaries of words, and were {treatment} "
            "(--misaligned)",
        ),
        (conversion.rejected, f"records were rejected: {rejected_path(out_dir)}"),
    ):
        if not items:
            continue
        msg.warn(f"{len(items):,} {text}")
        for item in items[:LISTED]:
            msg.text(f"  {item}")
        if len(items) > LISTED:
            msg.text(f"  and {len(items) - LISTED:,} others")
    if conversion.overlapping:
        msg.warn(
            f"{conversion.overlapping:,} entities were left out, because they overlap a "
            "longer one"
        )
