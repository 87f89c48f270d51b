"""Conversion of checkpoints for token classification to spaCy pipelines."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.training import Example

from ..errors import WnutError
from ..files import check_out, replacing
from ..labels import OUTSIDE, LabelScheme, split_tag
from ..models.checkpoints import load_checkpoint, max_window, read_vocabulary
from .heads import check_same, copy_encoder, linear_head

# The emission of a tag that the checkpoint lacks: its probability is 0, and it is finite,
# so that no probability is NaN.
LOWEST = -1e4
# The defaults of spacy-wnut.TransformerModel.v1, in word pieces.
WINDOW, STRIDE = 254, 192


def from_hf(
    source: str, folder: Path, revision: str | None = None, lang: str = "en"
) -> tuple[str, ...]:
    """Convert a fine-tuned `AutoModelForTokenClassification` to a spaCy pipeline.

    source (str): A folder, or a model on the hub, whose labels are BIO tags.
    folder (Path): The folder to write the pipeline to. The pipeline does not depend on
        the source.
    revision (Optional[str]): A branch, tag or commit on the hub.
    lang (str): The language of the pipeline's tokenizer.
    RETURNS (Tuple[str, ...]): The entity types of the pipeline.

    Raises WnutError if the checkpoint cannot be loaded, its labels are not BIO tags, it
    is not an encoder with one linear layer, or it has no fast tokenizer.
    """
    from transformers import AutoModelForTokenClassification

    check_out(folder, [source], "meta.json")
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
    nlp = make_pipeline(model, tokenizer, source, lang)
    with replacing(folder) as beside:
        nlp.to_disk(beside)
    return tuple(nlp.pipe_labels["ner"])


def make_pipeline(model: Any, tokenizer: Any, name: str, lang: str = "en") -> Language:
    """Make the pipeline of a model. Its components are `transformer`, and `ner` of the
    factory `entity_tagger` with constrained transitions.

    model (PreTrainedModel): The model, loaded by `AutoModelForTokenClassification`.
    tokenizer (PreTrainedTokenizerFast): Its tokenizer.
    name (str): Its name or folder, for the config.
    lang (str): The language of the pipeline's tokenizer.
    RETURNS (Language): The pipeline.

    Raises WnutError if the labels are not BIO tags, there is more than one linear layer
    on the encoder, or spaCy does not have the language.
    """
    from spacy_transformers.data_classes import HFObjects
    from transformers import AutoModel

    scheme, rows = read_labels(model.config.id2label)
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
    ner: Any = nlp.add_pipe(
        "entity_tagger", name="ner", config={"transitions": "constrained"}
    )
    transformer: Any = nlp.get_pipe("transformer")
    transformer.model.attrs["set_transformer"](
        transformer.model, HFObjects(tokenizer, encoder, read_vocabulary(tokenizer))
    )
    example = Example(nlp.make_doc("hello"), nlp.make_doc("hello"))
    transformer.initialize(lambda: [example], nlp=nlp)
    ner.initialize(lambda: [example], nlp=nlp, labels=list(scheme.types))
    _fill_head(ner.model.layers[0].get_ref("output_layer"), head, rows)
    return nlp


def read_labels(
    id2label: Mapping[int, str],
) -> tuple[LabelScheme, list[int | None]]:
    """Make the label scheme of a checkpoint.

    id2label (Mapping[int, str]): The labels of the checkpoint by their index.
    RETURNS (Tuple[LabelScheme, List[Optional[int]]]): The scheme, with the types in the
        order of the checkpoint, and for each of its tags the index of the label. The
        index is None for the tag I-x of a type that has only the label B-x.

    Raises WnutError if the labels are not O, B-x and I-x, or if a type has no B-x, as in
    IOB1, where I-x may begin an entity.

    >>> scheme, indices = read_labels({0: "O", 1: "B-person", 2: "I-person"})
    >>> scheme.tags, indices
    (('O', 'B-person', 'I-person'), [0, 1, 2])
    """
    labels = {str(id2label[i]): i for i in sorted(id2label)}
    listed = ", ".join(str(id2label[i]) for i in sorted(id2label))
    if len(labels) < len(id2label):
        raise WnutError(f"a label of the checkpoint is there twice: {listed}")
    if all(re.fullmatch(r"LABEL_\d+", label) for label in labels):
        raise WnutError(
            f"the checkpoint doesn't name its labels ({listed}). Write BIO tags into "
            "id2label and label2id of its config.json"
        )
    if any(re.match("[ELMSU]-", label) for label in labels):
        raise WnutError(
            f"the checkpoint's labels are of another scheme than BIO: {listed}. IOBES "
            "and BILOU mark last and single words, which O, B-x and I-x can't say"
        )
    if OUTSIDE not in labels:
        raise WnutError(f"the checkpoint has no label O: {listed}")
    try:
        scheme = LabelScheme.from_tags(labels)
        prefixes = {split_tag(label) for label in labels}
    except ValueError as err:
        raise WnutError(f"the checkpoint's labels can't be used: {err}") from err
    only_inside = [x for x in scheme.types if ("B", x) not in prefixes]
    if only_inside or not scheme.types:
        missing = ", ".join(f"B-{x}" for x in only_inside) or "entity types"
        raise WnutError(
            f"the checkpoint has no labels {missing} ({listed}). In IOB1 an entity "
            "begins with I-x unless it follows another: fine-tune it with BIO tags "
            "(IOB2), where it begins with B-x"
        )
    return scheme, [labels.get(tag) for tag in scheme.tags]


def _fill_head(output_layer: Any, head: Any, rows: list[int | None]) -> None:
    ops = output_layer.ops
    weights = ops.alloc2f(len(rows), head.in_features)
    bias = ops.alloc1f(len(rows))
    given = ops.asarray2f(head.weight.detach().cpu().numpy())
    for tag, row in enumerate(rows):
        if row is None:
            bias[tag] = LOWEST
        else:
            weights[tag] = given[row]
            bias[tag] = 0.0 if head.bias is None else head.bias[row].item()
    output_layer.set_param("W", weights)
    output_layer.set_param("b", bias)
