import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_wnut.bulk.encoding import check_unicode, find_encoding, recode
from spacy_wnut.errors import WnutError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def buffered(content):
    return io.BufferedReader(io.BytesIO(content))


@settings(deadline=None)
@given(TEXT, st.sampled_from(["utf-16", "utf-16-be", "utf-32", "utf-7", "gb18030"]))
def test_any_text_comes_out_in_utf_8(text, encoding):
    assert recode(buffered(text.encode(encoding)), encoding).read() == text.encode()


def test_long_text_has_no_seams():
    text = "aé🎉" * 100_000
    for encoding in ("utf-16", "gb18030", "utf-7"):
        stream = recode(buffered(text.encode(encoding)), encoding)
        assert stream.read().decode("utf8") == text


@settings(deadline=None)
@given(
    st.binary(),
    st.sampled_from(
        ["utf-16-le", "cp1252", "shift_jis", "utf-7", "ascii", "utf-32-be"]
    ),
)
def test_what_can_not_be_decoded_is_no_utf_8(content, encoding):
    out = recode(buffered(content), encoding).read()
    try:
        expected = content.decode(encoding)
        expected.encode("utf8")
    except UnicodeError:
        with pytest.raises(UnicodeDecodeError):
            out.decode("utf8")
    else:
        assert out.decode("utf8") == expected


@pytest.mark.parametrize(
    "content, found",
    [
        ("\ufeffé".encode("utf-16-le"), "utf-16"),
        ("\ufeffé".encode("utf-16-be"), "utf-16"),
        ("\ufeffé".encode("utf-32-le"), "utf-32"),
        (b"i\0d\0,\0t\0e\0x\0t\0", "utf-16-le"),
        (b"\0i\0d\0,\0t\0e\0x\0t", "utf-16-be"),
    ],
)
def test_utf_16_is_known(content, found):
    with pytest.raises(WnutError, match=f"a.csv .* give --encoding {found}$"):
        check_unicode("a.csv", buffered(content))


@pytest.mark.parametrize(
    "content",
    [b"", b"a\0", b"id,text\n1,a\0b\n", "\ufeffé".encode(), b"\xff", b"\0" * 9],
)
def test_other_content_goes_through(content):
    file = buffered(content)
    check_unicode("a.csv", file)
    assert file.read() == content


def test_names_of_encodings():
    assert find_encoding(None) is None
    assert find_encoding("UTF8") is None
    assert find_encoding("Windows-1252") == find_encoding("cp1252") == "cp1252"
    for name in ("latin99", "hex", "", "a\0b", "undefined"):
        with pytest.raises(WnutError, match=r"--encoding .* is unknown"):
            find_encoding(name)
