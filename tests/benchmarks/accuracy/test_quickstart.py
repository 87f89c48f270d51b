"""README's example: its posts, its scores, its output and its picture."""

import json
import re
import shutil
from xml.etree import ElementTree

import pytest

from benchmarks.accuracy import quickstart
from benchmarks.common.results import read_results


@pytest.fixture
def posts():
    return read_results(quickstart.RESULTS)["posts"]


@pytest.mark.parametrize("page", quickstart.PAGES, ids=lambda page: page.name)
def test_pages_have_the_first_text(page):
    assert f'doc = nlp("{quickstart.read_posts()[0]}")\n' in page.read_text(
        encoding="utf8"
    )


def test_results_are_those_of_the_texts(posts):
    assert [post["text"] for post in posts] == quickstart.read_posts()
    for post in posts:
        for entity in post["entities"]:
            assert entity["text"] in post["text"]
            assert 0 < entity["confidence"] <= 1


def words_of(picture):
    """The words of a drawing, line by line."""
    drawn = ElementTree.fromstring(picture).findall(".//{*}text")
    return " ".join("".join(one.itertext()) for one in drawn).split()


def test_picture_shows_the_stored_output(posts):
    shown = " ".join(re.sub(r"\x1b\[[\d;]*m", "", post["shown"]) for post in posts)
    picture = quickstart.PICTURE.read_text(encoding="utf8")
    assert words_of(picture) == quickstart.COMMAND.split() + shown.split()
    # One colour for the names of each type, in addition to that of the window.
    types = {entity["label"] for post in posts for entity in post["entities"]}
    fills = set(re.findall(r'<rect fill="(#\w+)"', picture))
    assert len(fills) == 1 + len(types)


def test_picture_loads_nothing():
    text = quickstart.PICTURE.read_text(encoding="utf8")
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text and "@font-face" not in text


@pytest.mark.parametrize("n_words", range(0, 16, 3))
def test_terminal_wraps_between_words_and_escapes(n_words):
    words = [f"<word&{i}>" for i in range(40)]
    entity = "\x1b[1;38;5;141m last of all \x1b[0m"
    picture = quickstart.draw_terminal([" ".join([*words, *["end"] * n_words, entity])])
    assert words_of(picture) == [*words, *["end"] * n_words, *"last of all".split()]
    # The entity is in one line.
    assert [" last of all "] == re.findall(
        r">([^<]*last[^<]*)<", picture.replace("&#160;", " ")
    )
    assert "font-weight: bold" in picture


@pytest.fixture
def project(trained_folder, tmp_path):
    """A project that ran the quickstart, with a pipeline that knows some posts."""
    folder = tmp_path / "training" / "sample" / "distilbert-0"
    folder.mkdir(parents=True)
    shutil.copytree(trained_folder, folder / "model-calibrated")
    metrics = tmp_path / "metrics" / "sample"
    (metrics / "distilbert-0").mkdir(parents=True)
    scores = {"entity": {"f1": 0.6543}}
    (metrics / "distilbert-0" / "test_gold.json").write_text(json.dumps(scores))
    (metrics / "distilbert-0-seconds.json").write_text(
        json.dumps({"train": 60.2, "check": 9.9})
    )
    return tmp_path


def test_results_are_measured_and_written(project, root, tmp_path, monkeypatch):
    pages = [tmp_path / "README.md", tmp_path / "index.md"]
    for page in pages:
        page.write_text(
            f"<!-- {quickstart.SCORES} -->\nold\n<!-- end -->\n"
            f"<!-- {quickstart.OUTPUT} -->\nold\n<!-- end -->\n"
        )
    monkeypatch.setattr(quickstart, "RESULTS", tmp_path / "quickstart.json")
    monkeypatch.setattr(quickstart, "PICTURE", tmp_path / "show.svg")
    monkeypatch.setattr(quickstart, "PAGES", pages)
    examples = tmp_path / "examples.txt"
    examples.write_text("Ada Lovelace moved to Oslo\nnothing\n")
    monkeypatch.setattr(quickstart, "EXAMPLES", examples)
    # Instead of WNUT 17. The pipeline knows both posts, and finds one of two entities.
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "dev", "test"):
        (data / f"{split}.conll").write_text(
            "Ada\tB-person\nLovelace\tI-person\nmoved\tO\n\n"
            "nothing\tO\nto\tO\nsee\tO\nhere\tB-location\n"
        )
    monkeypatch.setenv("SPACY_WNUT_DATA", str(data))
    quickstart.run(project)
    quickstart.table()
    f1 = read_results(quickstart.RESULTS)["f1"]
    assert f1["sample"] == 0.6543
    assert f1["wnut_17"] == pytest.approx(2 / 3)
    for page in pages:
        text = page.read_text(encoding="utf8")
        words = " ".join(text.split())
        assert "is 65.4 on the sample corpus and 66.7 on WNUT 17" in words
        assert "took 70 seconds" in words
        assert re.search(
            r"```text\nAda Lovelace person [01]\.\d\d\nOslo location [01]\.\d\d\n```\n",
            text,
        )
    picture = quickstart.PICTURE.read_text(encoding="utf8")
    assert {"Lovelace", "Oslo", "nothing"} <= set(words_of(picture))
