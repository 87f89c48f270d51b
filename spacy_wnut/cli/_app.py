"""The `spacy-wnut` command: one file a subcommand, registered on `app`."""

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from wasabi import msg

from ..errors import WnutError
from ..files import check_out


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

# The environment variables with defaults of arguments, and the encoder without one.
DATA, ENCODER = "SPACY_WNUT_DATA", "SPACY_WNUT_ENCODER"
UNLABELLED = "SPACY_WNUT_UNLABELLED"
DEFAULT_ENCODER = "distilbert-base-uncased"

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
    list[str] | None,
    typer.Argument(
        metavar="[TEXTS]...",
        help="Files with one post per line (.txt, .gz), or folders of them. By default "
        "that of SPACY_WNUT_UNLABELLED",
        show_default=False,
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
    except ModuleNotFoundError as err:
        # One of ours that is missing is a bug.
        if (err.name or "spacy_wnut").partition(".")[0] == "spacy_wnut":
            raise
        _fail(
            f"this command needs the package {err.name}, which isn't installed: "
            'pip install "spacy-wnut[train]" has all that the commands need',
            status=1,
        )
    except OSError as err:
        # A full disk, a folder that can't be written: said by the system.
        _fail(str(err), status=1)


def first_set(values: Sequence[str], variable: str, default: str) -> str:
    """The first value that isn't empty, else that of an environment variable, else
    the default.

    values (Sequence[str]): The values that were given.
    variable (str): The name of the environment variable.
    default (str): The value if nothing is set.

    Raises WnutError if a path was split at its blanks, as a variable in project.yml is.
    """
    given = [value for value in values if value]
    if not given:
        return os.environ.get(variable) or default
    whole = " ".join(given)
    if len(given) > 1 and Path(whole).exists():
        raise WnutError(
            f"The path {whole!r} has blanks and was split at them. Set {variable} to it"
        )
    return given[0]


def texts_of(names: Sequence[str] | None) -> list[str]:
    """The names of files and folders with posts, if none is given that of the
    environment variable. As for project.yml, empty names are left out.

    Raises WnutError as `first_set` does.
    """
    given = [name for name in names or () if name]
    first = first_set(given, UNLABELLED, "")
    return given or ([first] if first else [])


def check_json(json_to: Path | None, inputs: Iterable[Path | str]) -> None:
    """Check where `--json` writes to, before anything is measured.

    Raises WnutError as `check_out` does.
    """
    if json_to is not None and json_to != Path("-"):
        check_out(json_to, inputs)


def _fail(text: str, status: int) -> NoReturn:
    with redirect_stdout(sys.stderr):
        msg.fail(text)
    sys.exit(status)
