"""Tables of scores."""

from wasabi.tables import table

from .measures import PRF, AllScores


def format_scores(scores: AllScores) -> str:
    """Format scores as two tables: one row per measure, and one row per entity type.

    scores (AllScores): The scores, from `measures.all_scores`.
    RETURNS (str): The tables, in percent with two decimals.
    """
    parts = []
    if "seen" in scores and "unseen" in scores:
        parts = [
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
            *parts,
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
