"""A pipeline as a checkpoint for `AutoModelForTokenClassification`."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from ..corpus.docbin import read_corpus
from ..errors import WnutError
from ..files import check_out, replacing
from ..packaging.cards import checkpoint_card
from ..pipeline.loading import load_pipeline
from ..pipeline.parts import Parts, find_parts
from .heads import check_same, copy_encoder, encode, linear_head

# Layers that take no part in a linear head, or are it.
LINEAR = {"dropout", "linear"}
# What tokenizers say that know of no greatest length.
NO_LENGTH = 1_000_000


class Agreement(NamedTuple):
    """Of how many `words` a checkpoint has the same best tag as the pipeline's
    emissions: `same`. Words without pieces (white space) are not counted.
    """

    same: int
    words: int


class Checkpoint(NamedTuple):
    """The `architecture` of a checkpoint that was written, what was `lost` on the
    way, a sentence each, and the `agreement`, if it was measured.
    """

    architecture: str
    lost: list[str]
    agreement: Agreement | None


def to_hf(
    pipeline: str, folder: Path, corpus: Path | None = None, repo: str | None = None
) -> Checkpoint:
    """Write a pipeline as a checkpoint that `transformers` loads.

    pipeline (str): The name of an installed pipeline, or its folder.
    folder (Path): The folder to write: config.json, model.safetensors, the
        tokenizer and a model card, README.md.
    corpus (Optional[Path]): A DocBin on whose words the agreement is measured.
    repo (Optional[str]): A repository on the hub to share the folder in.

    Raises WnutError if the pipeline, the corpus or the repository can't be used, or
    the pipeline has no linear head on the vectors of words.
    """
    check_out(folder, [pipeline, corpus or ""], "config.json")
    nlp = load_pipeline(pipeline)
    docs = None
    if corpus is not None:
        docs = [example.predicted for example in read_corpus(corpus, nlp)]
    checkpoint = write_checkpoint(nlp, folder, docs)
    if repo is not None:
        push(folder, repo)
    return checkpoint


def write_checkpoint(
    nlp: Language, folder: Path, docs: Iterable[Doc] | None = None
) -> Checkpoint:
    """Write a loaded pipeline as a checkpoint.

    nlp (Language): The pipeline, with one `entity_tagger` on a transformer.
    folder (Path): The folder to write.
    docs (Optional[Iterable[Doc]]): Docs on whose words the agreement is measured.

    Raises WnutError if there is no linear head on the vectors of words, or the
    encoder's architecture has no such head for token classification.
    """
    parts = find_linear_parts(nlp)
    model = _make_model(parts)
    tokenizer = copy.deepcopy(parts.encoder.tokenizer)
    if tokenizer.model_max_length > NO_LENGTH and "window" in parts.encoder.attrs:
        # transformers would run longer texts than the encoder takes.
        n_specials = tokenizer.num_special_tokens_to_add()
        tokenizer.model_max_length = parts.encoder.attrs["window"] + n_specials
    check_same(model, parts.encoder.transformer, tokenizer)
    lost = find_losses(parts)
    agreement = None
    if docs is not None:
        agreement = measure_agreement(nlp, parts, model, tokenizer, docs)
    with replacing(folder) as beside:
        model.save_pretrained(beside, safe_serialization=True)
        tokenizer.save_pretrained(beside)
        (beside / "README.md").write_text(
            checkpoint_card(
                nlp.meta, folder.name, parts.tagger.labels, lost, agreement
            ),
            encoding="utf8",
        )
    return Checkpoint(type(model).__name__, lost, agreement)


def find_linear_parts(nlp: Language) -> Parts:
    """What a pipeline's entities come from, if its head is linear.

    Raises WnutError if it isn't, or the pipeline has no such parts.
    """
    parts = find_parts(nlp)
    _, head, *more = parts.network.layers
    leaves = {node.name for node in head.walk() if not node.layers} - LINEAR
    if more or leaves:
        raise WnutError(
            f"{parts.tagger.name} has more than a linear layer on its encoder "
            f"({', '.join(sorted(leaves | {layer.name for layer in more}))}), and a "
            "checkpoint for token classification holds only that. Train with "
            "shape_width = 0 and hidden_width = 0 to share it with transformers"
        )
    return parts


def find_losses(parts: Parts) -> list[str]:
    """What a pipeline has and a checkpoint can't carry, a sentence each. Without
    any, the best tag of each word is the same.
    """
    lost = []
    if parts.tagger.cfg["transitions"] == "learned":
        lost.append(
            "The learned scores of moves from tag to tag are lost: each word gets its "
            "best tag by itself."
        )
    if parts.pooling != "reduce_first":
        lost.append(
            f"A word is represented by {parts.pooling}, the checkpoint takes the first "
            "piece of each: its tags are others."
        )
    for name, neutral in (("bias", 0.0), ("temperature", 1.0), ("threshold", 0.0)):
        value = getattr(parts.tagger, name)
        if value != neutral:
            lost.append(f"The setting {name} = {value} of decoding is lost.")
    return lost


def measure_agreement(
    nlp: Language, parts: Parts, model: Any, tokenizer: Any, docs: Iterable[Doc]
) -> Agreement:
    """On how many words a checkpoint and the pipeline's emissions agree.

    A word counts by the best tag of its first piece. Words that the checkpoint
    doesn't see, because the text is too long for it, count as different.
    """
    import torch

    from ..models.wordpieces import tokenize, unbounded_tokenizer

    same = words = 0
    backend = unbounded_tokenizer(tokenizer.backend_tokenizer)
    ops = parts.tagger.model.ops
    # Copies are freed one by one, with the encoder's vectors.
    for doc in nlp.pipe(doc.copy() for doc in docs):
        if not len(doc):
            continue
        emissions = ops.to_numpy(parts.tagger.model.predict([doc])[0])
        [pieces] = tokenize(backend, [doc]).by_doc()
        inputs, n_before = encode(tokenizer, backend, doc.text, model)
        with torch.no_grad():
            best = model(**inputs).logits[0].argmax(dim=1).tolist()
        n_seen = inputs["input_ids"].shape[1]
        for tag, first, count in zip(
            emissions.argmax(axis=1), pieces.firsts, pieces.counts, strict=True
        ):
            if count:
                at = first + n_before
                words += 1
                same += at < n_seen and best[at] == tag
    return Agreement(int(same), words)


def push(folder: Path, repo: str) -> None:
    """Share a folder on the hub, in a repository that is made if it isn't there.

    Raises WnutError if the hub refuses it or can't be reached.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        huggingface_hub.create_repo(repo, exist_ok=True)
        huggingface_hub.upload_folder(repo_id=repo, folder_path=folder)
    # OSError is also what a missing token raises.
    except (HfHubHTTPError, HFValidationError, OSError) as err:
        raise WnutError(
            f"{folder} is written, but couldn't be shared as {repo!r}: {err}. Log in "
            "with `huggingface-cli login`, and name a repository as USER/NAME"
        ) from err


def _make_model(parts: Parts) -> Any:
    import torch
    from transformers import AutoModelForTokenClassification

    encoder, tags = parts.encoder.transformer, parts.tagger.scheme.tags
    config = copy.deepcopy(encoder.config)
    config.id2label = dict(enumerate(tags))
    config.label2id = {tag: i for i, tag in enumerate(tags)}
    try:
        model = AutoModelForTokenClassification.from_config(config)
    except ValueError as err:
        raise WnutError(
            f"transformers has no token classification for {config.model_type}"
        ) from err
    model.to(encoder.device)
    linear = linear_head(model)
    copy_encoder(encoder, model.base_model)
    head = parts.network.get_ref("output_layer")
    with torch.no_grad():
        for name, given in (("W", linear.weight), ("b", linear.bias)):
            if given is not None:
                values = torch.tensor(head.ops.to_numpy(head.get_param(name)))
                given.copy_(values)
    return model
