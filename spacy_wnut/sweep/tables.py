"""Tables of the results of a sweep."""

from typing import Literal

from wasabi.tables import table

from .summary import ConfigComparison, ConfigSummary, SweepSummary


def format_summary(summary: SweepSummary) -> str:
    """Format a summary as one table per config and one line per comparison.

    summary (SweepSummary): The summary, from `summarise`.
    RETURNS (str): The tables and lines, in percent.
    """
    parts = [_format_config(config) for config in summary["configs"]]
    lines = [_format_comparison(comparison) for comparison in summary["comparisons"]]
    return "\n\n".join([*parts, "\n".join(lines)]).rstrip()


def _format_config(config: ConfigSummary) -> str:
    figures = config["figures"].values()
    rows = [
        (f"seed {seed}", *(_percent(figure["runs"][i]) for figure in figures))
        for i, seed in enumerate(config["seeds"])
    ]
    rows.append(("mean", *(_percent(figure["mean"]) for figure in figures)))
    rows.append(("sd", *(_percent(figure["sd"]) for figure in figures)))
    title = f"{config['config']} on {config['encoder'] or 'no encoder'}"
    aligns: list[Literal["l", "r", "c"]] = ["l"]
    aligns += ["r"] * len(figures)
    figures_table = table(
        rows,
        header=("", *config["figures"]),
        aligns=aligns,
        divider=True,
    ).rstrip()
    low, high = config["test_f1_interval"]
    return (
        f"{title}, {config['device']}\n{figures_table}\ntest F1: {_percent(low)} to "
        f"{_percent(high)} in 95% of samples of posts (bootstrap)"
    )


def _format_comparison(comparison: ConfigComparison) -> str:
    return (
        f"{comparison['config']} over {comparison['against']}: "
        f"{100 * comparison['difference']:+.2f} test F1, p = {comparison['p']:.4f} "
        "(paired bootstrap over posts, one-sided)"
    )


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f}"
