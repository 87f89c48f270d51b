"""Where rows come from: CoNLL files, the hub, folders in datasets' formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..errors import WnutError
from ..labels import WNUT_17, LabelScheme
from .conll import Columns, read_conll
from .rows import SPLITS, Row, adopt_rows, build_rows, infer_scheme, parse_labels

if TYPE_CHECKING:
    from datasets import DatasetDict  # type: ignore[import-untyped]

WNUT_NAME = "wnut_17"
WNUT_HUB_ID = "leondz/wnut_17"
WNUT_ASSETS = Path("assets", "wnut17")
WNUT_FILES = {
    "train": "wnut17train.conll",
    "validation": "emerging.dev.conll",
    "test": "emerging.test.annotated",
}
# The hub's own conversion of datasets that are a script in `main`, which
# datasets 4 and later don't run.
PARQUET = "refs/convert/parquet"

SPLIT_STEMS = {
    "train": ("train",),
    "validation": ("dev", "valid", "validation"),
    "test": ("test",),
}
SUFFIXES = (".conll", ".txt", ".iob", ".bio")
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def load_rows(
    source: str, labels: Sequence[str] | None = None, columns: Columns | None = None
) -> DatasetDict:
    """Load WNUT 17, or another dataset of the same schema.

    source (str): One of
        - "wnut_17": WNUT 17 from wherever it can be had, which is the folder
          assets/wnut17 or else the hub;
        - a folder with three CoNLL files, of WNUT 17's published names or
          train.conll, dev.conll and test.conll;
        - a folder that `datasets` reads (parquet, JSON, `save_to_disk`);
        - a dataset's id on the hub, such as "leondz/wnut_17".
    labels (Sequence[str] | None): The entity types, in the order that the tags
        are to have. If None they are WNUT 17's, in the published order, when
        that has all the types of the data, else those of the data in
        alphabetical order. Files of the published names are held to WNUT 17's.
    columns (Columns | None): The columns of the tokens and tags in CoNLL files. If
        None they are inferred, as `read_conll` does it.
    RETURNS (DatasetDict): train, validation and test, each with the features
        id (string), tokens (list of string) and ner_tags (list of ClassLabel:
        O, then B- and I- of every type). Each split's `info.description` says
        what was read.

    Raises WnutError if the source isn't there or isn't of this schema, or if columns
    are named and it holds no CoNLL files.
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
    if not HUB_ID.fullmatch(source):
        raise WnutError(
            f"The folder {source} isn't there: give one with {_names_files()}"
        )
    _refuse_columns(columns, f"Hub dataset {source}")
    try:
        return _load_hub(source, scheme)
    except WnutError as err:
        raise WnutError(
            f"{err}. {source} is no folder here either. To do without the hub, set "
            f"SPACY_WNUT_DATA or --vars.wnut17 to a folder with {_names_files()}"
        ) from err


def _load_wnut(scheme: LabelScheme | None, columns: Columns) -> DatasetDict:
    roads: list[Callable[[], DatasetDict]] = [
        lambda: _load_folder(WNUT_ASSETS, scheme, columns),
        lambda: _load_hub(WNUT_HUB_ID, scheme),
    ]
    failures: list[str] = []
    for road in roads:
        try:
            return road()
        except WnutError as err:
            failures.append(f"({len(failures) + 1}) {err}")
    raise WnutError(
        f"WNUT 17 wasn't found. Tried: {'; '.join(failures)}. Set SPACY_WNUT_DATA or "
        f"--vars.wnut17 to a folder with {_names_files()}, or run `python -m spacy "
        "project assets` where the network can be reached"
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
    return _load_local(folder, scheme)


def _refuse_columns(columns: Columns, origin: str) -> None:
    if columns != Columns():
        raise WnutError(
            f"{origin} has no CoNLL files, whose columns --token-column and "
            "--tag-column name: leave both out"
        )


def _find_conll(folder: Path) -> dict[str, Path]:
    """The CoNLL file of every split, or nothing if the folder has no such file."""
    found = {
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
    if not any(found.values()):
        return {}
    for split, paths in found.items():
        if not paths:
            raise WnutError(
                f"Folder {folder} has no file of the split {split}: expected "
                f"{WNUT_FILES[split]} or {SPLIT_STEMS[split][0]}.conll in it"
            )
        if len(paths) > 1:
            raise WnutError(
                f"Folder {folder} has {len(paths)} files of the split {split}: keep "
                f"one of {', '.join(path.name for path in paths)}"
            )
    return {split: path for split, [path] in found.items()}


def _load_conll(
    files: dict[str, Path],
    scheme: LabelScheme | None,
    folder: Path,
    columns: Columns,
) -> DatasetDict:
    splits = {
        split: [
            Row(str(i), post.tokens, post.tags)
            # A published name says what the labels are, so there a label that
            # WNUT 17 doesn't have is a mistake.
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


def _load_local(folder: Path, scheme: LabelScheme | None) -> DatasetDict:
    import datasets

    origin = f"Folder {folder}"
    # In memory and with a cache that goes away: the files are here already.
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
        return adopt_rows(loaded, scheme, origin)


def _load_hub(name: str, scheme: LabelScheme | None) -> DatasetDict:
    import datasets

    origin = f"Hub dataset {name}"
    options = {"revision": PARQUET} if name == WNUT_HUB_ID else {}
    silence = _ask_hub()
    before = datasets.config.HF_HUB_OFFLINE
    # Where the hub doesn't answer, look in the cache at once, which is what
    # `datasets` does anyway after half a minute of trying again.
    datasets.config.HF_HUB_OFFLINE = before or silence is not None
    try:
        loaded = _attempt(datasets.load_dataset, name, origin, **options)
    except WnutError as err:
        if silence is None or not isinstance(err.__cause__, ConnectionError):
            raise
        raise WnutError(f"{origin} isn't in the cache, and {silence}") from err
    finally:
        datasets.config.HF_HUB_OFFLINE = before
    return adopt_rows(loaded, scheme, origin)


def _ask_hub() -> str | None:
    """Why the hub can't be reached, or None if it can."""
    import huggingface_hub
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return "the hub isn't asked since HF_HUB_OFFLINE is set"
    try:
        # Any answer will do, an error's too.
        huggingface_hub.get_session().head(ENDPOINT, timeout=10)
    # As requests or httpx has it, whichever this huggingface_hub is built on.
    except Exception as err:
        return f"{ENDPOINT} doesn't answer ({type(err).__name__})"
    return None


def _attempt(load: Callable[..., Any], name: str, origin: str, **options: Any) -> Any:
    try:
        return load(name, **options)
    # Whatever goes wrong in there has a type of its own: that of requests or
    # httpx, pyarrow, fsspec or datasets. To a user it is all the same.
    except Exception as err:
        reason = str(err) or type(err).__name__
        raise WnutError(f"{origin} can't be loaded: {reason}") from err


def _check_datasets() -> None:
    try:
        import datasets  # noqa: F401
    except ImportError:
        raise WnutError(
            "Loading data takes the package datasets: pip install 'spacy-wnut[train]'"
        ) from None
