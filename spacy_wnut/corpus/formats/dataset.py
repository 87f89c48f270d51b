"""Reader of files of datasets: records with a list of tokens and a list of tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ...errors import WnutError
from ...labels import type_problem
from ...schemes import TagError, infer_notation, read_tags
from ..posts import Post, Rejection, make_post
from ..rows import column_names, read_dataset, rows_to_posts, word_problem
from .json_file import JsonRecord, read_json
from .options import ReadOptions
from .parquet_file import is_parquet
from .records import RecordError, check_object, get_id, get_list


def is_dataset(record: Any) -> bool:
    """Return whether a JSON record has the form of `read_dataset_file`."""
    return isinstance(record, dict) and all(
        isinstance(record.get(name), list) for name in column_names(ReadOptions())
    )


def read_dataset_file(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read the posts of a file of a dataset: JSON, or parquet.

    path (Path): The file. JSON may be compressed.
    options (ReadOptions): `tokens_column`, `tags_column`, `label_names` and `scheme` are
        used.
    YIELDS (Post | Rejection): The posts, with unknown spaces.

    Raises WnutError if the file cannot be read, if tags are integers without names, or if
    the tags have no common notation.
    """
    if is_parquet(path):
        yield from _read_parquet(path, options)
    else:
        yield from _read_json(path, options)


def _read_json(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    records: list[_Record | Rejection] = []
    for one in read_json(path):
        if isinstance(one, JsonRecord):
            try:
                records.append(_parse(one, options, path))
            except RecordError as err:
                records.append(Rejection(one.where, str(err), one.value))
        else:
            records.append(one)
    # The notation of the tags is that of the whole file.
    read = [record for record in records if isinstance(record, _Record)]
    try:
        notation = infer_notation([record.tags for record in read], options.scheme)
    except TagError as err:
        where = next(record.where for record in read if err.tag in record.tags)
        raise WnutError(f"{path}, {where}: {err}") from None
    for record in records:
        if isinstance(record, Rejection):
            yield record
            continue
        where, tokens, tags, value = record
        entities, missing = read_tags(tags, notation)
        problems = [type_problem(entity.label) for entity in entities]
        if any(problems):
            yield Rejection(where, next(filter(None, problems)), value)
        else:
            yield make_post(tokens, entities, missing, id=get_id(value), where=where)


class _Record(NamedTuple):
    where: str
    tokens: list[str]
    tags: list[str]
    value: dict[str, Any]


def _parse(record: JsonRecord, options: ReadOptions, path: Path) -> _Record:
    """Check the tokens of a record, and name its tags."""
    value = check_object(record.value)
    columns = column_names(options)
    tokens, tags = (get_list(value, name) for name in columns)
    if len(tokens) != len(tags):
        raise RecordError(
            f"has {len(tokens)} {columns[0]} and {len(tags)} {columns[1]}: each token "
            "needs one tag"
        )
    if not tokens:
        raise RecordError("has no tokens")
    for token in tokens:
        if not isinstance(token, str):
            raise RecordError(f"the token {token!r} is not text")
        if problem := word_problem(token):
            raise RecordError(f"the token {token!r} {problem}")
    where = f"{path}, {record.where}"
    names = [_name_of(tag, options, where) for tag in tags]
    return _Record(record.where, tokens, names, value)


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
    for post in rows_to_posts(splits["train"], str(path), options.scheme):
        yield replace(post, where=post.where.removeprefix(f"{path}, "))
