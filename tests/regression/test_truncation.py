"""Nothing after the 512th piece must be lost without a word (spaCy, issue 6692:
windows of 128 words can be more pieces than the encoder takes; GLiNER, issue 378).
"""

import pytest

BEGINNINGS = {
    # More pieces than words: letters without a word of their own.
    "words of many pieces": "qzxjv " * 128,
    "many words": "nothing to see here " * 200,
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_entities_are_found_at_the_end_of_long_texts(nlp, beginning):
    doc = nlp(f"{beginning}Ada Lovelace moved to Oslo")
    [pieces] = doc._.trf_data.wordpieces.input_ids
    assert len(pieces) > 512
    found = [(ent.text, ent.label_) for ent in doc.ents]
    assert found[-2:] == [("Ada Lovelace", "person"), ("Oslo", "location")]
