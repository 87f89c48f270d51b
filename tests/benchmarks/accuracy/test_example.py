"""README's example: its posts, its output and its picture."""

import re
from xml.etree import ElementTree

import pytest

from benchmarks.accuracy import example
from benchmarks.common.results import read_results


@pytest.fixture
def posts():
    return read_results(example.RESULTS)


@pytest.mark.parametrize("page", example.PAGES, ids=lambda page: page.name)
def test_pages_have_the_first_text(page):
    assert f'doc = nlp("{example.TEXTS[0]}")\n' in page.read_text(encoding="utf8")


def test_results_are_those_of_the_texts(posts):
    assert tuple(post["text"] for post in posts) == example.TEXTS
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
    picture = example.PICTURE.read_text(encoding="utf8")
    assert words_of(picture) == example.COMMAND.split() + shown.split()
    # One colour for the names of each type, in addition to that of the window.
    types = {entity["label"] for post in posts for entity in post["entities"]}
    fills = set(re.findall(r'<rect fill="(#\w+)"', picture))
    assert len(fills) == 1 + len(types)


def test_picture_loads_nothing():
    text = example.PICTURE.read_text(encoding="utf8")
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text and "@font-face" not in text


@pytest.mark.parametrize("n_words", range(0, 16, 3))
def test_terminal_wraps_between_words_and_escapes(n_words):
    words = [f"<word&{i}>" for i in range(40)]
    entity = "\x1b[1;38;5;141m last of all \x1b[0m"
    picture = example.draw_terminal([" ".join([*words, *["end"] * n_words, entity])])
    assert words_of(picture) == [*words, *["end"] * n_words, *"last of all".split()]
    # The entity is in one line.
    assert [" last of all "] == re.findall(
        r">([^<]*last[^<]*)<", picture.replace("&#160;", " ")
    )
    assert "font-weight: bold" in picture


def test_example_is_run_and_written(trained_folder, tmp_path, monkeypatch):
    pages = [tmp_path / "README.md", tmp_path / "index.md"]
    for page in pages:
        page.write_text(f"<!-- {example.BLOCK} -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(example, "RESULTS", tmp_path / "example.json")
    monkeypatch.setattr(example, "PICTURE", tmp_path / "show.svg")
    monkeypatch.setattr(example, "PAGES", pages)
    # The pipeline of the tests knows this post.
    monkeypatch.setattr(example, "TEXTS", ("Ada Lovelace moved to Oslo", "nothing"))
    example.run(str(trained_folder))
    example.table()
    for page in pages:
        assert re.fullmatch(
            f"<!-- {example.BLOCK} -->\n```text\n"
            r"Ada Lovelace person [01]\.\d\d\nOslo location [01]\.\d\d\n"
            "```\n<!-- end -->\n",
            page.read_text(encoding="utf8"),
        )
    assert {"Lovelace", "Oslo", "nothing"} <= set(words_of(example.PICTURE.read_text()))
