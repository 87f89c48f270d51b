from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import replacing
from ._app import app


@app.command("check")
def check_cli(
    wheels: Annotated[Path, typer.Argument(help="Folder with the wheels")],
    name: Annotated[str, typer.Argument(help="Pipeline to load")],
    out: Annotated[
        Path | None, typer.Option(help="File for the entities of the test sentence")
    ] = None,
    constraints: Annotated[
        Path | None, typer.Option(help="Constraints file for pip")
    ] = None,
    absent: Annotated[
        list[str], typer.Option(help="Package that must not be among the dependencies")
    ] = [],  # noqa: B006
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Link the dependencies from this environment instead of downloading "
            "them",
        ),
    ] = False,
) -> None:
    """Install wheels into a fresh virtual environment and load the pipeline."""
    from ..packaging.wheels import SENTENCE, check_wheels

    msg.info(f"Installing {wheels} into a fresh virtual environment")
    found = check_wheels(wheels, name, constraints, absent, offline)
    if out is not None:
        with replacing(out) as beside:
            beside.write_text(found, encoding="utf8")
    msg.good(f"{name} loads and annotates, offline: {SENTENCE}")
    print(found, end="")
