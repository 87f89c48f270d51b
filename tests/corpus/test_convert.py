import os
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.training import Corpus

from spacy_wnut.corpus import convert as convert_module
from spacy_wnut.corpus.convert import SplitCounts, convert
from spacy_wnut.corpus.rows import SPLITS, Row, build_rows
from spacy_wnut.corpus.sources import load_rows
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import WNUT_17, tags_to_entities

NAMES = ("train.spacy", "dev.spacy", "test.spacy")
POST = Row("0", ["@ann", "loves", "Rock'n'Roll,Oslo"], ["B-person", "O", "I-location"])


def make_rows(train, validation=(POST,), test=(POST,)):
    splits = dict(zip(SPLITS, (train, validation, test), strict=True))
    return build_rows(splits, WNUT_17, "made up")


def read(path):
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


token = st.text(
    st.characters(exclude_categories=("Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=6
).filter(lambda text: not any(char.isspace() for char in text))
rows = st.lists(
    st.lists(st.tuples(token, st.sampled_from(WNUT_17.tags)), max_size=8).map(
        lambda pairs: Row("x", [word for word, _ in pairs], [tag for _, tag in pairs])
    ),
    max_size=4,
)


# Each example writes and reads three files. The first one pays for imports.
@settings(deadline=None, max_examples=25)
@given(rows=rows, tokens=st.sampled_from(["gold", "spacy"]))
def test_all_tokens_and_entities_are_kept(tmp_path_factory, rows, tokens):
    out = tmp_path_factory.mktemp("out") / "corpus"
    counts = convert(make_rows(rows), out, tokens)
    docs = read(out / "train.spacy")

    assert [[token.text for token in doc] for doc in docs] == [
        row.tokens for row in rows
    ]
    expected = [tags_to_entities(row.tags) for row in rows]
    assert [
        [(ent.start, ent.end, ent.label_) for ent in doc.ents] for doc in docs
    ] == expected
    # Every token is annotated: 0 would mean missing.
    assert all(token.ent_iob for doc in docs for token in doc)
    assert counts["train"].posts == len(rows)
    assert counts["train"].tokens == sum(len(row.tokens) for row in rows)
    assert sum(counts["train"].entities.values()) == sum(map(len, expected))
    for doc, row in zip(docs, rows, strict=True):
        if tokens == "spacy":
            assert doc.text == " ".join(row.tokens)


def test_gold_protocol_gives_the_tokens_of_the_file(tmp_path):
    convert(make_rows([POST]), tmp_path / "out", "gold")
    [example] = Corpus(tmp_path / "out" / "train.spacy")(spacy.blank("en"))
    assert [token.text for token in example.predicted] == POST.tokens
    assert example.get_aligned_ner() == ["U-person", "O", "U-location"]


def test_spacy_protocol_gives_the_tokens_of_the_tokenizer(tmp_path):
    convert(make_rows([POST]), tmp_path / "out", "spacy")
    nlp = spacy.blank("en")
    [example] = Corpus(tmp_path / "out" / "train.spacy")(nlp)
    assert [token.text for token in example.predicted] == [
        token.text for token in nlp.make_doc(" ".join(POST.tokens))
    ]
    assert len(example.predicted) > len(POST.tokens)
    assert [token.text for token in example.reference] == POST.tokens
    spans = example.get_aligned_spans_y2x(example.reference.ents)
    assert [(span.text, span.label_) for span in spans] == [
        ("@ann", "person"),
        ("Rock'n'Roll,Oslo", "location"),
    ]


def test_adjacent_entities_stay_separate(tmp_path):
    row = Row("0", ["a", "b", "c"], ["B-person", "B-person", "I-group"])
    counts = convert(make_rows([row]), tmp_path / "out", "gold")
    assert counts["train"] == SplitCounts(1, 3, {"group": 1, "person": 2})


def test_same_rows_give_the_same_bytes(tmp_path):
    rows = make_rows([POST] * 3)
    convert(rows, tmp_path / "out", "gold")
    first = contents(tmp_path / "out")
    convert(rows, tmp_path / "out", "gold")
    assert contents(tmp_path / "out") == first
    assert sorted(first) == sorted(NAMES)


@pytest.mark.parametrize("bad", ["", " ", "a b", "a\u00a0b", "\u2028"])
def test_tokens_with_white_space_are_rejected(tmp_path, bad):
    rows = make_rows([POST], [POST, Row("1", ["ok", bad], ["O", "O"])])
    with pytest.raises(
        WnutError, match=r"Split validation, row 1: the token .* is empty"
    ):
        convert(rows, tmp_path / "out", "gold")


@pytest.mark.parametrize("fault", [WnutError, KeyboardInterrupt])
def test_failure_leaves_the_folder_unchanged(tmp_path, monkeypatch, fault):
    def fail_in_test(rows, split):
        if split == "test":
            raise fault("on purpose")
        return read_posts(rows, split)

    read_posts = convert_module._read_posts
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(convert_module, "_read_posts", fail_in_test)
        with pytest.raises(fault):
            convert(make_rows([POST]), out, "gold")
        assert list(tmp_path.iterdir()) == []

    convert(make_rows([POST]), out, "gold")
    before = contents(out)
    monkeypatch.setattr(convert_module, "_read_posts", fail_in_test)
    with pytest.raises(fault):
        convert(make_rows([POST] * 2), out, "gold")
    assert list(tmp_path.iterdir()) == [out]
    assert contents(out) == before


def test_lost_entity_is_an_error(tmp_path, monkeypatch):
    add = DocBin.add

    def add_without_persons(self, doc):
        doc.set_ents([ent for ent in doc.ents if ent.label_ != "person"])
        add(self, doc)

    monkeypatch.setattr(DocBin, "add", add_without_persons)
    with pytest.raises(
        WnutError, match=r"Split train: .*'person': 1.* were read, but tr"
    ):
        convert(make_rows([POST]), tmp_path / "out", "gold")
    assert list(tmp_path.iterdir()) == []


def test_folder_with_other_files_is_rejected(tmp_path, monkeypatch):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(WnutError, match=r"holds thesis\.txt\): give a folder of their"):
        convert(make_rows([POST]), tmp_path, "gold")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(WnutError, match="is a file: give a folder"):
        convert(make_rows([POST]), tmp_path / "thesis.txt", "gold")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(WnutError, match=r"here is not for train\.spacy"):
        convert(make_rows([POST]), Path("."), "gold")


@pytest.mark.parametrize("tokens", ["gold", "spacy"])
def test_published_wnut_17_has_its_published_counts(tmp_path, tokens):
    folder = os.environ.get("SPACY_WNUT_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPACY_WNUT_DATA is no folder")
    counts = convert(load_rows(folder), tmp_path / "out", tokens)
    assert [
        (split.posts, split.tokens, sum(split.entities.values()))
        for split in counts.values()
    ] == [(3394, 62730, 1975), (1009, 15733, 836), (1287, 23394, 1079)]
    assert counts["test"].entities == {
        "corporation": 66,
        "creative-work": 142,
        "group": 165,
        "location": 150,
        "person": 429,
        "product": 127,
    }
    nlp = spacy.blank("en")
    for name, posts in zip(NAMES, (3394, 1009, 1287), strict=True):
        examples = list(Corpus(tmp_path / "out" / name)(nlp))
        assert len(examples) == posts
        for example in examples:
            gold = example.reference
            shown = gold if tokens == "gold" else nlp.make_doc(gold.text)
            assert [t.text for t in example.predicted] == [t.text for t in shown]
