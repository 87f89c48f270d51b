"""Run a pipeline over a corpus, to score what it predicts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from spacy import blank
from spacy.language import Language
from spacy.training import Corpus, Example
from spacy.util import load_model
from thinc.api import require_gpu
from tqdm import tqdm  # type: ignore[import-untyped]

from ..errors import WnutError
from ..integrity import find_fault, refuse_paths
from .examples import examples_to_posts
from .measures import ScoredPost


class Evaluation(NamedTuple):
    """The `posts` of a corpus as a pipeline tagged them, and the `protocol`: "gold
    tokens" if it was given the file's tokens, "spaCy tokens" if it made its own.
    """

    posts: list[ScoredPost]
    protocol: str


def evaluate_pipeline(model: str, corpus: Path, gpu_id: int) -> Evaluation:
    """Run a pipeline over the posts of a corpus, with a progress bar on stderr.

    model (str): The name of an installed pipeline, or its folder.
    corpus (Path): A DocBin file as `convert` writes it. It holds the protocol: docs
        that don't know their spaces are evaluated on their own tokens.
    gpu_id (int): The GPU to run on, or -1 for the CPU.

    Raises WnutError if the GPU, the pipeline or the corpus can't be used, or the
    pipeline sets no entities.
    """
    [evaluation] = evaluate_corpora(model, [corpus], gpu_id)
    return evaluation


def evaluate_corpora(
    model: str, corpora: Sequence[Path], gpu_id: int
) -> Iterator[Evaluation]:
    """Run a pipeline over several corpora. The pipeline is loaded once, and all corpora
    are read before the first one is evaluated.

    model (str): The name of an installed pipeline, or its folder.
    corpora (Sequence[Path]): DocBin files, as `evaluate_pipeline` takes them.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    YIELDS (Evaluation): One evaluation per corpus, in order.

    Raises WnutError as `evaluate_pipeline` does.
    """
    nlp = load_pipeline(model, gpu_id)
    examples_of = [read_corpus(corpus, nlp) for corpus in corpora]
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
    """The posts as a pipeline tags them, and whether it set entities in any of them."""
    has_entities = False

    def run() -> Iterator[Example]:
        nonlocal has_entities
        # A copy is freed once it is scored. The pipeline would leave an encoder's
        # vectors on the docs of the whole corpus.
        docs = nlp.pipe(example.predicted.copy() for example in examples)
        total = len(examples)
        progress = tqdm(docs, total=total, unit="post", leave=False, disable=None)
        for example, doc in zip(examples, progress, strict=True):
            has_entities = has_entities or doc.has_annotation("ENT_IOB")
            yield Example(doc, example.reference)

    posts = list(examples_to_posts(run()))
    return posts, has_entities


def load_pipeline(model: str, gpu_id: int = -1) -> Language:
    """Load a pipeline by its name or folder, onto a GPU or the CPU (-1).

    Raises WnutError if the GPU or the pipeline can't be used, with the file that is
    damaged if one is.
    """
    # Before loading: weights are put where the pipeline runs.
    if gpu_id >= 0:
        try:
            require_gpu(gpu_id)
        except (RuntimeError, ValueError) as err:
            raise WnutError(
                f"GPU {gpu_id} can't be used: {err}. Leave --gpu-id out to run on the CPU"
            ) from err
    refuse_paths(Path(model))
    try:
        return load_model(model)
    # A damaged file has its reader raise anything.
    except Exception as err:
        if fault := find_fault(Path(model)):
            raise WnutError(f"the pipeline {model} can't be loaded: {fault}") from err
        raise WnutError(
            f"the pipeline {model} can't be loaded: give the name of an installed one "
            f"or the folder of one. spaCy says: {err}"
        ) from err


def no_entities(nlp: Language, model: str | None = None) -> WnutError:
    """What to raise for a pipeline of which no component sets entities.

    nlp (Language): The pipeline.
    model (Optional[str]): What the user calls it.
    """
    name = model or f"{nlp.lang}_{nlp.meta['name']}"
    return WnutError(
        f"no component of the pipeline {name} sets entities (it has: "
        f"{', '.join(nlp.pipe_names) or 'none'}): give one with a component like "
        "ner or entity_ruler"
    )


def read_corpus(corpus: Path, nlp: Language) -> list[Example]:
    """Read a DocBin file as examples for a pipeline, nothing predicted yet.

    Raises WnutError if it is no DocBin, or holds no annotation of entities.
    """
    # spaCy's Corpus passes over files with other names without a word.
    if corpus.suffix != ".spacy":
        raise WnutError(
            f"{corpus} is no corpus: give one .spacy file, as `spacy-wnut convert` "
            "writes it"
        )
    if not corpus.is_file():
        raise WnutError(f"there is no file {corpus}: make it with `spacy-wnut convert`")
    try:
        examples = list(Corpus(corpus)(nlp))
    except (KeyError, OSError, TypeError, ValueError) as err:
        raise WnutError(
            f"{corpus} can't be read as a DocBin: {err!r}. Make it with "
            "`spacy-wnut convert`"
        ) from err
    if not any(example.reference.has_annotation("ENT_IOB") for example in examples):
        raise WnutError(
            f"{corpus} holds no docs with entity annotation ({len(examples)} docs): "
            "make it with `spacy-wnut convert` from a file with tags"
        )
    return examples


def surface_forms(corpus: Path) -> frozenset[str]:
    """The surface forms of a corpus's entities, casefolded: what training on it has
    seen, for `measures.seen_scores`.

    Raises WnutError as `read_corpus` does.
    """
    # The language is of no matter: entities are read from the references.
    return frozenset(
        ent.text.casefold()
        for example in read_corpus(corpus, blank("xx"))
        for ent in example.reference.ents
    )


def _protocol(corpus: Path, examples: Sequence[Example]) -> str:
    protocols = {
        "gold tokens" if example.reference.has_unknown_spaces else "spaCy tokens"
        for example in examples
    }
    if len(protocols) > 1:
        raise WnutError(
            f"some docs of {corpus} know their spaces and some don't: that mixes gold "
            "tokens with spaCy's. Make one corpus a protocol, with "
            "`spacy-wnut convert --tokens`"
        )
    return protocols.pop()
