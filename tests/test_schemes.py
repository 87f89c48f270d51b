import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities
from spacy.tokens import Doc
from spacy.training.iob_utils import biluo_tags_to_spans, iob_to_biluo
from spacy.vocab import Vocab

from spacy_wnut.labels import Entity
from spacy_wnut.schemes import (
    FORMS,
    MISSING,
    ONLY_TYPE,
    Notation,
    TagError,
    infer_notation,
    read_tags,
)

# Hostile names: prefixes, separators at all places, and other scripts.
TYPES = ["person", "creative-work", "geo_loc", "B", "S-x", "x_I", "_", "-", "é", "O"]
ORACLES = {"bio": IOB2, "iob1": IOB1, "iobes": IOBES, "bilou": BILOU}


@st.composite
def posts_of_entities(draw, types):
    """Posts as (number of words, entities, indices of words without annotation)."""
    posts = []
    for _ in range(draw(st.integers(1, 4))):
        entities, missing, length = [], [], 0
        for _ in range(draw(st.integers(0, 6))):
            kind = draw(st.sampled_from(["entity", "entity", "outside", "missing"]))
            end = length + (draw(st.integers(1, 4)) if kind == "entity" else 1)
            if kind == "entity":
                entities.append(Entity(length, end, draw(st.sampled_from(types))))
            elif kind == "missing":
                missing.append(length)
            length = end
        posts.append((length, entities, missing))
    return posts


def prefixes_of(scheme, n_words, is_after_same):
    """The prefixes of an entity, by the definition of each scheme."""
    inside = ["I"] * n_words
    if scheme == "io" or (scheme == "iob1" and not is_after_same):
        return inside
    if scheme in ("bio", "iob1"):
        return ["B", *inside[1:]]
    last, single = ("E", "S") if scheme in ("iobes", "bmes") else ("L", "U")
    if n_words == 1:
        prefixes = [single]
    else:
        prefixes = ["B", *inside[2:], last]
    return ["M" if p == "I" else p for p in prefixes] if scheme == "bmes" else prefixes


def write_tags(post, scheme, write):
    length, entities, missing = post
    tags = ["O"] * length
    ends = {(end, label) for _, end, label in entities}
    for start, end, label in entities:
        prefixes = prefixes_of(scheme, end - start, (start, label) in ends)
        tags[start:end] = [write(prefix, label) for prefix in prefixes]
    for i in missing:
        tags[i] = MISSING[i % 2]
    return tags


WRITERS = {
    ("prefix", "-"): lambda prefix, label: f"{prefix}-{label}",
    ("prefix", "_"): lambda prefix, label: f"{prefix}_{label}",
    ("suffix", "-"): lambda prefix, label: f"{label}-{prefix}",
    ("suffix", "_"): lambda prefix, label: f"{label}_{prefix}",
    ("prefix only", ""): lambda prefix, label: prefix,
}


@pytest.mark.parametrize("scheme", ["bio", "iob1", "iobes", "bmes", "bilou"])
@pytest.mark.parametrize("form", FORMS, ids="".join)
@settings(max_examples=20)
@given(data=st.data(), is_lower=st.booleans())
def test_any_entities_are_read_back(scheme, form, data, is_lower):
    types = [ONLY_TYPE] if form[1] == "" else TYPES
    posts = data.draw(posts_of_entities(types))

    def write(prefix, label):
        return WRITERS[form](prefix.lower() if is_lower else prefix, label)

    written = [write_tags(post, scheme, write) for post in posts]
    try:
        notation = infer_notation(written)
    except TagError as err:
        # Names that look like prefixes can make a short file ambiguous.
        assert "is ambiguous" in str(err)
        assume(False)
    assume((notation.form, notation.separator) == form)
    for (_, entities, missing), tags in zip(posts, written, strict=True):
        assert read_tags(tags, notation) == (entities, missing)


@pytest.mark.parametrize("scheme", ["bio", "iob1", "iobes", "bmes", "bilou"])
@pytest.mark.parametrize("form", FORMS, ids="".join)
@settings(max_examples=20)
@given(data=st.data(), is_lower=st.booleans())
def test_usual_names_make_no_file_ambiguous(scheme, form, data, is_lower):
    types = [ONLY_TYPE] if form[1] == "" else ["person", "creative-work", "geo_loc"]
    posts = data.draw(posts_of_entities(types))

    def write(prefix, label):
        return WRITERS[form](prefix.lower() if is_lower else prefix, label)

    written = [write_tags(post, scheme, write) for post in posts]
    notation = infer_notation(written)
    for (_, entities, missing), tags in zip(posts, written, strict=True):
        assert read_tags(tags, notation) == (entities, missing)


def as_tuples(entities):
    return [(e.start, e.end, e.tag) for e in entities]


@pytest.mark.parametrize("scheme", ORACLES)
@given(posts=posts_of_entities(["a", "b"]))
def test_legal_tags_are_those_of_seqeval_in_strict_mode(scheme, posts):
    write = WRITERS["prefix", "-"]
    for length, entities, _ in posts:
        tags = write_tags((length, entities, []), scheme, write)
        [expected] = Entities([tags], ORACLES[scheme]).entities
        assert read_tags(tags, Notation(scheme))[0] == as_tuples(expected)


@given(
    st.lists(st.sampled_from("O B-a I-a E-a S-a B-b I-b E-b S-b".split()), max_size=9)
)
def test_illegal_tags_are_repaired_as_by_seqeval(tags):
    expected = [Entity(i, j + 1, label) for label, i, j in get_entities(tags)]
    assert read_tags(tags, Notation("iobes"))[0] == expected
    renamed = [tag.replace("E-", "L-").replace("S-", "U-") for tag in tags]
    assert read_tags(renamed, Notation("bilou"))[0] == expected
    bio = [tag.replace("E-", "I-").replace("S-", "B-") for tag in tags]
    expected = [Entity(i, j + 1, label) for label, i, j in get_entities(bio)]
    for scheme in ("bio", "iob1"):
        assert read_tags(bio, Notation(scheme))[0] == expected


@given(posts=posts_of_entities(["a", "b"]))
def test_bilou_is_that_of_spacy(posts):
    for length, entities, _ in posts:
        bio = write_tags((length, entities, []), "bio", WRITERS["prefix", "-"])
        tags = iob_to_biluo(bio)
        doc = Doc(Vocab(), words=["x"] * length)
        spans = [(s.start, s.end, s.label_) for s in biluo_tags_to_spans(doc, tags)]
        assert read_tags(tags, Notation("bilou"))[0] == spans == entities


@given(posts=posts_of_entities(["a", "b"]))
def test_adjacent_entities_of_a_type_are_one_in_io(posts):
    for length, entities, _ in posts:
        merged = []
        for start, end, label in entities:
            if merged and merged[-1][1:] == (start, label):
                start = merged.pop()[0]
            merged.append(Entity(start, end, label))
        tags = write_tags((length, entities, []), "io", WRITERS["prefix", "-"])
        assert read_tags(tags, infer_notation([tags]))[0] == merged
        bare = [tag.removeprefix("I-") for tag in tags]
        assert read_tags(bare, infer_notation([bare], "io"))[0] == merged


@pytest.mark.parametrize(
    "tags, scheme",
    [
        ("O", "bio"),
        ("B-a I-a O", "bio"),
        ("B-a B-a", "bio"),
        ("O I-a I-a I-b", "io"),
        ("I-a B-a I-a O I-a", "iob1"),
        ("I-a B-a O B-b", "bio"),
        ("I-a B-b", "bio"),
        ("S-a O", "iobes"),
        ("B-a E-a", "iobes"),
        ("B-a M-a E-a W-a", "iobes"),
        ("U-a O", "bilou"),
        ("B-a I-a L-a U-b", "bilou"),
        # Of types that look like prefixes.
        ("B-B I-B O", "bio"),
        ("B-S I-S B-E", "bio"),
        ("B-S-x I-S-x", "bio"),
        ("- _ O", "bio"),
    ],
)
def test_scheme_by_its_prefixes(tags, scheme):
    assert infer_notation([tags.split()]) == Notation(scheme)


@pytest.mark.parametrize(
    "tags, notation, types",
    [
        ("b-per i-per o", Notation("bio", is_lower=True), {"per"}),
        ("b-PER i-PER O", Notation("bio", is_lower=True), {"PER"}),
        ("B_geo_loc I_geo_loc", Notation("bio", "prefix", "_"), {"geo_loc"}),
        ("geo_loc_B geo_loc_I", Notation("bio", "suffix", "_"), {"geo_loc"}),
        ("creative-work-B O", Notation("bio", "suffix"), {"creative-work"}),
        ("B I O B", Notation("bio", "prefix only", ""), {ONLY_TYPE}),
        ("b i o", Notation("bio", "prefix only", "", True), {ONLY_TYPE}),
        ("B M E S O", Notation("iobes", "prefix only", ""), {ONLY_TYPE}),
        # The type S with BIO as suffixes, not single words of the types B and I.
        ("S-B S-I O", Notation("bio", "suffix"), {"S"}),
        ("B_x-B B_x-I", Notation("bio", "suffix"), {"B_x"}),
        ("B-B B-I S-x-B S-x-I", Notation("bio", "suffix"), {"B", "S-x"}),
        # The same with both readings.
        ("S-S O", Notation("iobes"), {"S"}),
        # Prefixes in upper case.
        ("i-B O", Notation("bio", "suffix"), {"i"}),
        ("E-b O", Notation("iobes"), {"b"}),
        # The type B in IOBES, not the types S, B and E.
        ("S-B O B-B E-B", Notation("iobes"), {"B"}),
    ],
)
def test_notation_fits_all_tags(tags, notation, types):
    assert infer_notation([tags.split()]) == notation
    assert {notation.split(tag)[1] for tag in tags.split()} - {""} == types


@pytest.mark.parametrize(
    "tags, scheme, message",
    [
        ("B-a I-a PER", None, "'PER' is not a BIO tag: expected O, B-type or I-type"),
        ("B- O", None, "'B-' is not a BIO tag: expected O, B-type or I-type"),
        ("B-a B-a a-I", None, "'a-I' is not a BIO tag: expected O, B-type or I-type"),
        ("B-a B-a i-a", None, "'i-a' is not a BIO tag: expected O, B-type or I-type"),
        ("B-a B-a o", None, "'o' is not a BIO tag: expected O, B-type or I-type"),
        ("B-a B-a B", None, "'B' is not a BIO tag: expected O, B-type or I-type"),
        (
            "B-a E-a S-a U-a",
            None,
            "'U-a' is not an IOBES tag: expected O, B-type, I-type, E-type or S-type",
        ),
        (
            "a_B a_L a_U a_S",
            None,
            "'a_S' is not a BILOU tag: expected O, type_B, type_I, type_L or type_U",
        ),
        ("b i e l", None, "'l' is not an IOBES tag: expected o, b, i, e or s"),
        ("B-a E-a", "bio", "'E-a' is not a BIO tag: expected O, B-type or I-type"),
        ("B-a E-a", "iob1", "'E-a' is not an IOB1 tag: expected O, B-type or I-type"),
        (
            "B-a E-a",
            "bilou",
            "'E-a' is not a BILOU tag: expected O, B-type, I-type, L-type or U-type",
        ),
        (
            "S-W",
            None,
            "'S-W' is ambiguous: the tags of the file can be read as O, B-type, I-type, "
            "E-type, S-type and as O, type-B, type-I, type-E, type-S. Write them as "
            "B-type, I-type and O",
        ),
    ],
)
def test_tag_of_no_notation(tags, scheme, message):
    with pytest.raises(TagError) as err:
        infer_notation([[tag] for tag in tags.split()], scheme)
    assert str(err.value) == message
    assert err.value.tag == message.split("'")[1]


def test_schemes_that_were_set():
    assert infer_notation([["B-a", "B-a"]], "iobes") == Notation("iobes")
    assert infer_notation([["I-a", "O"]], "bio") == Notation("bio")
    assert infer_notation([["I-a", "O"]], "io") == Notation("io")
    types = infer_notation([["I", "PER", "B-a", "O"]], "io")
    assert types == Notation("io", "type only", "")
    assert types.split("B-a") == ("I", "B-a")


def test_unknown_scheme():
    with pytest.raises(
        ValueError, match="unknown scheme 'iob': expected bio, iob1, io"
    ):
        infer_notation([["O"]], "iob")


def test_missing_annotation_ends_an_entity():
    tags = ["B-a", "-", "I-a", "_", "-", "I-a"]
    assert read_tags(tags, Notation()) == (
        [Entity(0, 1, "a"), Entity(2, 3, "a"), Entity(5, 6, "a")],
        [1, 3, 4],
    )
