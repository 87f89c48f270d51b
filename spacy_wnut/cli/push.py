from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ._app import app


@app.command("push")
def push_cli(
    wheels: Annotated[Path, typer.Argument(help="Folder with the wheels")],
    name: Annotated[
        str, typer.Argument(help="Pipeline to upload, such as en_wnut_ner")
    ],
    repo: Annotated[
        str | None,
        typer.Option(
            help="Repository on the hub, as USER/NAME. Default: NAME of the user who is "
            "logged in",
            show_default=False,
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private")
    ] = False,
) -> None:
    """Upload a packaged pipeline to the Hugging Face hub, for pip install.

    Log in with `huggingface-cli login` before.
    """
    from ..huggingface.push import push_pipeline

    pushed = push_pipeline(wheels, name, repo or None, private)
    msg.good(f"Shared {name}: {pushed.url}")
    print(f"Install it:\npip install {' '.join(pushed.wheels)}")
