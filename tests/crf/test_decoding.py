from itertools import pairwise, product

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from spacy_wnut.crf import batches
from spacy_wnut.crf.chain import Chain
from spacy_wnut.crf.decoding import (
    ChainLayout,
    Emitted,
    decode,
    legal_chain,
    tag_probabilities,
)
from spacy_wnut.labels import LabelScheme, entities_to_tags, tags_to_entities

SCHEME = LabelScheme(("a", "b"))
TAGS = SCHEME.tags
N_TAGS = len(TAGS)


def make_chain(seed):
    rng = numpy.random.default_rng(seed)
    shapes = ((N_TAGS, N_TAGS), N_TAGS, N_TAGS)
    return legal_chain(SCHEME) + Chain(*(rng.normal(size=shape) for shape in shapes))


def make_docs(kinds, seed):
    """Draw random emissions of docs. A doc is a string of one character per word: "w"
    is a word with pieces, "_" one without, "x" a barred word, "-" a barred word without
    pieces.
    """
    rng = numpy.random.default_rng(seed)
    docs = []
    for kind in kinds:
        emissions = rng.normal(scale=2, size=(len(kind), N_TAGS))
        emissions[[char in "_-" for char in kind]] = 0
        docs.append(emissions)
    return docs


def decode_docs(kinds, emissions, chain, **settings):
    """Decode a batch. Returns a list of (start, end, label, confidence) per doc."""
    flat = numpy.concatenate([numpy.zeros((0, N_TAGS)), *emissions])
    barred = numpy.asarray([char in "x-" for char in "".join(kinds)], dtype=bool)
    lengths = numpy.asarray([len(kind) for kind in kinds], dtype=numpy.int64)
    before = flat.copy()
    found = decode(Emitted(flat, lengths, chain, barred), **settings)
    numpy.testing.assert_array_equal(flat, before)
    docs = [[] for _ in kinds]
    for doc, start, end, label, confidence in zip(*found, strict=True):
        docs[doc].append((int(start), int(end), SCHEME.types[label], confidence))
    assert sorted(found.docs) == list(found.docs)
    return docs


def is_legal(path):
    """Check a path by the strings of its tags."""
    tags = ["O", *(TAGS[i] for i in path)]
    return all(b[0] != "I" or a[1:] == b[1:] for a, b in pairwise(tags))


def brute_force(kind, emissions, chain, bias=0.0, temperature=1.0):
    """Find the entities of one doc by enumerating all legal paths."""
    words = [i for i, char in enumerate(kind) if char != "_"]
    scores = {}
    for path in product(range(N_TAGS), repeat=len(words)):
        is_barred = any(
            tag and kind[i] in "x-" for i, tag in zip(words, path, strict=True)
        )
        if words and is_legal(path) and not is_barred:
            score = chain.start[path[0]] + chain.end[path[-1]]
            score += sum(emissions[i, tag] for i, tag in zip(words, path, strict=True))
            score += sum(chain.transitions[a, b] for a, b in pairwise(path))
            score += bias * sum(tag != 0 for tag in path)
            scores[path] = score / temperature
    if not scores:
        return []
    entities = {path: tags_to_entities([TAGS[tag] for tag in path]) for path in scores}
    best = max(scores, key=scores.get)
    log_z = numpy.logaddexp.reduce(list(scores.values()))
    found = []
    for entity in entities[best]:
        having = [scores[path] for path in scores if entity in entities[path]]
        confidence = numpy.exp(numpy.logaddexp.reduce(having) - log_z)
        start, end = words[entity.start], words[entity.end - 1] + 1
        found.append((start, end, entity.label, confidence))
    return found


def assert_same(found, expected):
    assert [ent[:3] for ent in found] == [ent[:3] for ent in expected]
    assert_allclose([ent[3] for ent in found], [ent[3] for ent in expected], rtol=1e-9)


small = st.lists(st.text("wwww_x-", max_size=4), max_size=4)
docs = st.lists(st.text("wwwwwwww_x-", max_size=12), max_size=8)
seeds = st.integers(0, 10_000)


@settings(deadline=None, max_examples=60)
@given(small, seeds)
def test_entities_and_confidences_are_those_of_the_best_path(kinds, seed):
    chain, emissions = make_chain(seed), make_docs(kinds, seed)
    found = decode_docs(kinds, emissions, chain)
    for kind, values, entities in zip(kinds, emissions, found, strict=True):
        assert_same(entities, brute_force(kind, values, chain))


@settings(deadline=None, max_examples=40)
@given(small, seeds, st.floats(-3, 3), st.floats(0.3, 5))
def test_bias_and_temperature_apply_to_all_paths(kinds, seed, bias, temperature):
    chain, emissions = make_chain(seed), make_docs(kinds, seed)
    found = decode_docs(kinds, emissions, chain, bias=bias, temperature=temperature)
    for kind, values, entities in zip(kinds, emissions, found, strict=True):
        assert_same(entities, brute_force(kind, values, chain, bias, temperature))


@settings(deadline=None)
@given(docs, seeds, st.floats(0.01, 100))
def test_temperature_does_not_change_the_entities(kinds, seed, temperature):
    chain, emissions = make_chain(seed), make_docs(kinds, seed)
    before = decode_docs(kinds, emissions, chain)
    after = decode_docs(kinds, emissions, chain, temperature=temperature)
    assert [[entity[:3] for entity in entities] for entities in after] == [
        [entity[:3] for entity in entities] for entities in before
    ]


def test_higher_temperature_lowers_the_confidence():
    # One word with three legal tags: the confidence is exp(2/T) / sum of exponentials.
    [emissions] = make_docs(["w"], 0)
    emissions[0] = [0, 2, 0, 1, 0]
    confidences = []
    for temperature in (0.25, 0.5, 1.0, 2.0, 4.0, 1000.0):
        [[entity]] = decode_docs(
            ["w"], [emissions], legal_chain(SCHEME), temperature=temperature
        )
        scores = numpy.exp(numpy.asarray([0, 2, 1]) / temperature)
        assert entity[3] == pytest.approx(scores[1] / scores.sum())
        confidences.append(entity[3])
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[0] > 0.98 and confidences[-1] == pytest.approx(1 / 3, abs=1e-3)


@settings(deadline=None)
@given(docs, seeds)
def test_a_higher_bias_puts_no_fewer_words_into_entities(kinds, seed):
    chain, emissions = make_chain(seed), make_docs(kinds, seed)
    n_words = []
    for bias in (-1000.0, -2.0, -0.5, 0.0, 0.5, 2.0, 1000.0):
        found = decode_docs(kinds, emissions, chain, bias=bias)
        n_words.append(
            sum(
                kind[start:end].count("w")
                for kind, entities in zip(kinds, found, strict=True)
                for start, end, _, _ in entities
            )
        )
    assert n_words == sorted(n_words)
    assert n_words[0] == 0
    assert n_words[-1] == "".join(kinds).count("w")


def test_a_higher_bias_finds_more_entities():
    # Without transition scores, and O most probable. Each entity is one word.
    kinds = ["w" * 10] * 20
    emissions = make_docs(kinds, 3)
    for values in emissions:
        values[:, 0] += 5
        values[:, [2, 4]] -= 1000
    counts = [
        sum(map(len, decode_docs(kinds, emissions, legal_chain(SCHEME), bias=bias)))
        for bias in numpy.linspace(-2, 15, 10)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[3] < counts[-1] == 200


@settings(deadline=None)
@given(docs, seeds)
def test_entities_are_valid_spans_of_words_with_pieces(kinds, seed):
    found = decode_docs(kinds, make_docs(kinds, seed), make_chain(seed))
    for kind, entities in zip(kinds, found, strict=True):
        assert all(one[1] <= other[0] for one, other in pairwise(entities))
        for start, end, _, confidence in entities:
            assert 0 <= start < end <= len(kind)
            # Words without pieces are only inside of entities, barred words nowhere.
            assert kind[start] == kind[end - 1] == "w"
            assert not set(kind[start:end]) & set("x-")
            assert 0 < confidence <= 1
        # Raises an error if entities overlap.
        entities_to_tags([entity[:3] for entity in entities], len(kind))


@settings(deadline=None)
@given(docs, seeds, st.randoms(use_true_random=False))
def test_order_and_batch_do_not_change_the_entities_of_a_doc(kinds, seed, random):
    chain, emissions = make_chain(seed), make_docs(kinds, seed)
    together = decode_docs(kinds, emissions, chain)
    order = list(range(len(kinds)))
    random.shuffle(order)
    shuffled = decode_docs(
        [kinds[i] for i in order], [emissions[i] for i in order], chain
    )
    for i, entities in zip(order, shuffled, strict=True):
        assert_same(entities, together[i])
        assert_same(*decode_docs([kinds[i]], [emissions[i]], chain), together[i])


@given(seeds)
@settings(deadline=None, max_examples=20)
def test_confidences_are_the_same_bits_in_every_batch(seed):
    kinds = ["w" * n for n in (3, 1, 12, 0, 7, 2, 2, 5, 30, 1, 18)]
    chain, emissions = make_chain(seed), make_docs(kinds, seed)
    together = decode_docs(kinds, emissions, chain, temperature=1.3, bias=0.7)
    assert sum(map(len, together)) > 5
    for kind, rows, expected in zip(kinds, emissions, together, strict=True):
        alone = decode_docs([kind], [rows], chain, temperature=1.3, bias=0.7)
        assert alone == [expected]


def test_a_small_batch_budget_does_not_change_the_entities(monkeypatch):
    kinds = ["w" * n for n in (3, 1, 12, 0, 7, 2, 2, 5)]
    chain, emissions = make_chain(1), make_docs(kinds, 1)
    at_once = decode_docs(kinds, emissions, chain)
    assert sum(map(len, at_once)) > 5
    monkeypatch.setattr(batches, "MAX_PADDED_WORDS", 7)
    flat = numpy.concatenate(emissions)
    layout = ChainLayout.of(flat, numpy.asarray([len(kind) for kind in kinds]))
    assert [rows.shape for _, _, rows in layout.batches()] == [
        (3, 2),
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 12),
    ]
    for one, other in zip(decode_docs(kinds, emissions, chain), at_once, strict=True):
        assert_same(one, other)


def test_batches_are_smaller_for_more_tags():
    lengths = numpy.full(1000, 2)

    def sizes(n_tags):
        return [len(batch) for batch in batches.chain_batches(lengths, n_tags)]

    assert sizes(13) == [1000]
    # 2 ** 20 // 133 ** 2 posts.
    assert sizes(133) == [59] * 16 + [56]
    assert sizes(600) == [2] * 500
    assert sizes(1100) == [1] * 1000
    # 4,096 words, and 2 ** 20 // 400 words.
    lengths = numpy.full(50, 500)
    assert sizes(133) == [8] * 6 + [2]
    assert sizes(400) == [5] * 10


@pytest.mark.parametrize("kinds", [[], [""], ["", ""], ["_"], ["", "__"], ["xx", "-"]])
def test_docs_without_pieces_have_no_entities(kinds):
    assert decode_docs(kinds, make_docs(kinds, 0), make_chain(0)) == [[] for _ in kinds]


def certain(*path):
    return 50.0 * numpy.eye(N_TAGS)[[TAGS.index(tag) for tag in path]]


def test_an_entity_continues_after_a_word_without_pieces():
    emissions = certain("O", "B-a", "I-a", "I-a", "O")
    emissions[2] = 0
    chain = legal_chain(SCHEME)
    [[entity]] = decode_docs(["ww_ww"], [emissions], chain)
    assert entity[:3] == (1, 4, "a")
    # Words without pieces at the edges are not part of it.
    [entities] = decode_docs(["_w_w_"], [emissions * [[0], [1], [0], [1], [0]]], chain)
    assert [entity[:3] for entity in entities] == [(1, 4, "a")]


@pytest.mark.parametrize("barred", ["x", "-"])
def test_no_entity_contains_a_barred_word(barred):
    emissions = certain("B-a", "I-a", "I-a")
    if barred == "-":
        emissions[1] = 0
    [entities] = decode_docs([f"w{barred}w"], [emissions], legal_chain(SCHEME))
    assert (0, 1, "a") in [entity[:3] for entity in entities]
    assert all(not start <= 1 < end for start, end, _, _ in entities)


def test_confidence_is_at_most_one():
    """For uneven scores, sums in log space round to slightly more than 1."""
    rng = numpy.random.default_rng(0)
    n_docs, length = 400, 6
    emissions = rng.normal(scale=30, size=(n_docs * length, N_TAGS))
    lengths = numpy.full(n_docs, length)
    found = decode(Emitted(emissions, lengths, make_chain(0)))
    assert len(found.confidences) > n_docs
    assert (found.confidences > 1 - 1e-9).sum() > n_docs
    assert found.confidences.max() <= 1


def test_legal_chain_is_read_only():
    """All components of a scheme share the cached arrays."""
    chain = legal_chain(SCHEME)
    assert legal_chain(LabelScheme(SCHEME.types)) is chain
    for scores in chain:
        with pytest.raises(ValueError, match="read-only"):
            scores[0] = 1.0


def test_legal_chain_excludes_illegal_transitions_only():
    chain = legal_chain(SCHEME)
    for i, j in product(range(N_TAGS), repeat=2):
        # I-x needs a legal predecessor. Which one does not matter.
        first = [i - 1, i] if TAGS[i][0] == "I" else [i]
        score = 0.0 if is_legal([*first, j]) else -numpy.inf
        assert chain.transitions[i, j] == score
    assert [TAGS[i] for i in numpy.flatnonzero(chain.start == 0)] == ["O", "B-a", "B-b"]
    assert (chain.start[chain.start != 0] == -numpy.inf).all()
    assert not chain.end.any()


@settings(deadline=None, max_examples=40)
@given(small, seeds, st.floats(-3, 3), st.floats(0.3, 5))
def test_tag_probabilities_are_sums_over_all_paths(kinds, seed, bias, temperature):
    kinds = [kind.replace("x", "w").replace("-", "_") for kind in kinds]
    chain, emissions = make_chain(seed), make_docs(kinds, seed)
    flat = numpy.concatenate([numpy.zeros((0, N_TAGS)), *emissions])
    lengths = numpy.asarray([len(kind) for kind in kinds], dtype=numpy.int64)
    before = flat.copy()
    found = tag_probabilities(Emitted(flat, lengths, chain), bias, temperature)
    numpy.testing.assert_array_equal(flat, before)
    expected = numpy.zeros_like(flat)
    for kind, values, end in zip(kinds, emissions, lengths.cumsum(), strict=True):
        words = [i for i, char in enumerate(kind) if char != "_"]
        paths = [p for p in product(range(N_TAGS), repeat=len(words)) if is_legal(p)]
        scores = []
        for path in paths if words else []:
            score = chain.start[path[0]] + chain.end[path[-1]]
            score += sum(values[i, tag] for i, tag in zip(words, path, strict=True))
            score += sum(chain.transitions[a, b] for a, b in pairwise(path))
            scores.append((score + bias * sum(t != 0 for t in path)) / temperature)
        log_z = numpy.logaddexp.reduce(scores) if scores else 0.0
        for path, score in zip(paths, scores, strict=bool(words)):
            for i, tag in zip(words, path, strict=True):
                expected[end - len(kind) + i, tag] += numpy.exp(score - log_z)
    assert_allclose(found, expected, atol=1e-9)


def test_confidence_of_an_entity_is_never_zero():
    words = 1000
    emissions = numpy.zeros((words, N_TAGS))
    emissions[:, 0] = -0.01
    emissions[0, 1], emissions[1:, 2] = 0.01, 0.01
    lengths = numpy.asarray([words])
    found = decode(Emitted(emissions, lengths, legal_chain(SCHEME)), temperature=1000)
    assert (found.starts.tolist(), found.ends.tolist()) == ([0], [words])
    # More than 3 ** 1000 paths are about equally probable.
    assert 0 < found.confidences[0] < 1e-300


def test_nothing_decoded_has_the_types_of_something():
    chain = legal_chain(SCHEME)
    entity = numpy.zeros((1, N_TAGS))
    entity[0, 1] = 4.0
    found = decode(Emitted(entity, numpy.asarray([1]), chain))
    nothing = decode(Emitted(entity[:0], numpy.asarray([0]), chain))
    assert [len(field) for field in found] == [1] * 5
    assert [len(field) for field in nothing] == [0] * 5
    assert [f.dtype.kind for f in nothing] == [f.dtype.kind for f in found]


def test_settings_of_probabilities_change_nothing_by_default():
    [emissions] = make_docs(["www"], 0)
    emitted = Emitted(emissions, numpy.asarray([3]), make_chain(1))
    numpy.testing.assert_array_equal(
        tag_probabilities(emitted), tag_probabilities(emitted, 0.0, 1.0)
    )
    for one, other in zip(decode(emitted), decode(emitted, 0.0, 1.0), strict=True):
        numpy.testing.assert_array_equal(one, other)
    assert len(decode(emitted).docs) > 0


def test_docs_without_positions_are_counted():
    layout = ChainLayout.of(numpy.ones((2, N_TAGS)), numpy.asarray([0, 2, 0]))
    assert layout.counts.tolist() == [0, 2, 0]
    assert layout.offsets.tolist() == [0, 0, 2]
