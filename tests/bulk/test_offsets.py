from hypothesis import given
from hypothesis import strategies as st

from spacy_wnut.bulk.offsets import CODE_POINTS, UTF16, to_unit

TEXTS = st.lists(st.sampled_from("ab é🎉\uffff\U00010000\U0010ffff")).map("".join)


@given(TEXTS | st.text(), st.data())
def test_offsets_are_those_of_the_encoded_text(text, data):
    offset = data.draw(st.integers(0, len(text)))
    before = text[:offset].encode("utf-16-le", "surrogatepass")
    assert to_unit(text, offset, UTF16) == len(before) // 2
    assert to_unit(text, offset, CODE_POINTS) == offset
