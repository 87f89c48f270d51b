"""Table of the results of a calibration."""

from wasabi.tables import table

from .pipeline import Calibration, ConfidenceScores


def format_calibration(calibration: Calibration) -> str:
    """Format the scores before and after calibration, and the fitted settings.

    calibration (Calibration): The calibration, from `calibrate`.
    RETURNS (str): The table: ECE as a fraction; precision, recall and F1 in percent.
        Below it, the temperature and the bias.
    """
    figures = table(
        [
            ("before", *_columns(calibration["before"])),
            ("after", *_columns(calibration["after"])),
            ("cross-validated", *_columns(calibration["cross_validated"])),
        ],
        header=("", "ECE", "P", "R", "F1", "Predicted"),
        aligns=("l", "r", "r", "r", "r", "r"),
        divider=True,
    ).rstrip()
    settings = f"temperature {calibration['temperature']:.3f}"
    return f"{figures}\n\n{settings}, bias {calibration['bias']:.1f}"


def _columns(figures: ConfidenceScores) -> tuple[str, ...]:
    entity = figures["entity"]
    percents = (
        f"{100 * entity[measure]:.2f}" for measure in ("precision", "recall", "f1")
    )
    n_predicted = sum(row["count"] for row in figures["reliability"])
    return f"{figures['ece']:.4f}", *percents, str(n_predicted)
