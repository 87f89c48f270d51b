import json
import re
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError
from spacy_wnut.scoring.evaluation import _tag


@pytest.fixture
def model(tmp_path):
    nlp = spacy.blank("en")
    patterns = [{"label": "location", "pattern": name} for name in ("Paris", "Rome")]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    nlp.to_disk(tmp_path / "ruler")
    return str(tmp_path / "ruler")


@pytest.fixture
def corpora(tmp_path):
    """A corpus a protocol. Paris! is two of spaCy's tokens."""
    vocab = spacy.blank("en").vocab
    words, ents = ["Ann", "saw", "Paris!"], ["B-person", "O", "B-location"]
    gold = Doc(vocab, words=words, ents=ents)
    own = Doc(vocab, words=words, ents=ents, spaces=[True, True, False])
    paths = {"gold": tmp_path / "gold.spacy", "spacy": tmp_path / "own.spacy"}
    rome = Doc(vocab, words=["Rome"], ents=["B-location"])
    DocBin(docs=[gold, rome]).to_disk(paths["gold"])
    DocBin(docs=[own]).to_disk(paths["spacy"])
    return paths


def run(*args):
    result = CliRunner().invoke(app, ["evaluate", *map(str, args)])
    if isinstance(result.exception, WnutError):
        raise result.exception
    return result


def test_table_says_the_protocol(model, corpora):
    result = run(model, corpora["gold"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{model} on {corpora['gold']}: gold tokens, 2 posts"
    rows = [line.split() for line in lines]
    assert ["Entity", "100.00", "33.33", "50.00"] in rows
    assert ["location", "100.00", "50.00", "66.67"] in rows

    result = run(model, corpora["spacy"])
    assert result.stdout.startswith(
        f"{model} on {corpora['spacy']}: spaCy tokens, 1 posts\n"
    )
    # "Paris" was predicted, "Paris!" is right.
    assert ["Entity", "0.00", "0.00", "0.00"] in [
        line.split() for line in result.stdout.splitlines()
    ]


def test_json(model, corpora, tmp_path):
    to_stdout = run(model, corpora["gold"], "--json", "-")
    assert to_stdout.exit_code == 0
    scores = json.loads(to_stdout.stdout)
    assert scores["entity"] == {"precision": 1.0, "recall": 1 / 3, "f1": 0.5}
    assert scores["seqeval"] == {**scores["entity"], "accuracy": 0.5}
    assert list(scores["per_type"]) == ["location", "person"]

    run(model, corpora["gold"], "--json", tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text()) == scores


def test_json_to_a_folder_is_refused(model, corpora, tmp_path):
    result = run(model, corpora["gold"], "--json", tmp_path)
    assert result.exit_code == 2
    assert "is a directory" in result.stderr


def test_gpu_that_is_not_there(model, corpora):
    with pytest.raises(WnutError, match="GPU 99 can't be used"):
        run(model, corpora["gold"], "--gpu-id", 99)


def test_pipeline_that_is_not_there(corpora):
    with pytest.raises(WnutError, match="en_nowhere can't be loaded"):
        run("en_nowhere", corpora["gold"])


def test_seen_and_unseen_names(model, corpora, tmp_path):
    train = tmp_path / "train.spacy"
    vocab = spacy.blank("en").vocab
    # Whatever the type and the case.
    docs = [Doc(vocab, words=["PARIS!"], ents=["B-person"])]
    DocBin(docs=docs).to_disk(train)
    args = (model, corpora["gold"], "--train", train)
    rows = [line.split() for line in run(*args).stdout.splitlines()]
    assert ["Seen", "names", "0.00", "0.00", "0.00"] in rows
    assert ["Unseen", "names", "100.00", "50.00", "66.67"] in rows
    scores = json.loads(run(*args, "--json", "-").stdout)
    assert scores["unseen"]["recall"] == 0.5


@pytest.fixture
def several(corpora, tmp_path):
    """The corpora once more, with names as those of `convert`."""
    paths = []
    for protocol, split in [("gold", "dev"), ("spacy", "test"), ("gold", "test")]:
        path = tmp_path / "corpus" / protocol / f"{split}.spacy"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(corpora[protocol].read_bytes())
        paths.append(path)
    return paths


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("options", [[], ["--train"]])
def test_several_corpora_are_scored_as_one_by_one(model, several, tmp_path, options):
    options = [*options, several[0]] if options else []
    names = ["dev_gold.json", "test_spacy.json", "test_gold.json"]
    out, alone = tmp_path / "new" / "metrics", tmp_path / "alone"
    tables = []
    for path, name in zip(several, names, strict=True):
        tables.append(run(model, path, *options, "--json", alone / name).stdout)
    done = run(model, *several, *options, "--json", out)
    assert done.stdout == "\n".join(tables)
    assert contents(out) == contents(alone)
    assert list(out.parent.iterdir()) == [out]
    # Without --json, the tables alone.
    assert run(model, *several, *options).stdout == done.stdout


def test_pipeline_is_loaded_once(model, several, monkeypatch):
    loaded = []

    def load(name):
        loaded.append(name)
        return spacy.load(name)

    monkeypatch.setattr("spacy_wnut.pipeline.loading.load_model", load)
    assert run(model, *several).exit_code == 0
    assert loaded == [model]


def test_other_files_of_the_folder_stay(model, several, tmp_path):
    out = tmp_path / "metrics"
    out.mkdir()
    (out / "calibration.json").write_text("{}")
    (out / "dev_gold.json").write_text("of an earlier pipeline")
    run(model, *several, "--json", out)
    assert json.loads((out / "dev_gold.json").read_text())["entity"]["f1"] == 0.5
    assert (out / "calibration.json").read_text() == "{}"
    assert len(list(out.iterdir())) == 4


@pytest.mark.parametrize(
    "spelling, name",
    [
        ("gold/dev.spacy", "dev_gold.json"),
        ("../corpus/spacy/../gold/./dev.spacy", "dev_gold.json"),
        ("spacy/test.spacy", "test_spacy.json"),
        ("here.spacy", "here_corpus.json"),
        ("my posts/v1.2.spacy", "v1.2_my posts.json"),
    ],
)
def test_name_is_of_the_file_and_its_folder(
    model, several, tmp_path, monkeypatch, spelling, name
):
    monkeypatch.chdir(tmp_path / "corpus")
    Path("my posts").mkdir()
    for other in ("here.spacy", "my posts/v1.2.spacy"):
        Path(other).write_bytes(several[0].read_bytes())
    run(model, spelling, "gold/test.spacy", "--json", tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {name, "test_gold.json"}


@pytest.mark.parametrize(
    "first, second",
    [
        ("a/gold/dev.spacy", "b/gold/dev.spacy"),
        ("gold/dev.spacy", "gold/dev.spacy"),
        ("gold/dev.spacy", "./gold/../gold/dev.spacy"),
        # One file where letter case is ignored.
        ("gold/dev.spacy", "Gold/Dev.spacy"),
        ("b_c/a.spacy", "c/a_b.spacy"),
    ],
)
def test_two_corpora_of_one_name(tmp_path, monkeypatch, first, second):
    """Said before the pipeline is loaded, and even the corpora are looked for."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WnutError, match="would both be written to") as err:
        run("en_nowhere", "x/other.spacy", first, second, "--json", "out")
    assert f"the figures of {first} and of {second.removeprefix('./')}" in str(
        err.value
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["-", "file", "/dev/stdout"])
def test_several_corpora_need_a_folder(several, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    message = f"--json {place} takes the figures of one corpus.* name a folder"
    with pytest.raises(WnutError, match=message):
        run("en_nowhere", *several, "--json", place)
    assert Path("file").read_bytes() == b""


def test_a_folder_where_a_file_would_be_written(several, tmp_path):
    (tmp_path / "out" / "test_spacy.json").mkdir(parents=True)
    with pytest.raises(WnutError, match=r"test_spacy\.json, which is a folder"):
        run("en_nowhere", *several, "--json", tmp_path / "out")


def damage(path):
    path.write_bytes(b"no DocBin")


def remove_annotation(path):
    DocBin(docs=[spacy.blank("en")("Ann")]).to_disk(path)


@pytest.mark.parametrize("spoil", [Path.unlink, damage, remove_annotation])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_corpus_that_cannot_be_read(model, several, tmp_path, monkeypatch, spoil, at):
    out = tmp_path / "metrics"
    out.mkdir()
    (out / "dev_gold.json").write_text("of an earlier pipeline")
    spoil(several[at])
    scored = []
    monkeypatch.setattr("spacy_wnut.scoring.measures.all_scores", scored.append)
    with pytest.raises(WnutError, match=re.escape(str(several[at]))):
        run(model, *several, "--json", out)
    assert scored == []
    assert contents(out) == {"dev_gold.json": b"of an earlier pipeline"}


@pytest.mark.parametrize("error", [WnutError("failed"), KeyboardInterrupt()])
def test_nothing_is_written_if_the_last_corpus_fails(
    model, several, tmp_path, monkeypatch, error
):
    calls = []

    def tag(nlp, examples):
        calls.append(examples)
        if len(calls) == len(several):
            raise error
        return _tag(nlp, examples)

    monkeypatch.setattr("spacy_wnut.scoring.evaluation._tag", tag)
    expected = type(error) if isinstance(error, WnutError) else SystemExit
    with pytest.raises(expected) as err:
        result = run(model, *several, "--json", tmp_path / "out")
        raise SystemExit(result.exit_code)
    if expected is WnutError:
        assert str(err.value) == f"{several[-1]} can't be scored: failed"
    assert not (tmp_path / "out").exists()


def test_types_are_renamed(model, tmp_path):
    path = tmp_path / "dev.jsonl"
    path.write_text(
        '{"text": "Ann saw Paris", "label": [[0, 3, "PER"], [8, 13, "LOC"]]}\n'
    )
    result = run(model, path)
    shown = " ".join(result.stderr.split())
    assert "format doccano" in shown
    assert "gold entities have the types LOC, PER, and the predicted ones loc" in shown
    result = run(model, path, "--map", "LOC=location,PER=", "--json", "-")
    assert json.loads(result.stdout)["entity"]["f1"] == 1
    assert "none in common" not in " ".join(result.stderr.split())
    with pytest.raises(
        WnutError, match="the type X, but the data has the types LOC, PER"
    ):
        run(model, path, "--map", "X=location")


def test_types_are_those_of_all_corpora(model, corpora, tmp_path):
    path = tmp_path / "dev.conll"
    path.write_text("Rome B-city\n")
    result = run(model, corpora["gold"], path, "--map", "city=location")
    assert result.exit_code == 0
    assert ["location", "100.00", "100.00", "100.00"] in [
        line.split() for line in result.stdout.splitlines()
    ]
