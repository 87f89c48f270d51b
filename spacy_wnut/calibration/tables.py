"""What calibration did, as a table for people."""

from wasabi.tables import table

from .pipeline import Calibration, ConfidenceScores


def format_calibration(calibration: Calibration) -> str:
    """The settings, and the figures before and after: F1 in percent, ECE as the
    distance between probabilities that it is.

    calibration (Calibration): As `calibrate` returns it.
    RETURNS (str): Lines to print.
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
