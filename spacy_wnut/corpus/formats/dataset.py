"""Reader of files of datasets: records with a list of tokens and a list of tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...errors import WnutError
from ...labels import tags_to_entities, type_problem
from ..posts import Post, Rejection, make_post
from ..rows import column_names, read_dataset, rows_to_posts, word_problem
from .json_file import open_content
from .options import ReadOptions
from .records import RecordError, check_object, get_id, get_list, read_posts

PARQUET_MAGIC = b"PAR1"


def is_dataset(record: Any) -> bool:
    """Return whether a JSON record has the form of `read_dataset_file`."""
    return isinstance(record, dict) and all(
        isinstance(record.get(name), list) for name in column_names(ReadOptions())
    )


def read_dataset_file(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read the posts of a file of a dataset: JSON, or parquet.

    path (Path): The file. JSON may be compressed.
    options (ReadOptions): The columns of tokens and tags, and the names of integer tags.
    YIELDS (Post | Rejection): The posts, with unknown spaces.

    Raises WnutError if the file cannot be read, or if tags are integers without names.
    """
    with open_content(path) as file:
        is_parquet = file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    if is_parquet:
        yield from _read_parquet(path, options)
        return

    def to_post(value: Any, where: str) -> Post:
        record = check_object(value)
        columns = column_names(options)
        tokens, tags = (get_list(record, name) for name in columns)
        if len(tokens) != len(tags):
            raise RecordError(
                f"has {len(tokens)} {columns[0]} and {len(tags)} {columns[1]}: each "
                "token needs one tag"
            )
        for token in tokens:
            if not isinstance(token, str):
                raise RecordError(f"the token {token!r} is not text")
            if problem := word_problem(token):
                raise RecordError(f"the token {token!r} {problem}")
        if not tokens:
            raise RecordError("has no tokens")
        names = [_name_of(tag, options, f"{path}, {where}") for tag in tags]
        try:
            entities = tags_to_entities(names)
        except ValueError as err:
            raise RecordError(str(err)) from None
        for entity in entities:
            if problem := type_problem(entity.label):
                raise RecordError(problem)
        return make_post(tokens, entities, id=get_id(record), where=where)

    yield from read_posts(path, to_post)


def _name_of(tag: Any, options: ReadOptions, where: str) -> str:
    """Return the name of a tag."""
    if isinstance(tag, str):
        return tag
    if isinstance(tag, bool) or not isinstance(tag, int):
        raise RecordError(f"the tag {tag!r} is neither text nor an integer")
    if options.label_names is None:
        raise WnutError(
            f"{where}: the tag {tag} is an integer: give the names of the tags in the "
            "order of their numbers, such as --label-names O,B-person,I-person"
        )
    if not 0 <= tag < len(options.label_names):
        raise RecordError(
            f"the tag {tag} is outside of 0..{len(options.label_names) - 1}, the numbers "
            "of --label-names"
        )
    return options.label_names[tag]


def _read_parquet(path: Path, options: ReadOptions) -> Iterator[Post]:
    if find_spec("datasets") is None:
        raise WnutError(
            f"Reading {path} needs the package datasets: pip install 'spacy-wnut[train]'"
        )
    import datasets  # type: ignore[import-untyped]

    with TemporaryDirectory() as cache:
        try:
            loaded = datasets.load_dataset(
                "parquet",
                data_files={"train": str(path)},
                cache_dir=cache,
                keep_in_memory=True,
            )
        # The types vary: exceptions of pyarrow, fsspec or datasets.
        except Exception as err:
            raise WnutError(f"{path} can't be read as parquet: {err}") from err
        splits, _ = read_dataset(loaded, str(path), options)
    for post in rows_to_posts(splits["train"], str(path)):
        yield replace(post, where=post.where.removeprefix(f"{path}, "))
