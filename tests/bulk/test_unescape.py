import html

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spacy_wnut.bulk.unescape import unescape_html

# Texts that are mostly escapes: whole, without semicolon, numeric, invalid, of two
# characters or none, and parts that join to others.
ESCAPES = st.sampled_from(
    [
        *("&amp;", "&lt", "&gt;", "&quot;", "&#39;", "&#x1F389;", "&#0;", "&#x80;"),
        *("&#1;", "&#xD800;", "&#99999999;", "&notit;", "&notin;", "&fjlig;", "&acE;"),
        *("&nope;", "&", "amp", "#", "x", "39", ";", "&ampamp;", "&NotEqualTilde;"),
        *("\N{KELVIN SIGN}", "&#\N{ARABIC-INDIC DIGIT THREE};", "&\n", "&&", " ", "🎉"),
    ]
)
TEXTS = st.lists(ESCAPES | st.text(max_size=3)).map("".join)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("AT&amp;T &lt;3", "AT&T <3"),
        ("&amp;amp;", "&amp;"),
        ("&ampx &AMP; &nosuch; &", "&x & &nosuch; &"),
        ("&quot;x&#39;&#x27;", "\"x''"),
        ("&#0;&#x80;&#1;", "\N{REPLACEMENT CHARACTER}€"),
        ("&notit;", "¬it;"),
        ("", ""),
    ],
)
def test_known_escapes(text, expected):
    assert unescape_html(text).text == expected


@settings(max_examples=300)
@given(TEXTS)
@example("&" + "a" * 40 + ";")
def test_the_text_is_that_of_the_standard_library(text):
    found = unescape_html(text)
    assert found.text == html.unescape(text)
    assert len(found.starts) == len(found.ends) == len(found.text)
    assert found.starts == sorted(found.starts) and found.ends == sorted(found.ends)


@settings(max_examples=300)
@given(TEXTS, st.data())
def test_a_span_is_a_slice_of_the_original_that_unescapes_to_it(text, data):
    found = unescape_html(text)
    if not found.text:
        return
    start = data.draw(st.integers(0, len(found.text) - 1))
    end = data.draw(st.integers(start + 1, len(found.text)))
    first, last = found.to_original(start, end)
    # An escape of two characters is never split, so the slice may have one more.
    is_whole = found.starts[start : start + 1] != found.starts[start - 1 : start]
    is_whole &= found.starts[end - 1 : end] != found.starts[end : end + 1]
    unescaped = html.unescape(text[first:last])
    if is_whole:
        assert unescaped == found.text[start:end]
    else:
        assert found.text[start:end] in unescaped
    # Cutting there splits no escape.
    cut = [text[:first], text[first:last], text[last:]]
    assert "".join(map(html.unescape, cut)) == found.text


def test_places_of_escapes():
    text = "x &amp;&lt;y &fjlig; &#1;z"
    found = unescape_html(text)
    assert found.text == "x &<y fj z"
    slices = [text[a:b] for a, b in zip(found.starts, found.ends, strict=True)]
    assert slices == [
        *("x", " ", "&amp;", "&lt;", "y", " "),
        *("&fjlig;", "&fjlig;", " ", "z"),
    ]
