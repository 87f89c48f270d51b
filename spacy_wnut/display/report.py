"""The report page: scores, confusion matrix, charts and posts of one or two pipelines."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..corpus.examples import read_surface_forms
from ..errors import WnutError
from ..files import check_out, replacing
from ..scoring.evaluation import evaluate_pipeline
from .figures import TaggedCorpus, report_data

# Each script uses only the ones before it.
SCRIPTS = ("dom.js", "figures.js", "charts.js", "posts.js", "main.js")


def report(
    model: str,
    corpus: Path,
    out: Path,
    against: str | None = None,
    train: Path | None = None,
    gpu_id: int = -1,
) -> dict[str, Any]:
    """Run one or two pipelines on a corpus, and write the report page.

    model (str): The name of an installed pipeline, or its folder.
    corpus (Path): The annotated posts, as for `read_corpus`.
    out (Path): The HTML file to write.
    against (Optional[str]): A second pipeline to compare with.
    train (Optional[Path]): The training data, in any format, to score seen and new
        names separately.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    RETURNS (Dict[str, Any]): The data of the page, from `report_data`.

    Raises WnutError if a pipeline or a corpus can't be used, or if the page can't be
    written.
    """
    # Fast checks first.
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
    """Create the self-contained report page.

    The page loads nothing. Its Content-Security-Policy allows only its script and its
    style, by their hashes.

    data (Mapping[str, Any]): The data, from `report_data`.
    RETURNS (str): The HTML.
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
    # In one pass, so that placeholders inside posts are not replaced.
    return re.sub(r"{{([a-z-]+)}}", lambda found: parts[found[1]], _asset("page.html"))


def embed(data: Any) -> str:
    """Serialize data as JSON for a script element.

    The characters <, > and & are escaped, so that no string can end the element
    (`</script>`) or start a comment in it (`<!--`).

    data (Any): JSON-serializable data.
    RETURNS (str): ASCII text that `JSON.parse` reads.

    Raises ValueError if a number is infinite or NaN.

    Example:
        >>> from spacy_wnut.display.report import embed
        >>> print(embed(["</script>"]))
        ["\\u003c/script\\u003e"]
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
