"""Output of scores: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

from wasabi import msg

from ..errors import WnutError
from ..files import replacing
from ..labels import split_tag
from .measures import AllScores, ScoredPost
from .tables import format_scores

STDOUT = Path("-")


def report_scores(title: str, scores: AllScores, json_to: Path | None) -> None:
    """Print scores as tables, and optionally write them as JSON.

    title (str): The line above the tables.
    scores (AllScores): The scores, from `measures.all_scores`.
    json_to (Path | None): The JSON file, or None to write no JSON. With `-`, the JSON
        goes to standard output and the tables go to standard error.

    Raises WnutError if the file can't be written.
    """
    write_output(f"{title}\n{format_scores(scores)}", scores, json_to)


def warn_of_types(posts: Iterable[ScoredPost]) -> None:
    """Warn on standard error if gold and predicted entities have no type in common.

    posts (Iterable[ScoredPost]): The posts.
    """
    gold: set[str] = set()
    predicted: set[str] = set()
    for post in posts:
        gold.update(split_tag(tag)[1] for tag in post.gold_tags)
        predicted.update(split_tag(tag)[1] for tag in post.predicted_tags)
    gold -= {""}
    predicted -= {""}
    if gold and predicted and gold.isdisjoint(predicted):
        with redirect_stdout(sys.stderr):
            msg.warn(
                f"The gold entities have the types {', '.join(sorted(gold))}, and the "
                f"predicted ones {', '.join(sorted(predicted))}: they have none in "
                "common, so all scores are 0. Rename the gold types with --map, such as "
                f"--map {min(gold)}={min(predicted)}"
            )


def write_output(text: str, figures: Any, json_to: Path | None) -> None:
    """Print a text, and optionally write figures as JSON.

    text (str): The text to print.
    figures (Any): JSON-serializable data.
    json_to (Path | None): The JSON file, or None to write no JSON. With `-`, the JSON
        goes to standard output and the text goes to standard error.

    Raises WnutError if the file can't be written.
    """
    people = sys.stderr if json_to == STDOUT else sys.stdout
    print(text, file=people)
    if json_to == STDOUT:
        print(_dump(figures))
    elif json_to is not None:
        write_figures({json_to: figures})


def write_figures(files: Mapping[Path, Any]) -> None:
    """Write JSON files, all of them or none.

    files (Mapping[Path, Any]): The figures of each file, of types that JSON has.

    Raises WnutError if a file can't be written.
    """
    try:
        with ExitStack() as stack:
            # No file takes its place before the last one is written.
            for path, figures in files.items():
                beside = stack.enter_context(replacing(path))
                beside.write_text(_dump(figures) + "\n", encoding="utf8")
    except OSError as err:
        raise WnutError(
            f"can't write the scores to {', '.join(map(str, files))}: {err}. Name "
            "another place with --json"
        ) from err


def _dump(figures: Any) -> str:
    return json.dumps(figures, indent=2)
