"""The `spacy-wnut` command: one file a subcommand, registered on `app`."""

import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from wasabi import msg

from ..errors import WnutError


class _Commands(TyperGroup):
    """Says what an interruption left. Typer ends with the status alone."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _fail("Interrupted: nothing half-written was left", status=130)


app = typer.Typer(
    name="spacy-wnut",
    cls=_Commands,
    help="Named entities in posts, comments and chat, for spaCy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Arguments and options that several commands have.
Model = Annotated[
    str,
    typer.Argument(
        help="Name of an installed pipeline, or its folder", show_default=False
    ),
]
GoldCorpus = Annotated[
    Path,
    typer.Argument(
        help="DocBin (.spacy) with the right entities, as convert writes it",
        show_default=False,
    ),
]
JsonTo = Annotated[
    Path | None,
    typer.Option(
        "--json",
        help="File to write the figures to, as fractions; - for standard output",
        dir_okay=False,
        allow_dash=True,
    ),
]
GpuId = Annotated[int, typer.Option("--gpu-id", help="GPU to run on; -1 for the CPU")]
Texts = Annotated[
    list[str],
    typer.Argument(
        metavar="TEXTS...",
        help="Files with a post a line (.txt, .gz), or folders of them. Empty "
        "names are passed over",
    ),
]
PerFile = Annotated[
    int | None,
    typer.Option(help="The greatest number of posts to draw from each file"),
]
HasBias = Annotated[
    bool,
    typer.Option("--bias", help="Tune the bias as well, for the best entity F1 on dev"),
]


TokenColumn = Annotated[
    int | None,
    typer.Option(
        "--token-column",
        metavar="N",
        help="CoNLL: column of the words, from 1; -1 is the last. The first one that "
        "doesn't count them if not set",
        show_default=False,
    ),
]
TagColumn = Annotated[
    int | None,
    typer.Option(
        "--tag-column",
        metavar="N",
        help="CoNLL: column of the BIO tags, from 1; -1 is the last. The last one, or "
        "behind numbers the only one with such tags, if not set",
        show_default=False,
    ),
]


@app.callback()
def _about() -> None:
    """Named entities in posts, comments and chat, for spaCy."""


def main() -> None:
    """Run the command line. Bad input ends with a message on stderr and exit
    status 1, Ctrl-C and `kill` with status 130; none shows a traceback.
    """
    # `kill`, and what stops a service or a job: it cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(prog_name="spacy-wnut")
    except WnutError as err:
        _fail(str(err), status=1)
    except OSError as err:
        # A full disk, a folder that can't be written: said by the system.
        _fail(str(err), status=1)


def first_set(values: Sequence[str], what: str) -> str:
    """The first value that isn't empty, so that project.yml can give a variable,
    an environment variable and a default, in this order.

    Raises WnutError if there is none.
    """
    for value in values:
        if value:
            return value
    raise WnutError(f"All names of {what} are empty: give one that isn't")


def _fail(text: str, status: int) -> NoReturn:
    with redirect_stdout(sys.stderr):
        msg.fail(text)
    sys.exit(status)
