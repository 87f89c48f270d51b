import io

import pytest
import spacy
from spacy.tokens import Doc, Span

from spacy_wnut.display.terminal import annotate, format_doc, has_color
from spacy_wnut.errors import WnutError
from spacy_wnut.pipeline.confidences import install_extensions

NLP = spacy.blank("en")


@pytest.fixture
def doc():
    install_extensions()
    doc = NLP("storm in New York, ESB")
    ents = [Span(doc, 2, 4, "location"), Span(doc, 5, 6, "creative-work")]
    ents[0]._.confidence = 0.953
    doc.set_ents(ents)
    return doc


def test_entities_are_in_brackets(doc):
    assert format_doc(doc, in_color=False) == (
        "storm in [New York](location 0.95), [ESB](creative-work)"
    )


def test_entities_are_in_color(doc):
    assert format_doc(doc, in_color=True) == (
        "storm in \x1b[38;5;16;48;5;221m New York \x1b[0m\x1b[1;38;5;221m location 0.95 "
        "\x1b[0m, \x1b[38;5;16;48;5;211m ESB \x1b[0m\x1b[1;38;5;211m creative-work \x1b[0m"
    )


@pytest.mark.parametrize("in_color", [False, True])
def test_control_characters_are_replaced(in_color):
    doc = Doc(NLP.vocab, words=["\x1b[2J", "\x1b]0;x\x07", "a\x7f\x9b1m"])
    doc.set_ents([Span(doc, 0, 1, "x\x1b[2J")])
    printed = format_doc(doc, in_color)
    assert "␛[2J" in printed and "␛]0;x␇" in printed and "a␡\ufffd1m" in printed
    if not in_color:
        assert printed.isprintable()
    # Line breaks and tabs are kept.
    assert format_doc(Doc(NLP.vocab, words=["a\n\tb"], spaces=[False]), in_color) == (
        "a\n\tb"
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_color_depends_on_stream_and_environment(monkeypatch):
    for name in ("NO_COLOR", "ANSI_COLORS_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert has_color(Terminal())
    assert not has_color(io.StringIO())
    for name, value in (
        ("NO_COLOR", "1"),
        ("ANSI_COLORS_DISABLED", "1"),
        ("TERM", "dumb"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert not has_color(Terminal())
    # An empty NO_COLOR does not count (https://no-color.org).
    monkeypatch.setenv("NO_COLOR", "")
    assert has_color(Terminal())


def test_each_doc_is_yielded_before_the_next_text_is_requested(nlp):
    asked = []

    def texts():
        for text in ("Ada Lovelace moved to Oslo", "", "nothing to see here"):
            asked.append(text)
            yield text

    docs = annotate(nlp, texts())
    assert [ent.text for ent in next(docs).ents] == ["Ada Lovelace", "Oslo"]
    assert len(asked) == 1
    assert [len(doc.ents) for doc in docs] == [0, 0]


def test_pipeline_without_entities_is_rejected():
    with pytest.raises(WnutError, match=r"sets entities \(it has: none\)"):
        next(annotate(NLP, ["New York"]))


def test_text_that_is_too_long_is_rejected(monkeypatch):
    monkeypatch.setattr(NLP, "max_length", 4)
    with pytest.raises(WnutError, match=r"a text has 5 characters, .* more than 4"):
        next(annotate(NLP, ["a b c"]))
