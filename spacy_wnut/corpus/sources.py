"""Loading of annotated data from files, the hub, or folders in a format of `datasets`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from ..compression import codec_of
from ..errors import WnutError
from ..labels import WNUT_17, LabelScheme
from .conll import read_conll
from .formats.options import ReadOptions
from .formats.registry import FORMATS, JSON_SUFFIXES, Format, find_format
from .layout import Columns
from .posts import Post, Rejection
from .rows import (
    SPLITS,
    Row,
    adopt_rows,
    build_rows,
    infer_scheme,
    parse_labels,
    read_dataset,
    rows_to_posts,
)
from .type_map import TypeMap, types_of

if TYPE_CHECKING:
    from datasets import DatasetDict  # type: ignore[import-untyped]

T = TypeVar("T")
WNUT_NAME = "wnut_17"
WNUT_HUB_ID = "leondz/wnut_17"
WNUT_ASSETS = Path("assets", "wnut17")
WNUT_FILES = {
    "train": "wnut17train.conll",
    "validation": "emerging.dev.conll",
    "test": "emerging.test.annotated",
}
# The hub's conversion of datasets whose `main` is a loading script, which datasets 4 and
# later don't run.
PARQUET = "refs/convert/parquet"

SPLIT_STEMS = {
    "train": ("train",),
    "validation": ("dev", "valid", "validation"),
    "test": ("test",),
}
SUFFIXES = (".conll", ".txt", ".iob", ".bio")
# Names with these suffixes are files, not datasets of the hub.
FILE_SUFFIXES = (
    *SUFFIXES,
    *JSON_SUFFIXES,
    ".parquet",
    *(suffix for one in FORMATS.values() for suffix in one.suffixes),
)
DATASET_OPTIONS = ("tokens_column", "tags_column", "label_names")
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def load_rows(
    source: str, labels: Sequence[str] | None = None, columns: Columns | None = None
) -> DatasetDict:
    """Load WNUT 17, or another dataset with the same schema.

    source (str): One of
        - "wnut_17": WNUT 17 from the folder assets/wnut17 if it exists, else from the
          hub;
        - a folder with three CoNLL files, with the published names of WNUT 17 or named
          train.conll, dev.conll and test.conll;
        - a folder that `datasets` can load (parquet, JSON, `save_to_disk`);
        - the id of a dataset on the hub, such as "leondz/wnut_17".
    labels (Sequence[str] | None): The entity types, in the order of the tags. If None,
        they are the types of WNUT 17, in their published order, if these include all
        types of the data; otherwise the types of the data in alphabetical order. Files
        with the published names may only contain the types of WNUT 17.
    columns (Columns | None): The columns of tokens and tags in CoNLL files. If None,
        `read_conll` infers them.
    RETURNS (DatasetDict): The splits train, validation and test, with the features id
        (string), tokens (list of string) and ner_tags (list of ClassLabel: O, then B-
        and I- of each type). The `info.description` of each split names the source.

    Raises WnutError if the source does not exist or has another schema, or if columns
    are specified but the source has no CoNLL files.
    """
    scheme = None if labels is None else parse_labels(labels)
    columns = columns or Columns()
    _check_datasets()
    if source == WNUT_NAME:
        return _load_wnut(scheme, columns)
    if Path(source).is_dir():
        return _load_folder(Path(source), scheme, columns)
    if Path(source).exists():
        raise WnutError(f"{source} is a file: give the folder with {_names_files()}")
    _check_hub_id(source)
    _refuse_columns(columns, f"Hub dataset {source}")
    try:
        return _adopt(_fetch_hub(source), scheme)
    except WnutError as err:
        raise _no_source(source, err) from err


@dataclass(frozen=True)
class LoadedPosts:
    """Posts loaded from a source.

    origin (str): The source and its format, for people.
    splits (dict[str, list[Post | Rejection]]): The posts and the rejected records of the
        splits of the source: "train", and possibly "validation" and "test".
    """

    origin: str
    splits: dict[str, list[Post | Rejection]]


def load_posts(
    source: str,
    *,
    format_name: str | None = None,
    options: ReadOptions | None = None,
    labels: Sequence[str] | None = None,
    types: TypeMap | None = None,
) -> LoadedPosts:
    """Load annotated posts in any format.

    source (str): One of
        - "wnut_17", or a folder or dataset as for `load_rows`;
        - a folder with one file per split, in any known format: train.*, dev.* (or
          valid.*, validation.*) and test.*, of which only the first one is needed;
        - a file in any known format, or a folder of such files with other names. All
          posts are in the split "train".
    format_name (str | None): The name of the format of the files. If None, it is found by
        the suffix or the content of each file.
    options (ReadOptions | None): The options of the readers.
    labels (Sequence[str] | None): The allowed entity types, or None to allow any. Files
        with the published names of WNUT 17 may only contain its types by default.
    types (TypeMap | None): New names of the entity types. `labels` are new names.
    RETURNS (LoadedPosts): The posts.

    Raises WnutError if the source does not exist or cannot be read, if an option does
    not apply to it, if it has other entity types than `labels`, or if it lacks a type of
    `types`.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from spacy_wnut.corpus.sources import load_posts
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "posts.conll"
        ...     _ = path.write_text("in O\\nOslo B-location\\n\\nlol O\\n")
        ...     loaded = load_posts(str(path))
        >>> [post.text for post in loaded.splits["train"]]
        ['in Oslo', 'lol']
    """
    scheme = None if labels is None else parse_labels(labels)
    request = _Request(format_name, options or ReadOptions(), scheme)
    loaded = request.load(source)
    if types is not None:
        types.check(types_of(_posts_in(loaded.splits)))
        for records in loaded.splits.values():
            records[:] = [
                types.map_post(record) if isinstance(record, Post) else record
                for record in records
            ]
    if scheme is not None:
        _check_types(_posts_in(loaded.splits), scheme)
    return loaded


def read_file(
    path: Path, format_name: str | None = None, options: ReadOptions | None = None
) -> tuple[Format, list[Post | Rejection]]:
    """Read a file of annotated posts.

    path (Path): The file.
    format_name (str | None): The name of its format, or None to find it.
    options (ReadOptions | None): The options of the readers.
    RETURNS (tuple[Format, list[Post | Rejection]]): The format, and the posts. Their
        places name the file.

    Raises WnutError if the file cannot be read.
    """
    options = options or ReadOptions()
    found = _format_of(path, format_name, options)
    records = [
        record._replace(where=f"{path}, {record.where}")
        if isinstance(record, Rejection)
        else replace(record, where=f"{path}, {record.where}")
        for record in found.read(path, options)
    ]
    if not records:
        raise WnutError(f"{path} holds no annotated posts in the format {found.name}")
    return found, records


@dataclass(frozen=True)
class _Request:
    """The settings of `load_posts`."""

    format_name: str | None
    options: ReadOptions
    scheme: LabelScheme | None

    def load(self, source: str) -> LoadedPosts:
        if source == WNUT_NAME:
            return _try_wnut(
                lambda: self._load_folder(WNUT_ASSETS),
                lambda: self._load_dataset(WNUT_HUB_ID, _fetch_hub),
            )
        if os.path.isdir(source):
            return self._load_folder(Path(source))
        if os.path.exists(source):
            return self._load_files({"train": [Path(source)]}, f"file {source}")
        if source.lower().endswith(FILE_SUFFIXES):
            raise WnutError(f"The file {source} isn't there: give annotated data")
        _check_hub_id(source)
        try:
            return self._load_dataset(source, _fetch_hub)
        except WnutError as err:
            raise _no_source(source, err) from err

    def _load_folder(self, folder: Path) -> LoadedPosts:
        if not folder.is_dir():
            raise WnutError(f"Folder {folder} isn't there")
        is_saved = (folder / "dataset_dict.json").exists()
        if not is_saved and (splits := _find_splits(folder)):
            files = {split: [path] for split, path in splits.items()}
            return self._load_files(files, f"files in {folder}")
        if not is_saved and (paths := self._find_posts(folder)):
            names = ", ".join(str(path) for path in paths)
            title = f"file {names}" if len(paths) == 1 else f"files {names}"
            return self._load_files({"train": paths}, title)
        try:
            return self._load_dataset(str(folder), _fetch_local)
        except WnutError as err:
            if is_saved:
                raise
            raise WnutError(
                f"{err}. For data in one of the formats {', '.join(FORMATS)}, name the "
                "files train.*, dev.* and test.*, or give a single file"
            ) from err

    def _find_posts(self, folder: Path) -> list[Path]:
        """Return the files of annotated posts in a folder without files of splits. None
        if the library datasets has to read the folder.
        """
        members = sorted(path for path in folder.iterdir() if path.name[0] != ".")
        if len(members) == 1 and members[0].is_file():
            return members
        # Other files, such as README.txt, are often texts.
        suffixes = tuple(suffix for suffix in FILE_SUFFIXES if suffix != ".txt")
        paths = [
            path
            for path in members
            if path.is_file() and _uncompressed(path).endswith(suffixes)
        ]
        try:
            names = {
                _format_of(path, self.format_name, self.options).name for path in paths
            }
        except WnutError:
            return []
        return [] if "datasets" in names else paths

    def _load_files(self, files: dict[str, list[Path]], origin: str) -> LoadedPosts:
        splits: dict[str, list[Post | Rejection]] = {}
        formats: dict[str, Format] = {}
        for split, path in [
            (key, path) for key, paths in files.items() for path in paths
        ]:
            found, records = read_file(path, self.format_name, self.options)
            splits.setdefault(split, []).extend(records)
            formats[found.name] = found
            # In a file with a published name, a label outside WNUT 17 is an error.
            if self.scheme is None and path.name == WNUT_FILES[split]:
                _check_types(_posts_in({split: records}), WNUT_17)
        used = {name for found in formats.values() for name in found.options}
        title = origin[0].upper() + origin[1:]
        _refuse_options(self.options, used, title, list(formats))
        if list(formats) == ["columns"]:
            return LoadedPosts(f"CoNLL {origin}", splits)
        return LoadedPosts(f"{title} (format: {', '.join(formats)})", splits)

    def _load_dataset(
        self, name: str, fetch: Callable[[str], tuple[Any, str]]
    ) -> LoadedPosts:
        used = set(FORMATS["datasets"].options)
        origin = f"{'Hub dataset' if fetch is _fetch_hub else 'Folder'} {name}"
        if self.format_name not in (None, "datasets"):
            raise WnutError(
                f"{origin} is read by the library datasets, so --format "
                f"{self.format_name} does not apply: leave it out"
            )
        _refuse_options(self.options, used, origin, ["datasets"])
        _check_datasets()
        loaded, origin = fetch(name)
        rows, _ = read_dataset(loaded, origin, self.options)
        if not rows:
            raise WnutError(
                f"{origin} has the splits {', '.join(loaded)}, expected "
                f"{', '.join(SPLITS)}"
            )
        scheme = self.options.scheme
        splits: dict[str, list[Post | Rejection]] = {
            split: list(rows_to_posts(part, f"{origin}, split {split}", scheme))
            for split, part in rows.items()
        }
        return LoadedPosts(origin, splits)


def _posts_in(splits: Mapping[str, Iterable[Post | Rejection]]) -> list[Post]:
    return [
        record
        for records in splits.values()
        for record in records
        if isinstance(record, Post)
    ]


def _format_of(path: Path, name: str | None, options: ReadOptions) -> Format:
    is_dataset = any(getattr(options, option) for option in DATASET_OPTIONS)
    try:
        return find_format(path, name)
    except WnutError:
        # The records have no fields by which other formats are known.
        if name is None and is_dataset and path.is_file():
            return FORMATS["datasets"]
        raise


def _check_types(posts: Iterable[Post], scheme: LabelScheme) -> None:
    for post in posts:
        for span in (*post.spans, *post.incorrect):
            if span.label not in scheme.types:
                raise WnutError(
                    f"{post.where}: {span.label!r} is an unknown label: the known ones "
                    f"are {', '.join(scheme.types)}. Correct it, or set the labels to "
                    "those of the file (--labels)"
                )


def _refuse_options(
    options: ReadOptions, used: Container[str], origin: str, formats: Sequence[str]
) -> None:
    """Raise WnutError if an option is set that applies to none of the formats."""
    if "columns" not in used:
        _refuse_columns(options.columns, origin)
    for name in ("scheme", *DATASET_OPTIONS, "text_field"):
        if getattr(options, name) is not None and name not in used:
            raise WnutError(
                f"--{name.replace('_', '-')} does not apply to {origin}, in the format "
                f"{', '.join(formats)}: leave it out, or choose another format with "
                "--format"
            )


def _load_wnut(scheme: LabelScheme | None, columns: Columns) -> DatasetDict:
    return _try_wnut(
        lambda: _load_folder(WNUT_ASSETS, scheme, columns),
        lambda: _adopt(_fetch_hub(WNUT_HUB_ID), scheme),
    )


def _try_wnut(*attempts: Callable[[], T]) -> T:
    """Return the first result of functions that load WNUT 17."""
    failures: list[str] = []
    for attempt in attempts:
        try:
            return attempt()
        except WnutError as err:
            failures.append(f"({len(failures) + 1}) {err}")
    raise WnutError(
        f"WNUT 17 wasn't found. Tried: {'; '.join(failures)}. Set SPACY_WNUT_DATA or "
        f"--vars.wnut17 to a folder with {_names_files()}, or run `python -m spacy "
        "project assets` with network access"
    )


def _check_hub_id(source: str) -> None:
    if not HUB_ID.fullmatch(source):
        raise WnutError(
            f"The folder {source} isn't there: give one with {_names_files()}"
        )


def _no_source(source: str, err: WnutError) -> WnutError:
    return WnutError(
        f"{err}. {source} is no file or folder here either. To do without the hub, set "
        f"SPACY_WNUT_DATA or --vars.wnut17 to a folder with {_names_files()}"
    )


def _names_files() -> str:
    train, dev, test = WNUT_FILES.values()
    return f"{train}, {dev} and {test} (or train.conll, dev.conll and test.conll)"


def _load_folder(
    folder: Path, scheme: LabelScheme | None, columns: Columns
) -> DatasetDict:
    if not folder.is_dir():
        raise WnutError(f"Folder {folder} isn't there")
    if files := _find_conll(folder):
        return _load_conll(files, scheme, folder, columns)
    _refuse_columns(columns, f"Folder {folder}")
    return _adopt(_fetch_local(str(folder)), scheme)


def _refuse_columns(columns: Columns, origin: str) -> None:
    if columns != Columns():
        raise WnutError(
            f"{origin} has no CoNLL files, but --token-column and --tag-column apply "
            "only to CoNLL files: leave both out"
        )


def _find_conll(folder: Path) -> dict[str, Path]:
    """Return the CoNLL file of each split, or nothing if the folder has no CoNLL files."""
    found = _conll_files(folder)
    if not any(found.values()):
        return {}
    return _one_per_split(folder, found, SPLITS)


def _conll_files(folder: Path) -> dict[str, list[Path]]:
    return {
        split: [
            folder / name
            for name in (
                WNUT_FILES[split],
                *(stem + suffix for stem in SPLIT_STEMS[split] for suffix in SUFFIXES),
            )
            if (folder / name).exists()
        ]
        for split in SPLITS
    }


def _find_splits(folder: Path) -> dict[str, Path]:
    """Return the file of each split, in any format. The first split is needed if there
    are others, and all splits of WNUT 17 if a file has a published name.
    """
    found = _conll_files(folder)
    if not any(found.values()):
        members = sorted(path for path in folder.iterdir() if path.is_file())
        found = {
            split: [path for path in members if _stem(path) in SPLIT_STEMS[split]]
            for split in SPLITS
        }
    if not any(found.values()):
        return {}
    is_published = any(
        path.name == WNUT_FILES[split]
        for split, paths in found.items()
        for path in paths
    )
    return _one_per_split(folder, found, SPLITS if is_published else SPLITS[:1])


def _stem(path: Path) -> str:
    """Return the name of a file without its suffix and that of its compression."""
    return Path(_uncompressed(path)).stem


def _uncompressed(path: Path) -> str:
    """Return the name of a file in lower case, without the suffix of its compression."""
    return (path.stem if codec_of(path.name) else path.name).lower()


def _one_per_split(
    folder: Path, found: Mapping[str, list[Path]], needed: Sequence[str]
) -> dict[str, Path]:
    for split, paths in found.items():
        if not paths and split in needed:
            raise WnutError(
                f"Folder {folder} has no file of the split {split}: expected "
                f"{WNUT_FILES[split]} or {SPLIT_STEMS[split][0]}.conll in it"
            )
        if len(paths) > 1:
            raise WnutError(
                f"Folder {folder} has {len(paths)} files of the split {split}: keep "
                f"one of {', '.join(path.name for path in paths)}"
            )
    return {split: paths[0] for split, paths in found.items() if paths}


def _load_conll(
    files: dict[str, Path],
    scheme: LabelScheme | None,
    folder: Path,
    columns: Columns,
) -> DatasetDict:
    splits = {
        split: [
            Row(str(i), post.tokens, post.tags)
            # In a file with a published name, a label outside WNUT 17 is an error.
            for i, post in enumerate(
                read_conll(
                    path,
                    scheme or (WNUT_17 if path.name == WNUT_FILES[split] else None),
                    columns,
                )
            )
        ]
        for split, path in files.items()
    }
    if scheme is None:
        tags = {tag for rows in splits.values() for row in rows for tag in row.tags}
        try:
            scheme = infer_scheme(tags)
        except ValueError as err:
            raise WnutError(f"Folder {folder}: {err}") from None
    return build_rows(splits, scheme, f"CoNLL files in {folder}")


def _adopt(fetched: tuple[Any, str], scheme: LabelScheme | None) -> DatasetDict:
    loaded, origin = fetched
    return adopt_rows(loaded, scheme, origin)


def _fetch_local(name: str) -> tuple[Any, str]:
    """Return a dataset in a folder, and its origin."""
    import datasets

    folder = Path(name)
    origin = f"Folder {folder}"
    # In memory, with a temporary cache: the files are on this machine already.
    with TemporaryDirectory() as cache:
        if (folder / "dataset_dict.json").exists():
            loaded = _attempt(
                datasets.load_from_disk, str(folder), origin, keep_in_memory=True
            )
        else:
            loaded = _attempt(
                datasets.load_dataset,
                str(folder.resolve()),
                origin,
                cache_dir=cache,
                keep_in_memory=True,
            )
    return loaded, origin


def _fetch_hub(name: str) -> tuple[Any, str]:
    """Return a dataset of the hub, and its origin."""
    import datasets

    origin = f"Hub dataset {name}"
    options = {"revision": PARQUET} if name == WNUT_HUB_ID else {}
    silence = _ask_hub()
    before = datasets.config.HF_HUB_OFFLINE
    # If the hub can't be reached, use the cache at once: `datasets` would do the same
    # after half a minute of retries.
    datasets.config.HF_HUB_OFFLINE = before or silence is not None
    try:
        loaded = _attempt(datasets.load_dataset, name, origin, **options)
    except WnutError as err:
        if silence is None or not isinstance(err.__cause__, ConnectionError):
            raise
        raise WnutError(f"{origin} isn't in the cache, and {silence}") from err
    finally:
        datasets.config.HF_HUB_OFFLINE = before
    return loaded, origin


def _ask_hub() -> str | None:
    """Return why the hub can't be reached, or None if it can be reached."""
    import huggingface_hub
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return "the hub isn't asked since HF_HUB_OFFLINE is set"
    try:
        # Any response will do, even an error.
        huggingface_hub.get_session().head(ENDPOINT, timeout=10)
    # An exception of requests or of httpx, depending on the version of huggingface_hub.
    except Exception as err:
        return f"{ENDPOINT} doesn't answer ({type(err).__name__})"
    return None


def _attempt(load: Callable[..., Any], name: str, origin: str, **options: Any) -> Any:
    try:
        return load(name, **options)
    # The types vary: exceptions of requests or httpx, pyarrow, fsspec or datasets. A user
    # needs the same message for all of them.
    except Exception as err:
        reason = str(err) or type(err).__name__
        raise WnutError(f"{origin} can't be loaded: {reason}") from err


def _check_datasets() -> None:
    # Not imported, which takes seconds.
    if find_spec("datasets") is None:
        raise WnutError(
            "Loading data needs the package datasets: pip install 'spacy-wnut[train]'"
        )
