import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ._app import GpuId, Model, app


@app.command("show")
def show_cli(
    model: Model,
    text: Annotated[
        str | None,
        typer.Argument(
            help="Text to annotate. Without one, lines of standard input, each as "
            "soon as it is there",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Page to write with displaCy, instead", dir_okay=False),
    ] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Show the entities of texts with their confidences, in colour.

    Without colour where standard output is no terminal, or NO_COLOR is set.
    """
    from ..display.displacy_page import write_page
    from ..display.terminal import annotate, format_doc, has_color
    from ..pipeline.loading import load_pipeline

    if html is not None:
        check_out(html, [model])
    # What isn't UTF-8 is shown with a sign for it, like what isn't printable.
    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf8", errors="replace")
    nlp = load_pipeline(model, gpu_id)
    docs = annotate(nlp, _read_lines() if text is None else [_decodable(text)])
    if html is not None:
        n_texts = write_page((doc for doc in docs if len(doc)), html)
        msg.good(f"Wrote {n_texts} texts to {html}")
        return
    in_color = has_color(sys.stdout)
    for doc in docs:
        print(format_doc(doc, in_color), flush=True)


def _read_lines() -> Iterator[str]:
    if sys.stdin.isatty():
        print("A text a line, Ctrl-D to end", file=sys.stderr)
    for line in iter(sys.stdin.readline, ""):
        yield line.rstrip("\r\n")


def _decodable(text: str) -> str:
    # In an argument Python keeps each byte that isn't UTF-8 as half of a character.
    return text.encode("utf8", "surrogateescape").decode("utf8", "replace")
