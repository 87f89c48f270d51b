"""Evaluation of a pipeline on a corpus."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from spacy.language import Language
from spacy.training import Example
from tqdm import tqdm  # type: ignore[import-untyped]

from ..corpus.examples import read_corpus, rename_entities
from ..corpus.type_map import TypeMap
from ..errors import WnutError
from ..pipeline.loading import load_pipeline, no_entities
from .examples import examples_to_posts
from .measures import ScoredPost


class Evaluation(NamedTuple):
    """The predictions of a pipeline on a corpus.

    posts (List[ScoredPost]): The posts with gold and predicted tags.
    protocol (str): "gold tokens" if the pipeline ran on the tokens of the corpus,
        "spaCy tokens" if it tokenized the texts.
    """

    posts: list[ScoredPost]
    protocol: str


def evaluate_pipeline(model: str, corpus: Path, gpu_id: int) -> Evaluation:
    """Run a pipeline on the posts of a corpus, with a progress bar on stderr.

    model (str): The name of an installed pipeline, or its folder.
    corpus (Path): The annotated posts, as for `read_corpus`. They determine the protocol:
        posts with unknown spaces are evaluated on gold tokens, all others on spaCy
        tokens. An entity with a boundary inside a token counts as a gold entity that is
        not found.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    RETURNS (Evaluation): The scored posts and the protocol.

    Raises WnutError if the GPU, the pipeline or the corpus can't be used, or if the
    pipeline has no component that sets entities.
    """
    [evaluation] = evaluate_corpora(model, [corpus], gpu_id)
    return evaluation


def evaluate_corpora(
    model: str, corpora: Sequence[Path], gpu_id: int, types: TypeMap | None = None
) -> Iterator[Evaluation]:
    """Run a pipeline over several corpora. The pipeline is loaded once, and all corpora
    are read before the first one is evaluated.

    model (str): The name of an installed pipeline, or its folder.
    corpora (Sequence[Path]): Files, as `evaluate_pipeline` takes them.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    types (Optional[TypeMap]): New names of the gold entity types.
    YIELDS (Evaluation): One evaluation per corpus, in order.

    Raises WnutError as `evaluate_pipeline` does, or if no corpus has a type that `types`
    renames.
    """
    nlp = load_pipeline(model, gpu_id)
    examples_of = [read_corpus(corpus, nlp) for corpus in corpora]
    if types is not None:
        types.check(
            ent.label_
            for examples in examples_of
            for example in examples
            for ent in example.reference.ents
        )
        for examples in examples_of:
            rename_entities(examples, types)
    protocols = list(map(_protocol, corpora, examples_of))
    for corpus, examples, protocol in zip(corpora, examples_of, protocols, strict=True):
        try:
            posts, has_entities = _tag(nlp, examples)
        except WnutError as err:
            raise WnutError(f"{corpus} can't be scored: {err}") from err
        if not has_entities:
            raise no_entities(nlp, model)
        yield Evaluation(posts, protocol)


def _tag(nlp: Language, examples: Sequence[Example]) -> tuple[list[ScoredPost], bool]:
    """Return the posts with predicted tags, and whether the pipeline sets entities."""
    has_entities = False

    def run() -> Iterator[Example]:
        nonlocal has_entities
        # Copies, so that each doc is freed after scoring: with the encoder's vectors
        # on them, the docs of a whole corpus need too much memory.
        docs = nlp.pipe(example.predicted.copy() for example in examples)
        total = len(examples)
        progress = tqdm(docs, total=total, unit="post", leave=False, disable=None)
        for example, doc in zip(examples, progress, strict=True):
            has_entities = has_entities or doc.has_annotation("ENT_IOB")
            yield Example(doc, example.reference)

    posts = list(examples_to_posts(run()))
    return posts, has_entities


def _protocol(corpus: Path, examples: Sequence[Example]) -> str:
    protocols = {
        "gold tokens" if example.reference.has_unknown_spaces else "spaCy tokens"
        for example in examples
    }
    if len(protocols) > 1:
        raise WnutError(
            f"some docs of {corpus} have unknown spaces and some don't: that mixes gold "
            "tokens with spaCy's. Make one corpus per protocol, with `spacy-wnut "
            "convert --tokens`"
        )
    return protocols.pop()
