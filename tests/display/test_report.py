"""The HTML of the report. test_browser.py tests it in a browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin

from spacy_wnut.display.report import embed, make_page, report
from spacy_wnut.errors import WnutError

from .conftest import SCRIPT
from .test_colors import contrast

STYLE = (files("spacy_wnut.display") / "assets" / "style.css").read_text()


class Elements(HTMLParser):
    """The start tags of a page with attributes, and the contents of its scripts."""

    def __init__(self, html):
        super().__init__()
        self.found, self.scripts = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


@given(st.text() | st.lists(st.sampled_from(["</script>", "<!--", "-->", "&", "]]>"])))
def test_embedded_json_cannot_end_the_script(value):
    text = embed(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text) and text.isascii()


def test_page_is_self_contained(make_data):
    page = make_page(make_data(2))
    elements = Elements(page)
    assert "{{" not in page.replace("{{style}}", "", 1)
    data, script = elements.scripts
    assert json.loads(data) == make_data(2)
    assert SCRIPT not in page
    for tag, attributes in elements.found:
        # Nothing is loaded, and links stay in the page.
        assert "src" not in attributes and tag not in ("img", "iframe", "object")
        assert attributes.get("href", "#")[0] == "#" or tag == "link"
        assert not [name for name in attributes if name.startswith("on")]
    assert "http" not in STYLE and "url(" not in STYLE and "@import" not in STYLE
    addresses = set(re.findall(r"https?://[^\s\"']+", script))
    assert addresses == {"http://www.w3.org/2000/svg"}


def test_security_policy_forbids_loading(make_data):
    page = make_page(make_data())
    [policy] = [
        attributes["content"]
        for tag, attributes in Elements(page).found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    style = re.search("<style>(.*?)</style>", page, re.DOTALL)[1]
    for name, text in (
        ("script-src", Elements(page).scripts[1]),
        ("style-src", style),
    ):
        digest = hashlib.sha256(text.encode()).digest()
        assert rules[name] == f"'sha256-{base64.b64encode(digest).decode()}'"


def test_wheel_contains_all_assets(root, pyproject):
    globs = pyproject["tool"]["setuptools"]["package-data"]["spacy_wnut"]
    package = root / "spacy_wnut"
    packed = {path for glob in globs for path in package.glob(glob)}
    assert {*(package / "display" / "assets").iterdir()} <= packed


def test_script_never_parses_strings_as_markup(make_data):
    script = Elements(make_page(make_data())).scripts[1]
    for name in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval"):
        assert name not in script


COLORS = dict(re.findall(r"--([\w-]+): light-dark\((#\w{6}, #\w{6})\)", STYLE))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    "text, backs, least",
    [
        ("text", ["back", "raised"], 7),
        ("quiet", ["back", "raised"], 4.5),
        ("accent", ["back", "raised"], 4.5),
        ("bad", ["back"], 4.5),
        ("on-bad", ["bad"], 4.5),
        ("precision", ["back"], 3),
        ("recall", ["back"], 3),
    ],
)
def test_colors_have_enough_contrast(scheme, text, backs, least):
    for back in backs:
        pair = [COLORS[name].split(", ")[scheme] for name in (text, back)]
        assert contrast(*pair) >= least


@pytest.fixture(scope="module")
def corpus(make_nlp, make_examples, tmp_path_factory):
    path = tmp_path_factory.mktemp("corpora") / "dev.spacy"
    DocBin(docs=[eg.reference for eg in make_examples(make_nlp())]).to_disk(path)
    return path


@pytest.fixture(scope="module")
def ruler(tmp_path_factory):
    """A pipeline without confidences that predicts one location."""
    nlp = spacy.blank("en")
    patterns = [{"label": "location", "pattern": "Oslo"}]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    folder = tmp_path_factory.mktemp("pipelines") / "ruler"
    nlp.to_disk(folder)
    return folder


def test_report_on_two_pipelines(trained_folder, ruler, corpus, tmp_path):
    out = tmp_path / "new" / "report.html"
    data = report(str(trained_folder), corpus, out, str(ruler), corpus)
    assert json.loads(Elements(out.read_text()).scripts[0]) == data
    assert (data["protocol"], data["train"]) == ("spaCy tokens", str(corpus))
    first, second = data["runs"]
    assert first["entity"]["f1"] == 1.0 and first["confidence"]["without"] == 0
    assert first["seen"]["gold_unseen"] == 0
    assert second["confidence"] is None
    assert second["entity"] == {
        "precision": 1.0,
        "recall": round(1 / 6, 5),
        "f1": round(2 / 7, 5),
    }


def test_unwritable_page_is_rejected(ruler, corpus, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WnutError, match=r"can't write the report to .*with --out"):
        report(str(ruler), corpus, tmp_path / "file" / "report.html")


def test_training_data_is_checked_before_pipelines_run(corpus, tmp_path):
    with pytest.raises(WnutError, match=r"there is no file .*train\.spacy"):
        report(
            "en_nowhere", corpus, tmp_path / "x.html", train=tmp_path / "train.spacy"
        )
    with pytest.raises(WnutError, match="en_nowhere can't be loaded"):
        report("en_nowhere", corpus, tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []
