"""Scores as tables for people, in percent."""

from wasabi.tables import table

from .measures import PRF, Scores


def format_scores(scores: Scores) -> str:
    """The scores as two tables, measures and types, in percent with two decimals.

    scores (Scores): As `measures.all_scores` returns them.
    RETURNS (str): Lines to print.
    """
    accuracy = _percent(scores["seqeval"]["accuracy"])
    measures = table(
        [
            ("Entity", *_columns(scores["entity"]), ""),
            ("Surface", *_columns(scores["surface"]), ""),
            ("seqeval", *_columns(scores["seqeval"]), accuracy),
            ("seqeval strict", *_columns(scores["seqeval_strict"]), ""),
        ],
        header=("Measure", "P", "R", "F1", "Accuracy"),
        aligns=("l", "r", "r", "r", "r"),
        divider=True,
    )
    types = table(
        [(label, *_columns(prf)) for label, prf in scores["per_type"].items()],
        header=("Type", "P", "R", "F1"),
        aligns=("l", "r", "r", "r"),
        divider=True,
    )
    return f"{measures}{types}".rstrip()


def _columns(prf: PRF) -> tuple[str, str, str]:
    return _percent(prf["precision"]), _percent(prf["recall"]), _percent(prf["f1"])


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"
