"""Pipelines that load fast, and posts for them."""

import json

import pytest
import spacy
from spacy.util import fix_random_seed

from spacy_wnut.bulk.local import Job, annotate_file
from spacy_wnut.bulk.work import Settings

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
