from itertools import pairwise

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc
from tokenizers import (
    BertWordPieceTokenizer,
    ByteLevelBPETokenizer,
    Tokenizer,
    models,
    pre_tokenizers,
    processors,
)

from spacy_wnut.models.wordpieces import (
    Specials,
    Tokenized,
    cut_windows,
    pad_windows,
    unbounded_tokenizer,
    window_settings,
)
from spacy_wnut.models.wordpieces import tokenize as tokenize_batch

VOCAB = spacy.blank("en").vocab
SENTENCES = [
    "Empire State Building = ESB.",
    "Pretty bad storm in New York last evening!!!",
    "@ann loves #Oslo and café society; see https://example.org/a?b=c",
] * 3
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_wordpiece():
    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator(SENTENCES, vocab_size=150, show_progress=False)
    vocab = trained.get_vocab()
    # The wrapper adds [CLS] and [SEP] only if it is created from a vocabulary.
    return Tokenizer.from_str(BertWordPieceTokenizer(vocab=vocab).to_str())


def make_bytelevel(trim_offsets):
    trained = ByteLevelBPETokenizer(trim_offsets=trim_offsets)
    trained.train_from_iterator(SENTENCES, vocab_size=300, show_progress=False)
    return Tokenizer.from_str(trained.to_str())


TOKENIZERS = {
    "WordPiece": make_wordpiece(),
    "byte-level": make_bytelevel(False),
    "byte-level, trimmed": make_bytelevel(True),
}


def tokenize(tokenizer, docs):
    return tokenize_batch(tokenizer, docs).by_doc()


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return Tokenizer.from_str(TOKENIZERS[request.param].to_str())


def words_of(pieces):
    """List the ids of the pieces of each word."""
    return [
        pieces.ids[first : first + count].tolist()
        for first, count in zip(pieces.firsts, pieces.counts, strict=True)
    ]


def ids_of(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


# Words, white space of all kinds, zero width, emoji with modifiers and joiners,
# right to left, combining marks in either order, control characters.
texts = st.lists(
    st.sampled_from(
        "storm|York|café|ESB.| |  |\n|\t \n|\u00a0|\u200b|\ufeff|\u200d|👍🏽|👩\u200d💻|"
        "שלום|مرحبا|e\u0301|a\u0315\u0300|東京|ǅ|ﬁ|ß|İ|\x00|\x85|\u2028|!!|½".split("|")
    )
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    max_size=8,
).map("".join)


@st.composite
def docs(draw):
    """Draw docs with arbitrary word boundaries. A space may follow its word."""
    text = draw(texts)
    inner = range(1, len(text))
    cuts = draw(st.sets(st.sampled_from(inner))) if inner else set()
    # In half of the docs, white space is separated from words, as in usual docs.
    if draw(st.booleans()):
        cuts |= {i for i in inner if text[i].isspace() or text[i - 1].isspace()}
    bounds = sorted({0, len(text), *cuts})
    words, spaces = [], []
    for start, end in pairwise(bounds):
        word = text[start:end]
        if word == " " and words and not spaces[-1]:
            spaces[-1] = True
        else:
            words.append(word)
            spaces.append(False)
    doc = Doc(VOCAB, words=words, spaces=spaces)
    assert doc.text == text
    return doc


def overlaps(piece, word):
    (start, end), (word_start, word_end) = piece, word
    if start == end:
        # A piece that was trimmed to length 0 belongs to the word around it.
        return word_start < start < word_end
    return max(start, word_start) < min(end, word_end)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None)
@given(batch=st.lists(docs(), max_size=3))
def test_pieces_of_a_word_are_those_that_share_a_character(name, batch):
    tokenizer = TOKENIZERS[name]
    found = tokenize(tokenizer, batch)
    assert len(found) == len(batch)
    for doc, pieces in zip(batch, found, strict=True):
        encoding = tokenizer.encode(doc.text, add_special_tokens=False)
        assert pieces.ids.tolist() == encoding.ids
        assert pieces.strings == encoding.tokens
        assert len(pieces.firsts) == len(pieces.counts) == len(doc)
        for token, first, count in zip(doc, pieces.firsts, pieces.counts, strict=True):
            word = (token.idx, token.idx + len(token))
            expected = [
                i
                for i, piece in enumerate(encoding.offsets)
                if overlaps(piece, word) and not token.text.isspace()
            ]
            assert list(range(first, first + count)) == expected


def test_concatenated_pieces_are_the_word(tokenizer):
    words = "prettier storms in newest york".split()
    [pieces] = tokenize(tokenizer, [Doc(VOCAB, words=words)])
    strings = [piece.removeprefix("##").lstrip("Ġ") for piece in pieces.strings]
    assert words == [
        "".join(strings[first : first + count])
        for first, count in zip(pieces.firsts, pieces.counts, strict=True)
    ]
    assert pieces.counts.max() > 1


def test_white_space_has_no_pieces(tokenizer):
    words = ["storm", "\n", "in", "  ", "\n\n\t", "\u00a0", "York", "\u2028"]
    [pieces] = tokenize(tokenizer, [Doc(VOCAB, words=words)])
    seen = [word for word, n in zip(words, pieces.counts, strict=True) if n]
    assert seen == ["storm", "in", "York"]


def test_a_piece_of_two_words_counts_for_both():
    [pieces] = tokenize(
        TOKENIZERS["WordPiece"],
        [Doc(VOCAB, words=["st", "orm", "in"], spaces=[False, True, False])],
    )
    assert pieces.strings == ["storm", "in"]
    assert pieces.firsts.tolist() == [0, 0, 1]
    assert pieces.counts.tolist() == [1, 1, 1]


def test_docs_without_words_have_no_pieces(tokenizer):
    empty, blank = tokenize(tokenizer, [Doc(VOCAB), Doc(VOCAB, words=[" ", "\n"])])
    assert [len(field) for field in empty] == [0, 0, 0, 0]
    assert blank.counts.tolist() == [0, 0]
    assert tokenize(tokenizer, []) == []


@pytest.mark.parametrize("long", ["!" * 600, "?.," * 200, "x" * 600])
def test_a_long_word_does_not_affect_the_words_after_it(tokenizer, long):
    expected = ids_of(tokenizer, "Pretty storm in York ")
    # The tokenizer.json of a checkpoint may enable both.
    tokenizer.enable_truncation(max_length=16)
    tokenizer.enable_padding(length=128)
    words = ["Pretty", "storm", "in", "York"]
    longer = ["Pretty", long, "storm", "in", "York"]
    docs = [Doc(VOCAB, words=words), Doc(VOCAB, words=longer)]
    plain, found = tokenize(unbounded_tokenizer(tokenizer), docs)
    assert plain.ids.tolist() == expected
    kept = words_of(found)
    assert kept.pop(1)
    assert kept == words_of(plain)


def test_every_punctuation_mark_is_a_piece():
    [pieces] = tokenize(
        TOKENIZERS["WordPiece"], [Doc(VOCAB, words=["a", "!" * 600, "b"])]
    )
    assert pieces.counts.tolist() == [1, 600, 1]


@pytest.mark.parametrize("window", [1, 8])
def test_windows_without_overlap_are_accepted(window):
    settings = window_settings(window, window, 512)
    assert settings == {"window": window, "stride": window, "batch_pieces": 512}
    windows = cut_windows(numpy.asarray([2 * window + 1]), window, window)
    assert windows.starts.tolist() == [0, window, 2 * window]


@pytest.mark.parametrize(
    "window, stride, batch_pieces, message",
    [
        (8, 0, 1, r"stride has to be between 1 and window \(8\), got 0"),
        (8, 9, 1, r"stride has to be between 1 and window \(8\), got 9"),
        (0, 0, 1, r"stride has to be between 1 and window \(0\), got 0"),
        (8, 8, 0, "batch_pieces has to be at least 1, got 0"),
    ],
)
def test_settings_of_windows_that_do_not_fit(window, stride, batch_pieces, message):
    with pytest.raises(ValueError, match=message):
        window_settings(window, stride, batch_pieces)


sizes = st.integers(1, 12).flatmap(
    lambda window: st.tuples(st.just(window), st.integers(1, window))
)
totals = st.lists(st.integers(0, 60), max_size=5)


@given(totals, sizes)
def test_own_pieces_of_windows_cover_every_piece_once(n_pieces, size):
    windows = cut_windows(numpy.asarray(n_pieces), *size)
    covered = [
        (doc, piece)
        for doc, _, _, start, end in zip(*windows, strict=True)
        for piece in range(start, end)
    ]
    assert covered == [(doc, i) for doc, n in enumerate(n_pieces) for i in range(n)]


@given(totals, sizes)
def test_windows_are_within_the_doc_and_the_size(n_pieces, size):
    window, stride = size
    windows = cut_windows(numpy.asarray(n_pieces), window, stride)
    before = None
    for doc, start, end, own_start, own_end in zip(*windows, strict=True):
        assert 0 <= start <= own_start < own_end <= end <= n_pieces[doc]
        # All but the last of a doc are full.
        assert end - start == window or end == n_pieces[doc]
        if before is not None and before[0] == doc:
            assert start == before[1] + stride
        else:
            assert start == 0
        before = doc, start
    for doc, n in enumerate(n_pieces):
        # The minimum number of windows.
        expected = 0 if n == 0 else 1 + max(0, -(-(n - window) // stride))
        assert (windows.docs == doc).sum() == expected


@given(totals, sizes)
def test_a_piece_is_taken_from_the_window_with_the_most_context(n_pieces, size):
    windows = cut_windows(numpy.asarray(n_pieces), *size)
    rows = list(zip(*windows, strict=True))

    def to_nearest_cut(row, piece):
        """Return the distance to the nearest end of the window inside of the doc."""
        doc, start, end, _, _ = row
        left = piece - start if start else numpy.inf
        right = end - 1 - piece if end < n_pieces[doc] else numpy.inf
        return min(left, right)

    overlap = size[0] - size[1]
    for row in rows:
        for piece in range(row[3], row[4]):
            mine = to_nearest_cut(row, piece)
            assert mine >= overlap // 2
            assert mine == max(
                to_nearest_cut(other, piece)
                for other in rows
                if other[0] == row[0] and other[1] <= piece < other[2]
            )


def specials_by(processor):
    tokenizer = make_wordpiece()
    tokenizer.post_processor = processor
    return Specials.of(tokenizer)


def template(text):
    numbers = [(mark, MARKS.index(mark)) for mark in MARKS]
    return processors.TemplateProcessing(single=text, special_tokens=numbers)


@pytest.mark.parametrize(
    "processor, before, after",
    [
        (processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)), [2], [3]),
        (processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2)), [2], [3]),
        (template("$A [SEP] [CLS]"), [], [3, 2]),
        (template("[CLS] [MASK] $A"), [2, 4], []),
        (template("$A"), [], []),
        (processors.ByteLevel(), [], []),
    ],
)
def test_special_tokens_come_from_the_post_processor(processor, before, after):
    assert specials_by(processor) == (before, after)


def test_special_tokens_of_a_wordpiece_tokenizer():
    vocab = make_wordpiece().get_vocab()
    assert Specials.of(make_wordpiece()) == ([vocab["[CLS]"]], [vocab["[SEP]"]])


def test_no_special_tokens_without_post_processor():
    tokenizer = Tokenizer(
        models.WordPiece(make_wordpiece().get_vocab(), unk_token="[UNK]")
    )
    assert tokenizer.post_processor is None
    assert Specials.of(tokenizer) == ([], [])


def test_padding_and_truncation_are_no_special_tokens():
    tokenizer = make_wordpiece()
    expected = Specials.of(tokenizer)
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(max_length=2)
    assert Specials.of(unbounded_tokenizer(tokenizer)) == expected


def test_unbounded_tokenizer_does_not_change_the_original():
    tokenizer = make_wordpiece()
    doc = Doc(VOCAB, words=SENTENCES[0].split())
    [expected] = tokenize(tokenizer, [doc])
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(max_length=2)
    before = tokenizer.to_str()
    unbounded = unbounded_tokenizer(tokenizer)
    [found] = tokenize(unbounded, [doc])
    assert found.ids.tolist() == expected.ids.tolist()
    assert (unbounded.padding, unbounded.truncation) == (None, None)
    assert tokenizer.to_str() == before


def test_special_tokens_with_a_vocabulary_without_latin_letters():
    vocab = {"[CLS]": 0, "[SEP]": 1, "東": 2, "京": 3}
    tokenizer = Tokenizer(models.BPE(vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    assert ids_of(tokenizer, "a") == []
    assert Specials.of(tokenizer) == ([0], [1])


def test_a_tokenizer_without_any_vocabulary_is_an_error():
    with pytest.raises(ValueError, match="no piece for any text"):
        Specials.of(Tokenizer(models.BPE({}, merges=[])))


def make_pieces(*docs):
    """Create tokenized docs that have pieces but no words."""
    none = numpy.zeros(0, dtype=numpy.int64)
    n_pieces = numpy.asarray([len(ids) for ids in docs])
    ids = numpy.concatenate([numpy.asarray(ids, dtype="i8") for ids in docs])
    return Tokenized(ids, n_pieces, 0 * n_pieces, none, none, [])


def test_padded_windows_have_specials_around_and_padding_after():
    pieces = make_pieces([10, 11, 12, 13, 14], [], [20])
    windows = cut_windows(numpy.asarray([5, 0, 1]), 4, 3)
    assert windows.docs.tolist() == [0, 0, 2]
    ids, lengths = pad_windows(
        pieces, windows, numpy.asarray([2, 0, 1]), Specials([1, 2], [3]), 99
    )
    assert ids.tolist() == [
        [1, 2, 20, 3, 99, 99, 99],
        [1, 2, 10, 11, 12, 13, 3],
        [1, 2, 13, 14, 3, 99, 99],
    ]
    assert lengths.tolist() == [4, 7, 5]
    assert ids.dtype == numpy.int64


def test_padded_windows_without_specials():
    pieces = make_pieces([10, 11], [20])
    windows = cut_windows(numpy.asarray([2, 1]), 4, 3)
    ids, lengths = pad_windows(
        pieces, windows, numpy.asarray([1, 0]), Specials([], []), 0
    )
    assert ids.tolist() == [[20, 0], [10, 11]]
    assert lengths.tolist() == [1, 2]
