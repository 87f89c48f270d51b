"""Loading of rows from CoNLL files, the hub, or folders in a format of `datasets`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
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
# The hub's conversion of datasets whose `main` is a loading script, which datasets 4 and
# later don't run.
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
    attempts: list[Callable[[], DatasetDict]] = [
        lambda: _load_folder(WNUT_ASSETS, scheme, columns),
        lambda: _load_hub(WNUT_HUB_ID, scheme),
    ]
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
            f"{origin} has no CoNLL files, but --token-column and --tag-column apply "
            "only to CoNLL files: leave both out"
        )


def _find_conll(folder: Path) -> dict[str, Path]:
    """Return the CoNLL file of each split, or nothing if the folder has no CoNLL files."""
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


def _load_local(folder: Path, scheme: LabelScheme | None) -> DatasetDict:
    import datasets

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
        return adopt_rows(loaded, scheme, origin)


def _load_hub(name: str, scheme: LabelScheme | None) -> DatasetDict:
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
    return adopt_rows(loaded, scheme, origin)


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
