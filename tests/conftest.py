"""Fixtures of several rooms: a tiny encoder, and pipelines trained to reproduce a few
posts. Fixtures of one room are in its own conftest.py.
"""

import gc
import os
import signal
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import numpy
import pytest
import spacy
from hypothesis import Phase, settings
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import fix_random_seed, registry
from thinc.api import Model

from spacy_wnut.corpus.conll import read_conll
from spacy_wnut.packaging.wheels import SENTENCE, TRY_IT
from spacy_wnut.scoring.measures import ScoredPost
from spacy_wnut.sweep.metrics import Metrics, add_scores

if sys.version_info >= (3, 11):
    import tomllib
else:
    # Installed with pytest.
    import tomli as tomllib

# More threads slow down computations on tensors this small. Set before torch is
# imported, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs with SIGINT ignored. The processes that tests interrupt
# would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# For mutation testing: one failing example is enough, and needn't be the simplest.
settings.register_profile(
    "mutants",
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
)

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "corpus" / "sample" / "train.conll"

POSTS = [
    ("Pretty bad storm in New York last evening.", {"New York": "location"}),
    ("Ada Lovelace moved to Oslo", {"Ada Lovelace": "person", "Oslo": "location"}),
    ("nothing to see here", {}),
    (
        "lol Grace Hopper and Alan Turing are in London",
        {"Grace Hopper": "person", "Alan Turing": "person", "London": "location"},
    ),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that have slow tests, so that the processes end together. Ray
    starts processes of its own, so its tests come last of these, when fewer run.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "ray" in item.path.name))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def pyproject() -> dict[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a DistilBERT with random weights."""
    from spacy_wnut.models.checkpoints import make_tiny_encoder

    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    # Not from the sample corpus: the random weights depend on the size of the
    # vocabulary, and tests on the confidences of trained pipelines on both.
    characters = " ".join(string.ascii_letters + string.digits + string.punctuation)
    # Twice, since words that occur once get no piece of their own.
    make_tiny_encoder([characters, *[text for text, _ in POSTS] * 2], folder)
    return str(folder)


@registry.architectures("tests.WordTable.v1")
def create_word_table(tags: dict[str, int], space: float = 0.0) -> Model:
    """Create a tagger that looks words up in a table instead of running an encoder.

    tags (Dict[str, int]): The index of each word's tag; 0 for other words. The emission
        of this tag is 3.9, the others are -0.1.
    space (float): The emissions of white space, for each tag.

    The gradients of the last backward pass are in `attrs["gradients"]`.
    """

    def init(model: Model, X: Any = None, Y: Any = None) -> None:
        model.set_dim("nO", Y[0].shape[1])
        model.set_param("table", model.ops.alloc2f(1, 1))

    def forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[list, Callable]:
        model.attrs["gradients"] = []
        emissions = []
        for doc in docs:
            # A row of zeros would mean that the encoder has not seen the word.
            rows = numpy.full((len(doc), model.get_dim("nO")), -0.1, dtype="f")
            rows += model.get_param("table")[0, 0]
            for token, row in zip(doc, rows, strict=True):
                if token.is_space:
                    row[:] = space
                row[tags.get(token.text, 0)] += 4.0 * (not token.is_space)
            emissions.append(rows)
        return emissions, lambda d_emissions: model.attrs["gradients"].extend(
            d_emissions
        )

    return Model(
        "word_table", forward, init=init, dims={"nO": None}, params={"table": None}
    )


# Tags of the types location and person: O, B-location, I-location, B-person, I-person.
TABLE = {"New": 1, "York": 2, "Oslo": 1, "Ada": 3, "Lovelace": 4}


def add_table_ner(
    nlp: Language,
    name: str,
    tags: dict[str, int] = TABLE,
    space: float = 0.0,
    labels: tuple[str, ...] = ("location", "person"),
    **settings: Any,
) -> Any:
    model = {"@architectures": "tests.WordTable.v1", "tags": tags, "space": space}
    config = {"model": model, "scorer": None, **settings}
    ner: Any = nlp.add_pipe("entity_tagger", name=name, config=config)
    doc = nlp.make_doc("so")
    ner.initialize(lambda: [Example(doc, doc.copy())], nlp=nlp, labels=list(labels))
    return ner


@pytest.fixture(scope="session")
def add_table() -> Callable[..., Any]:
    """Add an entity_tagger on a table of words to a pipeline."""
    return add_table_ner


@pytest.fixture(scope="session")
def make_table_nlp() -> Callable[..., Language]:
    """Make a pipeline whose `ner` looks words up in a table: it is ready within
    milliseconds. Takes settings of the `ner`.
    """

    def make(**settings: Any) -> Language:
        # The language that loads fastest.
        nlp = spacy.blank("xx")
        add_table_ner(nlp, "ner", **settings)
        return nlp

    return make


@pytest.fixture(scope="session")
def oslo_ruler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline that finds one name, without confidences. It loads fast."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "location", "pattern": "Oslo"}]
    )
    folder = tmp_path_factory.mktemp("pipelines") / "oslo_ruler"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def posts() -> list[tuple[str, set[tuple[str, str]]]]:
    """Texts, and their entities as pairs of text and type."""
    return [(text, set(entities.items())) for text, entities in POSTS]


@pytest.fixture(scope="session")
def make_nlp(tiny_encoder: str) -> Callable[..., Language]:
    """Make an uninitialized pipeline. Takes settings of the `ner` and, as `encoder`,
    of the encoder.
    """

    def make(encoder: dict | None = None, **settings: object) -> Language:
        fix_random_seed(0)
        nlp = spacy.blank("en")
        # Setting its 1,347 exceptions would take most of the time of each load.
        nlp.tokenizer.rules = {}
        architecture = {
            "@architectures": "spacy-wnut.TransformerModel.v1",
            "name": tiny_encoder,
            **(encoder or {}),
        }
        nlp.add_pipe("transformer", config={"model": architecture})
        nlp.add_pipe("entity_tagger", name="ner", config=settings)
        return nlp

    return make


@pytest.fixture(scope="session")
def make_examples() -> Callable[[Language], list[Example]]:
    """Make one training example per post for a pipeline."""

    def make(nlp: Language) -> list[Example]:
        examples = []
        for text, entities in POSTS:
            spans = [
                (text.index(form), text.index(form) + len(form), label)
                for form, label in entities.items()
            ]
            doc = nlp.make_doc(text)
            examples.append(Example.from_dict(doc, {"entities": spans}))
        return examples

    return make


@pytest.fixture(scope="session")
def make_docs() -> Callable[[Language], list[Doc]]:
    """Makes docs without annotation: of short, long, blank and empty texts, and of the
    words of the sample's dev posts.
    """
    texts = [
        "Pretty bad storm in New York last evening.",
        "so  Ada Lovelace 's iPhone7s rock!!! https://x.io/?q=1 😀",
        " \n ",
        "",
        "Grace Hopper  and\n\nAlan Turing moved to Oslo , London and New York . " * 30,
    ]

    def make(nlp: Language) -> list[Doc]:
        posts = read_conll(SAMPLE.parent / "dev.conll", None)
        return [nlp.make_doc(text) for text in texts] + [
            Doc(nlp.vocab, words=post.tokens) for post in posts
        ]

    return make


@pytest.fixture(scope="session")
def train(make_examples: Callable) -> Callable[..., list[float]]:
    """Initialize a pipeline and train it on the posts until it reproduces them. Return
    the loss of each step.
    """

    def train_pipeline(nlp: Language, steps: int = 40) -> list[float]:
        optimizer = nlp.initialize(lambda: make_examples(nlp))
        optimizer.learn_rate = 3e-3
        course = []
        for _ in range(steps):
            losses: dict[str, float] = {}
            nlp.update(make_examples(nlp), sgd=optimizer, losses=losses)
            course.append(losses["ner"])
        return course

    return train_pipeline


@pytest.fixture(scope="session")
def trained_folder(
    make_nlp: Callable, train: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a pipeline trained on the posts. Read-only."""
    folder = tmp_path_factory.mktemp("pipelines") / "trained"
    nlp = make_nlp()
    train(nlp)
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def posts_corpus(
    make_nlp: Callable,
    make_examples: Callable,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The file of a DocBin with the posts. Read-only."""
    path = tmp_path_factory.mktemp("corpora") / "posts.spacy"
    docs = [eg.reference for eg in make_examples(make_nlp())]
    DocBin(docs=docs).to_disk(path)
    return path


@pytest.fixture(scope="session")
def whole_folder(
    make_nlp: Callable, train: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a pipeline trained on the posts, whose head has all optional parts:
    word shapes and a hidden layer. Read-only.
    """
    folder = tmp_path_factory.mktemp("pipelines") / "whole"
    nlp = make_nlp(model={"shape_width": 8, "hidden_width": 16})
    train(nlp)
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def onnx_folder(
    whole_folder: Path, posts_corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of `whole_folder` exported to ONNX in fp32. Read-only."""
    from spacy_wnut.onnx_export.export import export_pipeline

    folder = tmp_path_factory.mktemp("pipelines") / "onnx"
    export_pipeline(str(whole_folder), folder, "fp32", posts_corpus)
    return folder


@pytest.fixture(scope="session")
def int8_folder(
    whole_folder: Path, posts_corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of `whole_folder` exported to ONNX in int8. Read-only."""
    from spacy_wnut.onnx_export.export import export_pipeline

    folder = tmp_path_factory.mktemp("pipelines") / "int8"
    export_pipeline(str(whole_folder), folder, "int8", posts_corpus, posts_corpus)
    return folder


@pytest.fixture
def nlp(trained_folder: Path) -> Language:
    """A pipeline trained on the posts, loaded for one test."""
    return spacy.load(trained_folder)


class Vectors:
    """A stand-in for an encoder's output on a doc, which counts its live instances."""

    held: ClassVar[WeakSet] = WeakSet()
    most: ClassVar[int] = 0


@Language.component("test_adds_vectors")
def add_vectors(doc: Doc) -> Doc:
    doc.user_data["vectors"] = vectors = Vectors()
    Vectors.held.add(vectors)
    Vectors.most = max(Vectors.most, len(Vectors.held))
    return doc


@pytest.fixture
def vectors() -> type[Vectors]:
    """The class of the objects that the component "test_adds_vectors" adds to docs.
    `most` is the largest number of them alive at once.
    """
    gc.collect()
    Vectors.most = 0
    return Vectors


@pytest.fixture
def hub_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Add a model to an empty cache of the hub, while the hub itself is switched off.
    Takes the model's id and returns the folder for its files.
    """
    import huggingface_hub

    # May be large, and pytest keeps tmp_path for three runs.
    with tempfile.TemporaryDirectory() as cache:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", cache)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

        def add(name: str) -> Path:
            repository = Path(cache) / f"models--{name.replace('/', '--')}"
            (repository / "refs").mkdir(parents=True)
            (repository / "refs" / "main").write_text("0" * 40)
            folder = repository / "snapshots" / ("0" * 40)
            folder.mkdir(parents=True)
            return folder

        yield add


@pytest.fixture(scope="session")
def try_wheel() -> Callable[[Path, str, Path], list[list[str]]]:
    """Install a pipeline's wheel under a folder and load it by its name, without the
    hub. Return text, type and confidence of the entities found in a sentence.
    """

    def run(wheel: Path, name: str, folder: Path) -> list[list[str]]:
        site = folder / "site"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*install, "--target", site, wheel], check=True)
        done = subprocess.run(
            [sys.executable, "-c", TRY_IT, name, SENTENCE],
            env={**os.environ, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    return run


@pytest.fixture(scope="session")
def make_metrics() -> Callable[..., Metrics]:
    """Create the metrics of a training whose predictions are right on the first
    `n_right` posts of test: on one post more of dev, and on two fewer with spaCy tokens.
    """

    def make(config: str, seed: int, n_right: int, n_posts: int = 8) -> Metrics:
        metrics: Metrics = {
            "config": config,
            "encoder": "tiny",
            "seed": seed,
            "device": "cpu",
            "seconds": 1.0,
            "made_of": {},
            "calibration": None,
            "rows": [],
            "posts": {},
        }

        def posts_of(protocol: str, split: str) -> list[ScoredPost]:
            right = n_right + (split == "dev") - 2 * (protocol == "spacy")
            return [
                ScoredPost(
                    [f"Ann{i} "], ["B-person"], ["B-person" if i < right else "O"]
                )
                for i in range(n_posts)
            ]

        add_scores(metrics, posts_of, {"ann0"})
        return metrics

    return make


@pytest.fixture(scope="session")
def slow_vectors() -> Callable[..., tuple[Any, list[tuple[int, int]]]]:
    """Compute the vectors of a text's word pieces, without special tokens, and the
    character offsets of each piece. `transformers` itself runs one window after the
    other, without padding. A piece takes its vector from the window with the most
    context on its shorter side.
    """

    def run(
        encoder: Any, tokenizer: Any, text: str, window: int, stride: int
    ) -> tuple[Any, list[tuple[int, int]]]:
        import torch

        encoder.eval()
        encoding = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True
        )
        ids = encoding["input_ids"]
        vectors, context = [None] * len(ids), [-1.0] * len(ids)
        for start in range(0, len(ids), stride):
            inner = ids[start : start + window]
            end = start + len(inner)
            with torch.no_grad():
                output = encoder(
                    torch.tensor([tokenizer.build_inputs_with_special_tokens(inner)])
                ).last_hidden_state[0]
            for i in range(start, end):
                before = i - start if start else len(ids)
                after = end - 1 - i if end < len(ids) else len(ids)
                if min(before, after) >= context[i]:
                    context[i] = min(before, after)
                    # After [CLS].
                    vectors[i] = output[1 + i - start].numpy()
            if end == len(ids):
                break
        return numpy.stack(vectors), encoding["offset_mapping"]

    return run
