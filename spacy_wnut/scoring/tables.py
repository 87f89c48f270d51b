"""Scores as tables for people, in percent."""

from wasabi.tables import table

from .measures import PRF, AllScores


def format_scores(scores: AllScores) -> str:
    """The scores as two tables, measures and types, in percent with two decimals.

    scores (AllScores): As `measures.all_scores` returns them.
    RETURNS (str): Lines to print.
    """
    halves = []
    if "seen" in scores and "unseen" in scores:
        halves = [
            ("Seen names", *_columns(scores["seen"]), ""),
            ("Unseen names", *_columns(scores["unseen"]), ""),
        ]
    accuracy = _percent(scores["seqeval"]["accuracy"])
    measures = table(
        [
            ("Entity", *_columns(scores["entity"]), ""),
            ("Surface", *_columns(scores["surface"]), ""),
            ("seqeval", *_columns(scores["seqeval"]), accuracy),
            ("seqeval strict", *_columns(scores["seqeval_strict"]), ""),
            *halves,
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
