import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from ..files import check_out
from ..inputs import check_inputs
from ._app import GpuId, Model, app


@app.command("show")
def show_cli(
    model: Model,
    text: Annotated[
        str | None,
        typer.Argument(
            help="Text to annotate. Default: the lines of standard input, one at a time",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page of displaCy to this file instead", dir_okay=False
        ),
    ] = None,
    gpu_id: GpuId = -1,
) -> None:
    """Print texts with their entities and confidences, in colour.

    Without colour if standard output is no terminal or NO_COLOR is set.
    """
    if html is not None:
        check_out(html, [model])
    check_inputs([model])
    from ..display.displacy_page import write_page
    from ..display.terminal import annotate, format_doc, has_color
    from ..pipeline.loading import load_pipeline

    # Invalid UTF-8 is printed as replacement characters.
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
        print("One text per line, Ctrl-D to end", file=sys.stderr)
    for line in iter(sys.stdin.readline, ""):
        yield line.rstrip("\r\n")


def _decodable(text: str) -> str:
    # Python decodes invalid bytes of an argument as lone surrogates.
    return text.encode("utf8", "surrogateescape").decode("utf8", "replace")
