from html.parser import HTMLParser

import spacy
from spacy.tokens import Doc, Span

from spacy_wnut.display.colors import COLORS
from spacy_wnut.display.displacy_page import write_page
from spacy_wnut.pipeline.confidences import install_extensions

NLP = spacy.blank("en")


class Page(HTMLParser):
    """The tags of a page, its texts, and the styles and texts of its marks."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.marks, self.texts = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "mark":
            self.marks.append((dict(attrs)["style"], []))

    def handle_data(self, data):
        self.texts.append(data)
        if "mark" in self.tags and self.marks and data.strip():
            self.marks[-1][1].append(data.strip())


def make_doc(words, label, confidence=None):
    install_extensions()
    doc = Doc(NLP.vocab, words=words)
    span = Span(doc, 0, 1, label)
    span._.confidence = confidence
    doc.set_ents([span])
    return doc


def test_page_shows_entities_with_type_color_and_confidence(tmp_path):
    path = tmp_path / "new" / "page.html"
    docs = [make_doc(["Oslo"], "location", 0.953), make_doc(["ESB"], "group")]
    assert write_page(iter(docs), path) == 2
    page = Page(path.read_text(encoding="utf8"))
    (first, first_texts), (second, second_texts) = page.marks
    assert f"background: {COLORS['location']};" in first
    assert f"background: {COLORS['group']};" in second
    assert first_texts == ["Oslo", "location", "0.95"]
    assert second_texts == ["ESB", "group"]


def test_texts_and_types_are_escaped(tmp_path):
    bad = "<script>alert(1)</script>"
    write_page([make_doc([bad, bad], f"<b>{bad}")], tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf8"))
    assert "script" not in page.tags and "b" not in page.tags
    assert "".join(page.texts).count(bad) == 3


def test_encoding_is_declared_before_any_text(tmp_path):
    write_page([make_doc(["Ōsaka 😀"], "location")], tmp_path / "page.html")
    data = (tmp_path / "page.html").read_bytes()
    assert 0 < data.index(b'<meta charset="utf-8">') < data.index("Ōsaka 😀".encode())


def test_page_without_texts(tmp_path):
    assert write_page([], tmp_path / "page.html") == 0
    assert "<body" in (tmp_path / "page.html").read_text()
