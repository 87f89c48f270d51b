"""The `spacy-wnut` command. Each subcommand is one file, and is registered on `app`."""

import os
import re
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from wasabi import msg

from ..about import __version__
from ..errors import WnutError
from ..files import check_out


class _Commands(TyperGroup):
    """The group of commands, with a message after an interruption."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _fail("Interrupted: nothing half-written was left", status=130)


PROGRAM = "spacy-wnut"

app = typer.Typer(
    name=PROGRAM,
    cls=_Commands,
    help="Named entities in posts, comments and chat, for spaCy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Environment variables for default arguments, and the default encoder.
DATA, ENCODER = "SPACY_WNUT_DATA", "SPACY_WNUT_ENCODER"
UNLABELLED = "SPACY_WNUT_UNLABELLED"
DEFAULT_ENCODER = "distilbert-base-uncased"
# The exit status of a successful run in which records were rejected.
SOME_REJECTED = 3
# The beginning of the versions or the SHA-256 of a package.
VERSION = re.compile("[=!~]=|[<>,#]")

# Arguments and options of several commands.
Model = Annotated[
    str,
    typer.Argument(
        help="Name of an installed pipeline, or its folder", show_default=False
    ),
]
GoldCorpus = Annotated[
    Path,
    typer.Argument(
        help="File with gold entities: .spacy, or any format that convert reads",
        show_default=False,
    ),
]
JsonTo = Annotated[
    Path | None,
    typer.Option(
        "--json",
        help="JSON file for the scores (fractions); - for standard output",
        dir_okay=False,
        allow_dash=True,
    ),
]
GpuId = Annotated[int, typer.Option("--gpu-id", help="GPU to run on; -1 for the CPU")]
Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TEXTS]...",
        help="Files with one post per line (.txt, .gz), or folders of them. Default: "
        "SPACY_WNUT_UNLABELLED",
        show_default=False,
    ),
]
PerFile = Annotated[
    int | None,
    typer.Option(help="Maximum number of posts to sample from each file"),
]
HasBias = Annotated[
    bool,
    typer.Option("--bias", help="Also tune the bias, for the best entity F1 on dev"),
]


TokenColumn = Annotated[
    int | None,
    typer.Option(
        "--token-column",
        metavar="N",
        help="CoNLL: column of the words, from 1; -1 is the last. Default: the first "
        "column that does not number them",
        show_default=False,
    ),
]
TagColumn = Annotated[
    int | None,
    typer.Option(
        "--tag-column",
        metavar="N",
        help="CoNLL: column of the tags, from 1; -1 is the last. Default: the last "
        "column or, after a column of numbers, the only one with tags",
        show_default=False,
    ),
]


class Scheme(str, Enum):
    """The names of `schemes.SCHEMES`."""

    bio = "bio"
    iob1 = "iob1"
    io = "io"
    iobes = "iobes"
    bilou = "bilou"


TagScheme = Annotated[
    Scheme | None,
    typer.Option(
        "--scheme",
        help="Scheme of the tags. Default: by the tags. io also reads types without "
        "prefixes",
        show_default=False,
    ),
]

TypesMap = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="OLD=NEW,...",
        help="New names of entity types; OLD= drops a type. Example: PER=person,MISC=",
        show_default=False,
    ),
]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Named entities in posts, comments and chat, for spaCy."""


def main() -> None:
    """Run the command line. Bad input ends with a message on stderr and exit status 1,
    Ctrl-C and `kill` with status 130, without a traceback.
    """
    # SIGTERM, as from `kill` or a service manager, cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(prog_name=PROGRAM)
    except WnutError as err:
        _fail(str(err), status=1)
    except ModuleNotFoundError as err:
        # A missing module of this package is a bug.
        if (err.name or "spacy_wnut").partition(".")[0] == "spacy_wnut":
            raise
        _fail(
            f"this command needs the package {err.name}, which isn't installed: "
            'pip install "spacy-wnut[train]" has all packages for the commands',
            status=1,
        )
    except OSError as err:
        # A full disk or a read-only folder: the message of the system.
        _fail(str(err), status=1)


def first_set(values: Sequence[str], variable: str, default: str) -> str:
    """Return the first value that is not empty, otherwise the value of an environment
    variable, otherwise the default.

    values (Sequence[str]): The arguments of the user.
    variable (str): The name of the environment variable.
    default (str): The value if none is set.

    Raises WnutError if a path or the name of a package was split at its blanks, as
    variables in project.yml are.
    """
    given = [value for value in values if value]
    if not given:
        return os.environ.get(variable) or default
    whole = " ".join(given)
    if len(given) > 1 and Path(whole).exists():
        raise WnutError(
            f"The path {whole!r} has blanks and was split at them. Set {variable} to it"
        )
    # Otherwise the newest version would be used silently.
    if given[0].startswith("pypi:") and VERSION.match("".join(given[1:])):
        raise WnutError(
            f"{whole!r} has blanks: write it without, as pypi:NAME==VERSION"
        )
    return given[0]


def texts_of(names: Sequence[str] | None) -> list[str]:
    """Return the names of files and folders with posts. Empty names, as from project.yml,
    are dropped; without any, the environment variable is used.

    Raises WnutError as `first_set` does.
    """
    given = [name for name in names or () if name]
    first = first_set(given, UNLABELLED, "")
    return given or ([first] if first else [])


def check_json(json_to: Path | None, inputs: Iterable[Path | str]) -> None:
    """Check the file of `--json` before anything is measured.

    Raises WnutError as `check_out` does.
    """
    if json_to is not None and json_to != Path("-"):
        check_out(json_to, inputs)


def _fail(text: str, status: int) -> NoReturn:
    with redirect_stdout(sys.stderr):
        msg.fail(text)
    sys.exit(status)
