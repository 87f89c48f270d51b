"""Conversion of pipelines to checkpoints for token classification."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from ..corpus.examples import read_corpus
from ..errors import WnutError
from ..files import check_out, replacing
from ..packaging.cards import checkpoint_card
from ..pipeline.loading import load_pipeline
from ..pipeline.parts import Parts, find_parts
from .heads import best_labels, check_same, copy_encoder, linear_head

# Layers of a linear head.
LINEAR = {"dropout", "linear"}
# A larger `model_max_length` means that the tokenizer has no limit.
NO_LENGTH = 1_000_000


class Agreement(NamedTuple):
    """The agreement of a checkpoint with the emissions of a pipeline.

    same (int): The number of words with the same best tag.
    words (int): The number of words, without those that have no pieces (white space).
    """

    same: int
    words: int


class Checkpoint(NamedTuple):
    """A checkpoint that was written.

    architecture (str): The class of transformers.
    lost (List[str]): The features of the pipeline that it lacks, one sentence each.
    agreement (Optional[Agreement]): Its agreement with the pipeline, if it was measured.
    """

    architecture: str
    lost: list[str]
    agreement: Agreement | None


def to_hf(
    pipeline: str, folder: Path, corpus: Path | None = None, repo: str | None = None
) -> Checkpoint:
    """Convert a pipeline to a checkpoint for `transformers`.

    pipeline (str): The name of an installed pipeline, or its folder.
    folder (Path): The folder to write: config.json, model.safetensors, the
        tokenizer and a model card, README.md.
    corpus (Optional[Path]): A DocBin to measure the agreement on.
    repo (Optional[str]): A repository on the hub to upload the folder to.
    RETURNS (Checkpoint): The checkpoint.

    Raises WnutError if the pipeline, the corpus or the repository cannot be used, or the
    pipeline has no linear head on the vectors of words.
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
    """Convert a loaded pipeline to a checkpoint.

    nlp (Language): The pipeline, with one `entity_tagger` on a transformer.
    folder (Path): The folder to write.
    docs (Optional[Iterable[Doc]]): Docs to measure the agreement on.

    Raises WnutError if there is no linear head on the vectors of words, or the
    encoder's architecture has no such head for token classification.
    """
    parts = find_linear_parts(nlp)
    model = _make_model(parts)
    tokenizer = copy.deepcopy(parts.encoder.tokenizer)
    if tokenizer.model_max_length > NO_LENGTH and "window" in parts.encoder.attrs:
        # Without a limit, transformers would exceed the positions of the encoder.
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
    """Find the parts of a pipeline with a linear head.

    Raises WnutError if its head has other layers, or as `find_parts` does.
    """
    parts = find_parts(nlp)
    _, head, *more = parts.network.layers
    leaves = {node.name for node in head.walk() if not node.layers} - LINEAR
    if leaves == {"sum_labels"}:
        raise WnutError(
            f"{parts.tagger.name} was converted from a checkpoint with labels of another "
            "scheme, whose probabilities it adds up. A checkpoint with our tags can't do "
            "that: share the original one"
        )
    if more or leaves:
        raise WnutError(
            f"{parts.tagger.name} has more than a linear layer on its encoder "
            f"({', '.join(sorted(leaves | {layer.name for layer in more}))}), and a "
            "checkpoint for token classification holds only that. Train with "
            "shape_width = 0 and hidden_width = 0 to share it with transformers"
        )
    return parts


def find_losses(parts: Parts) -> list[str]:
    """Return the features of a pipeline that a checkpoint lacks, one sentence each. If
    there is none, the best tag of each word is the same.
    """
    lost = []
    if parts.tagger.cfg["transitions"] == "learned":
        lost.append(
            "The learned transition scores are lost: each word gets its best tag "
            "independently of the others."
        )
    if parts.pooling != "reduce_first":
        lost.append(
            f"The pipeline pools the pieces of a word by {parts.pooling}, the checkpoint "
            "takes the first piece: its tags differ."
        )
    for name, neutral in (("bias", 0.0), ("temperature", 1.0), ("threshold", 0.0)):
        value = getattr(parts.tagger, name)
        if value != neutral:
            lost.append(f"The setting {name} = {value} of decoding is lost.")
    return lost


def measure_agreement(
    nlp: Language, parts: Parts, model: Any, tokenizer: Any, docs: Iterable[Doc]
) -> Agreement:
    """Measure the agreement of a checkpoint with the emissions of a pipeline.

    The tag of a word in the checkpoint is the best tag of its first piece. Words beyond
    the limit of the checkpoint count as different.
    """
    from ..models.wordpieces import unbounded_tokenizer

    same = words = 0
    backend = unbounded_tokenizer(tokenizer.backend_tokenizer)
    ops = parts.tagger.model.ops
    # Copies, which are freed one by one with the vectors of the encoder.
    for doc in nlp.pipe(doc.copy() for doc in docs):
        if len(doc):
            emissions = ops.to_numpy(parts.tagger.model.predict([doc])[0])
            best = best_labels(model, tokenizer, backend, doc)
            words += len(best)
            tags = emissions.argmax(axis=1)
            same += sum(tags[word] == label for word, label in best.items())
    return Agreement(int(same), words)


def push(folder: Path, repo: str) -> None:
    """Upload a folder to the hub. The repository is created if necessary.

    folder (Path): The folder.
    repo (str): The repository, as USER/NAME.

    Raises WnutError if the hub refuses it or cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        huggingface_hub.create_repo(repo, exist_ok=True)
        huggingface_hub.upload_folder(repo_id=repo, folder_path=folder)
    # OSError is also raised for a missing token.
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
