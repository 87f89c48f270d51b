"""Command line shared by the programs."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_wnut.errors import WnutError

# Options that several programs have.
SpacyPosts = Annotated[
    Path, typer.Option(help="Posts to run on: a DocBin on spaCy's tokens")
]
Environments = Annotated[Path, typer.Option(help="Folder of the virtual environments")]


def make_app(docstring: str | None) -> typer.Typer:
    """Create the command line of a program with several commands.

    docstring (Optional[str]): Docstring of the program's module, for `--help`.
    """
    return typer.Typer(
        help=to_help(docstring),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def to_help(docstring: str | None) -> str:
    """Convert a module's docstring to the text of `--help`."""
    # Click keeps the line breaks of a paragraph after "\b": here of indented commands.
    return (docstring or "").replace("\n\n    ", "\n\n\b\n    ")


def run_app(app: typer.Typer) -> None:
    """Run a program; a WnutError ends it with a message and exit status 1."""
    try:
        app()
    except WnutError as err:
        msg.fail(str(err))
        sys.exit(1)
