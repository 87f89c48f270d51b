"""The report: one page that shows what a pipeline gets right and wrong."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..corpus.docbin import read_surface_forms
from ..errors import WnutError
from ..files import check_out, replacing
from ..scoring.evaluation import evaluate_pipeline
from .figures import TaggedCorpus, report_data

# In the order in which they use each other.
SCRIPTS = ("dom.js", "figures.js", "charts.js", "posts.js", "main.js")


def report(
    model: str,
    corpus: Path,
    out: Path,
    against: str | None = None,
    train: Path | None = None,
    gpu_id: int = -1,
) -> dict[str, Any]:
    """Run one pipeline or two over a corpus and write the report of it.

    model (str): The name of an installed pipeline, or its folder.
    corpus (Path): A DocBin file as `convert` writes it.
    out (Path): The page to write.
    against (Optional[str]): Another pipeline to compare with.
    train (Optional[Path]): The DocBin file that they were trained on, to tell names
        that were seen from new ones.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    RETURNS (Dict[str, Any]): What the page shows, as `report_data` makes it.

    Raises WnutError if a pipeline or a corpus can't be used, or the page can't be
    written.
    """
    # First what is fast and may fail.
    check_out(out, [model, corpus, against or "", train or ""])
    forms = None if train is None else read_surface_forms(train)
    models = [model] if against is None else [model, against]
    runs = []
    protocol = ""
    for name in models:
        posts, protocol = evaluate_pipeline(name, corpus, gpu_id)
        runs.append(TaggedCorpus(name, posts))
    data = report_data(
        runs, str(corpus), protocol, None if train is None else str(train), forms
    )
    try:
        with replacing(out) as beside:
            beside.write_text(make_page(data), encoding="utf8")
    except OSError as err:
        raise WnutError(
            f"can't write the report to {out}: {err}. Name another file with --out"
        ) from err
    return data


def make_page(data: Mapping[str, Any]) -> str:
    """The page of a report, complete in itself: it loads nothing.

    The browser is told so, too (Content-Security-Policy): it runs the page's own
    script and style, known by their hashes, and asks for nothing else.

    data (Mapping[str, Any]): As `report_data` returns it.
    RETURNS (str): HTML.
    """
    style = _asset("style.css")
    script = "".join(_asset(name) for name in SCRIPTS)
    names = " and ".join(run["name"] for run in data["runs"])
    parts = {
        "title": html.escape(f"{names} on {data['corpus']}"),
        "style": style,
        "style-hash": _hash(style),
        "script": script,
        "script-hash": _hash(script),
        "data": embed(data),
    }
    # In one go: a post that holds a placeholder stays as it is.
    return re.sub(r"{{([a-z-]+)}}", lambda found: parts[found[1]], _asset("page.html"))


def embed(data: Any) -> str:
    """JSON that can stand in a script element: whatever its strings hold, they
    neither end the element (`</script>`) nor open a comment in it (`<!--`).
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
