import dataclasses
import json
import os
from pathlib import Path

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.training import Corpus

from spacy_wnut.corpus import convert as convert_module
from spacy_wnut.corpus.alignment import Alignment
from spacy_wnut.corpus.convert import SplitCounts, convert
from spacy_wnut.corpus.posts import LabelledSpan, Post, Rejection, Word, make_post
from spacy_wnut.corpus.rows import SPLITS, Row, build_rows
from spacy_wnut.corpus.sources import load_posts, load_rows
from spacy_wnut.crf.targets import aligned_incorrect_spans, allowed_tags
from spacy_wnut.errors import WnutError
from spacy_wnut.labels import WNUT_17, Entity, LabelScheme, tags_to_entities

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


def write_posts(out, *posts, **settings):
    return convert({"train": posts}, out, **settings)


def test_texts_without_words_are_tokenized(tmp_path):
    text = "Ann's  flat, 東京"
    post = Post(text, (LabelledSpan(0, 3, "person"),), where="line 1")
    for lang in ("en", "xx"):
        write_posts(tmp_path / lang, post, lang=lang)
        [doc] = read(tmp_path / lang / "train.spacy")
        assert doc.text == text
        assert [token.text for token in doc] == [
            token.text for token in spacy.blank(lang).make_doc(text)
        ]
    with pytest.raises(WnutError, match="the language 'qq' can't be used"):
        write_posts(tmp_path / "qq", post, lang="qq")


@pytest.mark.parametrize("tokens", ["gold", "spacy"])
def test_known_spaces_are_kept(tmp_path, tokens):
    post = make_post(["Ann", "'s", "flat"], spaces=[False, True, False])
    write_posts(tmp_path / "out", post, tokens=tokens)
    [doc] = read(tmp_path / "out" / "train.spacy")
    assert doc.text == "Ann's flat"
    assert [token.text for token in doc] == ["Ann", "'s", "flat"]


def test_splits_that_are_not_given_are_not_written(tmp_path):
    out = tmp_path / "out"
    convert(make_rows([POST]), out)
    counts = write_posts(out, make_post(["lol"]))
    assert [path.name for path in out.iterdir()] == ["train.spacy"]
    assert dict(counts) == {"train": SplitCounts(1, 1, {})}


def test_annotation_that_is_missing_or_incorrect_is_counted(tmp_path):
    post = make_post(["in", "Oslo", "lol"], [Entity(1, 2, "x")], [2], where="line 3")
    wrong = dataclasses.replace(post, incorrect=(LabelledSpan(0, 2, "y"),))
    out = tmp_path / "out"
    counts = write_posts(
        out, post, wrong, alignment=Alignment(incorrect_spans_key="rejected")
    )
    assert counts["train"] == SplitCounts(2, 6, {"x": 2}, missing=2, incorrect=1)
    [plain, other] = read(out / "train.spacy")
    assert [token.ent_iob_ for token in plain] == ["O", "B", ""]
    assert not plain.spans
    assert [(span.text, span.label_) for span in other.spans["rejected"]] == [
        ("in", "y")
    ]


REJECTED = Rejection("a.jsonl, line 2", "no text", {"text": "\ud83d"})


def test_rejected_records_are_written_beside_the_folder(tmp_path):
    out = tmp_path / "out"
    counts = write_posts(
        out,
        REJECTED,
        Post("a b", words=(Word(0, 3),), has_spaces=False),
        Rejection("line 4", "bad", {"n": float("nan")}),
        make_post(["lol"]),
    )
    path = tmp_path / "out.rejected.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {
        "where": "a.jsonl, line 2",
        "reason": "no text",
        "record": {"text": "\ud83d"},
    }
    assert "nan" in lines[2]["record"]
    assert "the word 'a b' is empty or holds white space" in lines[1]["reason"]
    assert lines[1]["record"]["text"] == "a b"
    assert [rejected.reason for rejected in counts.rejected] == [
        line["reason"] for line in lines
    ]


def test_rejected_records_of_an_earlier_run_are_removed(tmp_path):
    out = tmp_path / "out"
    post = make_post(["lol"])
    write_posts(out, REJECTED, post)
    write_posts(out, REJECTED, REJECTED, post)
    path = tmp_path / "out.rejected.jsonl"
    assert len(path.read_text().splitlines()) == 2
    # A run that fails leaves all files as they are.
    before = contents(out), path.read_bytes()
    with pytest.raises(
        WnutError, match="All 1 records were rejected, so nothing was wri"
    ):
        write_posts(out, REJECTED)
    assert (contents(out), path.read_bytes()) == before
    write_posts(out, post)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("content", ["", "my notes\n", '{"where": "here"}\n', None])
def test_files_of_others_are_not_replaced(tmp_path, content):
    path = tmp_path / "out.rejected.jsonl"
    path.mkdir() if content is None else path.write_text(content)
    for posts in ([make_post(["lol"])], [make_post(["lol"]), REJECTED]):
        with pytest.raises(
            WnutError, match="is there already and holds no rejected rec"
        ):
            write_posts(tmp_path / "out", *posts)
    assert [path.name for path in tmp_path.iterdir()] == ["out.rejected.jsonl"]
    assert content is None or path.read_text() == content


def test_misaligned_spans_are_returned_or_an_error(tmp_path):
    posts = [
        Post("in Oslo", (LabelledSpan(3, 6, "x"),), where=f"line {i}")
        for i in range(12)
    ]
    counts = write_posts(tmp_path / "out", *posts)
    assert len(counts.misaligned) == 12
    assert counts["train"] == SplitCounts(12, 24, {}, missing=12)
    counts = write_posts(tmp_path / "out", *posts, alignment=Alignment("expand"))
    assert counts["train"] == SplitCounts(12, 24, {"x": 12})
    with pytest.raises(
        WnutError,
        match=r"^12 spans .*: line 0: 'Osl' \(x\) in the tokens 'Oslo'; .*; and 2 others",
    ):
        write_posts(tmp_path / "out", *posts, alignment=Alignment("error"))


def test_data_that_was_written_is_read_and_written_unchanged(tmp_path):
    """A DocBin is a format of `convert`, too."""
    posts = [
        make_post(["in", "Oslo", "lol"], [Entity(1, 2, "x")], [2]),
        make_post(["Ann", "'s"], [Entity(0, 1, "y")], spaces=[False, False]),
        Post("not  Rome", incorrect=(LabelledSpan(5, 9, "x"),), missing=(Word(0, 9),)),
    ]
    write_posts(tmp_path / "one", *posts)
    loaded = load_posts(str(tmp_path / "one"))
    convert(loaded.splits, tmp_path / "two")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_training_reads_missing_annotation_and_incorrect_spans(tmp_path):
    text = "in Oslo by Ann"
    post = Post(
        text,
        (LabelledSpan(3, 7, "location"),),
        missing=(Word(8, 14),),
        incorrect=(LabelledSpan(11, 14, "group"),),
    )
    write_posts(tmp_path / "out", post)
    [example] = Corpus(tmp_path / "out" / "train.spacy")(spacy.blank("en"))
    scheme = LabelScheme(("group", "location"))
    allowed = allowed_tags(example, scheme, numpy.ones(4, dtype=bool))
    assert allowed.tolist() == [
        [True, False, False, False, False],
        [False, False, False, True, False],
        [True] * 5,
        [True] * 5,
    ]
    assert aligned_incorrect_spans(example, "incorrect_spans") == [
        Entity(3, 4, "group")
    ]
