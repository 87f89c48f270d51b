"""Checks that inputs exist. They import nothing heavy, so that commands can make them
before they load spaCy.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from .errors import WnutError


def check_inputs(
    pipelines: Iterable[str | None] = (), corpora: Iterable[Path | None] = ()
) -> None:
    """Check that pipelines and corpora exist.

    pipelines (Iterable[Optional[str]]): Names of installed pipelines, or folders. None is
        ignored.
    corpora (Iterable[Optional[Path]]): Files of annotated posts. None is ignored.

    Raises WnutError for the first one that doesn't.
    """
    for pipeline in pipelines:
        if pipeline is not None:
            check_pipeline(pipeline)
    for corpus in corpora:
        if corpus is not None:
            check_corpus(corpus)


def check_pipeline(pipeline: str) -> None:
    """Check that `spacy.load` finds a pipeline. It may still be damaged.

    pipeline (str): The name of an installed pipeline, or its folder. As for
        `spacy.load`, "blank:en" is an empty pipeline.

    Raises WnutError if there is neither a package nor a path of this name.
    """
    # Not Path.exists, which raises OSError for a name that is too long.
    if pipeline.startswith("blank:") or os.path.exists(pipeline):
        return
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(pipeline)
    # ValueError: an empty name.
    except (PackageNotFoundError, ValueError):
        raise WnutError(
            f"the pipeline {pipeline} can't be loaded: give the name of an installed one "
            "or the folder of one. There is no package and no folder of this name"
        ) from None


def check_corpus(corpus: Path) -> None:
    """Check that a file of annotated posts exists.

    corpus (Path): The file.

    Raises WnutError if it is missing, or is a folder.
    """
    # Not Path.is_file, for the same reason as above.
    if os.path.isdir(corpus):
        raise WnutError(
            f"{corpus} is a folder: give one file of annotated posts, such as a .spacy "
            "file that `spacy-wnut convert` writes"
        )
    if not os.path.isfile(corpus):
        raise WnutError(f"there is no file {corpus}: make it with `spacy-wnut convert`")
