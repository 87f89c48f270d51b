"""Conversion of checkpoints for token classification to spaCy pipelines."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from ..corpus.examples import read_corpus
from ..errors import WnutError
from ..files import check_out, replacing
from ..labels import OUTSIDE
from ..models.checkpoints import load_checkpoint, max_window, read_vocabulary
from ..models.wordpieces import unbounded_tokenizer
from ..pipeline.factory import DEFAULT_CONFIG
from ..schemes import read_tags
from .heads import best_labels, check_same, copy_encoder, linear_head
from .label_map import LabelMap, read_labels

# The emission of a tag that the checkpoint lacks: its probability is 0, and it is finite,
# so that no probability is NaN.
LOWEST = -1e4
# The score of a transition that the checkpoint's scheme lacks. Its probability is below
# the precision of float32, and training on other data can still raise it.
FORBIDDEN = -30.0
# Texts to see how a checkpoint begins entities.
PROBES = (
    "Barack Obama met Angela Merkel in Berlin.",
    "Google opened an office in New York, said Tim Cook.",
    "London and Paris are far from Australia.",
)
# The defaults of spacy-wnut.TransformerModel.v1, in word pieces.
WINDOW, STRIDE = 254, 192


class EntityAgreement(NamedTuple):
    """The agreement of a pipeline with the best labels of its checkpoint.

    posts (int): The number of posts.
    same_posts (int): The number of posts with the same entities.
    entities (int): The number of entities of the checkpoint.
    found (int): The number of these that the pipeline finds, with the same words and
        type.
    others (int): The number of other entities that the pipeline finds.
    """

    posts: int
    same_posts: int
    entities: int
    found: int
    others: int


class Conversion(NamedTuple):
    """A pipeline that was converted.

    types (Tuple[str, ...]): The entity types of the pipeline.
    lost (List[str]): The differences from the checkpoint, one sentence each.
    agreement (Optional[EntityAgreement]): Its agreement with the checkpoint, if it was
        measured.
    """

    types: tuple[str, ...]
    lost: list[str]
    agreement: EntityAgreement | None


def from_hf(
    source: str,
    folder: Path,
    revision: str | None = None,
    lang: str = "en",
    scheme: str | None = None,
    corpus: Path | None = None,
) -> Conversion:
    """Convert a fine-tuned `AutoModelForTokenClassification` to a spaCy pipeline.

    source (str): A folder, or a model on the hub, whose labels are tags of a scheme of
        `schemes`.
    folder (Path): The folder to write the pipeline to. The pipeline does not depend on
        the source.
    revision (Optional[str]): A branch, tag or commit on the hub.
    lang (str): The language of the pipeline's tokenizer.
    scheme (Optional[str]): The scheme of the labels. None to infer it, see
        `label_map.read_labels`.
    corpus (Optional[Path]): A corpus to measure the agreement on.
    RETURNS (Conversion): The pipeline's types, and its differences from the checkpoint.

    Raises WnutError if the checkpoint or the corpus cannot be loaded, its labels are
    tags of no scheme, it is not an encoder with one linear layer, or it has no fast
    tokenizer.
    """
    from transformers import AutoModelForTokenClassification

    check_out(folder, [source, corpus or ""], "meta.json")
    (model, info), tokenizer = load_checkpoint(
        source,
        AutoModelForTokenClassification,
        revision,
        kind="checkpoint",
        output_loading_info=True,
    )
    if info["missing_keys"]:
        raise WnutError(
            f"The checkpoint {source!r} isn't fine-tuned for token classification: it "
            f"has no weights {', '.join(sorted(info['missing_keys']))}"
        )
    label_map = read_labels(model.config.id2label, scheme)
    nlp = make_pipeline(model, tokenizer, label_map, source, lang)
    lost = list(label_map.lost)
    docs = [nlp.make_doc(text) for text in PROBES]
    agreement = None
    if corpus is not None:
        docs = [example.predicted for example in read_corpus(corpus, nlp)]
    labels = [_read_best(model, tokenizer, label_map, doc) for doc in docs]
    if scheme is None and not label_map.joins and _begin_inside(labels, label_map):
        lost.append(
            "The checkpoint begins entities with I-x, so it was probably trained on "
            "IOB1, and this pipeline misses them. Convert it with --scheme iob1."
        )
    if corpus is not None:
        agreement = _measure_agreement(nlp, docs, labels, label_map)
    with replacing(folder) as beside:
        nlp.to_disk(beside)
    return Conversion(label_map.scheme.types, lost, agreement)


def make_pipeline(
    model: Any, tokenizer: Any, label_map: LabelMap, name: str, lang: str = "en"
) -> Language:
    """Make the pipeline of a model. Its components are `transformer`, and `ner` of the
    factory `entity_tagger`. Its transitions are constrained or, for IO and IOB1, those
    that join adjacent entities of the same type.

    model (PreTrainedModel): The model, loaded by `AutoModelForTokenClassification`.
    tokenizer (PreTrainedTokenizerFast): Its tokenizer.
    label_map (LabelMap): Its labels.
    name (str): Its name or folder, for the config.
    lang (str): The language of the pipeline's tokenizer.
    RETURNS (Language): The pipeline.

    Raises WnutError if there is more than one linear layer on the encoder, or spaCy does
    not have the language.
    """
    from spacy_transformers.data_classes import HFObjects
    from transformers import AutoModel

    head = linear_head(model)
    encoder = AutoModel.from_config(model.config)
    copy_encoder(model.base_model, encoder)
    check_same(model, encoder, tokenizer)
    encoder.config.return_dict = True
    try:
        nlp = spacy.blank(lang)
    except ImportError as err:
        raise WnutError(f"{lang!r} is no language of spaCy's: give one as en") from err
    most = max_window(encoder, tokenizer, tokenizer.num_special_tokens_to_add())
    window = WINDOW if most is None else max(1, min(WINDOW, most))
    nlp.add_pipe(
        "transformer",
        config={
            "model": {
                "@architectures": "spacy-wnut.TransformerModel.v1",
                "name": name,
                "window": window,
                "stride": STRIDE if window == WINDOW else max(window * 3 // 4, 1),
            },
            "set_extra_annotations": {
                "@annotation_setters": "spacy-transformers.null_annotation_setter.v1"
            },
        },
    )
    labels = label_map.labels
    settings: dict[str, Any] = {
        "transitions": "learned" if label_map.joins else "constrained"
    }
    if not is_linear(labels):
        used = used_labels(labels)
        settings["model"] = DEFAULT_CONFIG["entity_tagger"]["model"] | {
            "labels_of_tags": [[used.index(i) for i in row] for row in labels]
        }
    ner: Any = nlp.add_pipe("entity_tagger", name="ner", config=settings)
    transformer: Any = nlp.get_pipe("transformer")
    transformer.model.attrs["set_transformer"](
        transformer.model, HFObjects(tokenizer, encoder, read_vocabulary(tokenizer))
    )
    example = Example(nlp.make_doc("hello"), nlp.make_doc("hello"))
    transformer.initialize(lambda: [example], nlp=nlp)
    ner.initialize(lambda: [example], nlp=nlp, labels=list(label_map.scheme.types))
    _fill_head(ner.model.layers[0], head, labels)
    if label_map.joins:
        _forbid_adjacent(ner.model)
    return nlp


def _read_best(
    model: Any, tokenizer: Any, label_map: LabelMap, doc: Doc
) -> dict[int, str]:
    """Return the best label of each word that has pieces. A label that is not a tag of
    words is O, and so are words beyond the limit of the checkpoint.
    """
    backend = unbounded_tokenizer(tokenizer.backend_tokenizer)
    best = best_labels(model, tokenizer, backend, doc) if len(doc) else {}
    names, unread = model.config.id2label, {-1, *label_map.extra}
    return {
        word: OUTSIDE if label in unread else str(names[label])
        for word, label in best.items()
    }


def _begin_inside(labels: Iterable[dict[int, str]], label_map: LabelMap) -> bool:
    """Return whether entities of the checkpoint begin with I-x, and hardly any with B-x,
    although it has all labels of BIO.
    """
    if label_map.notation.scheme != "bio":
        return False
    inside = begin = 0
    for words in labels:
        before = ""
        for tag in words.values():
            prefix, label = label_map.notation.split(tag)
            begin += prefix == "B" and label != before
            inside += prefix == "I" and label != before
            before = label
    return inside > 1 and inside > 9 * begin


def _measure_agreement(
    nlp: Language,
    docs: Sequence[Doc],
    labels: Iterable[dict[int, str]],
    label_map: LabelMap,
) -> EntityAgreement:
    same = entities = found = others = 0
    copies = (doc.copy() for doc in docs)
    for doc, best in zip(nlp.pipe(copies), labels, strict=True):
        words = list(best)
        expected = {
            (words[start], words[end - 1] + 1, label)
            for start, end, label in read_tags(list(best.values()), label_map.notation)[
                0
            ]
        }
        actual = {(ent.start, ent.end, ent.label_) for ent in doc.ents}
        same += actual == expected
        entities += len(expected)
        found += len(actual & expected)
        others += len(actual - expected)
    return EntityAgreement(len(docs), same, entities, found, others)


def _fill_head(network: Any, head: Any, labels: Sequence[Sequence[int]]) -> None:
    """Copy the weights of a checkpoint's head: one row per tag, or one per label if a
    tag has several.
    """
    output_layer, ops = network.get_ref("output_layer"), network.ops
    rows = labels if is_linear(labels) else [[label] for label in used_labels(labels)]
    weights = ops.alloc2f(len(rows), head.in_features)
    bias = ops.alloc1f(len(rows))
    given = ops.asarray2f(head.weight.detach().cpu().numpy())
    for i, row in enumerate(rows):
        if not row:
            bias[i] = LOWEST
        else:
            weights[i] = given[row[0]]
            bias[i] = 0.0 if head.bias is None else head.bias[row[0]].item()
    output_layer.set_param("W", weights)
    output_layer.set_param("b", bias)


def _forbid_adjacent(model: Any) -> None:
    """Set the transitions from an entity to B-x of the same type."""
    transitions = model.get_param("transitions").copy()  # (T from, T to)
    for begin in range(1, len(transitions), 2):
        transitions[begin : begin + 2, begin] = FORBIDDEN
    model.set_param("transitions", transitions)


def is_linear(labels: Sequence[Sequence[int]]) -> bool:
    """Return whether each tag has at most one label."""
    return all(len(row) <= 1 for row in labels)


def used_labels(labels: Sequence[Sequence[int]]) -> list[int]:
    """Return the indices of the labels that belong to a tag, in order."""
    return sorted({label for row in labels for label in row})
