from pathlib import Path
from typing import Annotated

import typer

from ..errors import WnutError
from ._app import GpuId, HasBias, JsonTo, app


@app.command(
    "sweep", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def sweep_cli(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG... [--SECTION.NAME VALUE]...",
            help="Configs, and after them settings to override, as for spacy train. "
            "The first config is compared with each of the others",
            show_default=False,
        ),
    ],
    corpus: Annotated[
        Path,
        typer.Option(
            "--corpus",
            help="Folder with the corpora of both protocols: gold and spacy",
            file_okay=False,
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for OUTPUT/CONFIG/seed-SEED with the model and metrics.json",
            file_okay=False,
        ),
    ] = Path("training/sweep"),
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas")] = "0,1,2",
    has_bias: HasBias = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Repeat finished trainings")
    ] = False,
    json_to: JsonTo = None,
    gpu_id: GpuId = -1,
) -> None:
    """Train configs over several seeds, calibrate on dev, and score dev and test.

    Finished trainings are skipped, so after an interruption the same command continues.
    """
    from ..sweep.plan import check_files, plan_runs

    configs, rest = _split(arguments)
    numbers = _parse_seeds(seeds)
    check_files(configs, corpus, output)
    from spacy.cli._util import parse_config_overrides

    from ..scoring.output import write_output
    from ..sweep.running import run_all
    from ..sweep.summary import summarise
    from ..sweep.tables import format_summary

    overrides = parse_config_overrides(rest)
    runs = plan_runs(configs, numbers, corpus, output, overrides, has_bias)
    summary = summarise(run_all(runs, corpus, gpu_id, has_bias, retrain))
    write_output(f"\n{format_summary(summary)}", summary, json_to)


def _split(arguments: list[str]) -> tuple[list[Path], list[str]]:
    """Split arguments into configs and settings, at the first one with a dash."""
    options = [i for i, word in enumerate(arguments) if word.startswith("-")]
    first = options[0] if options else len(arguments)
    if not first:
        raise WnutError("Name at least one config before the settings to override")
    for word in arguments[first:]:
        if word.startswith("--") and "." not in word:
            raise WnutError(
                f"There is no option {word}, and settings to override have a dot, as in "
                "--training.dropout 0.2. See spacy-wnut sweep --help"
            )
    return [Path(word) for word in arguments[:first]], arguments[first:]


def _parse_seeds(text: str) -> list[int]:
    try:
        return list(dict.fromkeys(int(seed) for seed in text.split(",")))
    except ValueError as err:
        raise WnutError(
            f"--seeds {text} is no list of integers: give something like 0,1,2"
        ) from err
