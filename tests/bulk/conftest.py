"""Pipelines that load fast, and posts for them."""

import json

import pytest
import spacy
from spacy.util import fix_random_seed

from spacy_wnut.bulk.formats.registry import input_type
from spacy_wnut.bulk.local import Job, annotate_file
from spacy_wnut.bulk.settings import Settings
from spacy_wnut.bulk.sources import Input

# Any encoder will do that gives a vector a word; this one needs no torch.
TAGGER = {
    "model": {
        "@architectures": "spacy-wnut.TransformerTagger.v1",
        "tok2vec": {
            "@architectures": "spacy.HashEmbedCNN.v2",
            "pretrained_vectors": None,
            "width": 16,
            "depth": 1,
            "embed_size": 200,
            "window_size": 1,
            "maxout_pieces": 2,
            "subword_features": True,
        },
    }
}


@pytest.fixture(scope="session")
def ruler(tmp_path_factory):
    """The folder of a pipeline that knows two names, without confidences."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [
            {"label": "person", "pattern": "Ada Lovelace"},
            {"label": "location", "pattern": "Oslo"},
        ]
    )
    folder = tmp_path_factory.mktemp("pipelines") / "ruler"
    nlp.to_disk(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tagger(tmp_path_factory, make_examples):
    """The folder of a pipeline that knows a few posts, with confidences."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_tagger", name="ner", config=TAGGER)
    optimizer = nlp.initialize(lambda: make_examples(nlp))
    optimizer.learn_rate = 0.01
    for _ in range(60):
        nlp.update(make_examples(nlp), sgd=optimizer)
    folder = tmp_path_factory.mktemp("pipelines") / "tagger"
    nlp.to_disk(folder)
    return str(folder)


def make_posts(n):
    """Lines of JSON, some of which no pipeline can be given."""
    bad = ["not json", '{"id": 1}', '{"text": 5}', '["text"]', "{", '{"text": null}']
    for i in range(n):
        if i % 11 == 7:
            yield bad[i % len(bad)]
        else:
            text = (
                f"Ada Lovelace met user{i} in Oslo 🎉" if i % 3 else f"only words {i}"
            )
            yield json.dumps({"id": i, "text": text, "tags": ["a"] * (i % 3)})


@pytest.fixture
def posts_file(tmp_path):
    """A file of 100 lines: 91 posts and 9 that are none."""
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(make_posts(100)) + "\n", encoding="utf8")
    return path


@pytest.fixture(scope="session")
def annotate():
    """Annotates a file, with settings of the job and of the work."""

    def run(model, source, target, **options):
        names = Settings.__dataclass_fields__
        settings = {name: options.pop(name) for name in [*options] if name in names}
        job = Job(Settings(str(model), **settings), str(source), str(target), **options)
        return annotate_file(job)

    return run


@pytest.fixture(scope="session")
def read_jsonl():
    def read(path):
        return [json.loads(line) for line in path.read_bytes().splitlines()]

    return read


@pytest.fixture(scope="session")
def open_source():
    """Opens a file of a format, with options of `Input`."""

    def open_(path, format_, text_field="text", delimiter=None, **options):
        found = input_type(str(path), format_).format
        delimiter = delimiter or found.delimiter
        source = Input(str(path), text_field, delimiter=delimiter, **options)
        return found.open(source)

    return open_


@pytest.fixture(scope="session")
def read(open_source):
    """Reads the records of a file."""

    def read_records(path, format_, size=2, **options):
        with open_source(path, format_, **options) as source:
            return [record for chunk in source.chunks(size) for record in chunk.records]

    return read_records
