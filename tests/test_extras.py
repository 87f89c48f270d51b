"""Pipelines and commands where only one extra of the package is installed."""

import json
import os
import subprocess
import sys

import pytest

from spacy_wnut.packaging.installed import find_requirements, link_distributions

pytestmark = pytest.mark.slow

ENTITIES = """
import sys
import spacy
nlp = spacy.load(sys.argv[1])
texts = ["Ada Lovelace moved to Oslo", "", "Pretty bad storm in New York last evening."] * 3
def annotate(**options):
    return [
        [(ent.text, ent.label_, ent._.confidence) for ent in doc.ents]
        for doc in nlp.pipe(texts, **options)
    ]
found = annotate()
assert annotate(n_process=2, batch_size=2) == found
print(*[ent[:2] for ents in found[:3] for ent in ents], sep="\\n")
"""

# Each command runs in turn, in one process for all of them.
COMMANDS = """
import json, sys
from spacy_wnut.cli import app
for command in json.loads(sys.argv[1]):
    print(*command, flush=True)
    if app(command, standalone_mode=False):
        sys.exit(1)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory, root):
    """Makes a folder with all that an extra of spacy-wnut installs, and nothing else."""
    folders = {}

    def make(extra):
        if extra in folders:
            return folders[extra]
        folder = folders[extra] = tmp_path_factory.mktemp("site")
        (folder / "spacy_wnut").symlink_to(root / "spacy_wnut")
        link_distributions(find_requirements([f"spacy-wnut[{extra}]"]), folder)
        return folder

    return make


def python(folder, *args, cwd=None):
    return subprocess.run(
        # Without the site-packages that it was started from.
        [sys.executable, "-S", *args],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_entities_come_out(site, onnx_folder, int8_folder, precision):
    folder = onnx_folder if precision == "fp32" else int8_folder
    done = python(site("onnx"), "-c", ENTITIES, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "('Ada Lovelace', 'person')",
        "('Oslo', 'location')",
        "('New York', 'location')",
    ]


def test_what_is_imported(site, onnx_folder):
    done = python(site("onnx"), "-X", "importtime", "-c", ENTITIES, onnx_folder)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "import time:" in line]
    names = {line.rpartition("|")[2].strip() for line in lines}
    # Attempts that failed are listed too, and thinc makes one at torch: what counts is
    # whether anything in a package was imported.
    packages = {name.partition(".")[0] for name in names if "." in name}
    assert {"spacy_wnut", "onnxruntime", "tokenizers"} <= packages
    absent = {
        "torch",
        "transformers",
        "spacy_transformers",
        "onnx",
        "datasets",
        "seqeval",
    }
    assert packages & absent == set()


def test_what_a_pipeline_for_torch_says_there(site, whole_folder):
    done = python(
        site("onnx"), "-c", "import spacy, sys; spacy.load(sys.argv[1])", whole_folder
    )
    assert done.returncode == 1
    assert "Can't find factory for 'transformer'" in done.stderr


@pytest.fixture
def posts_file(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_text('{"text": "Ada Lovelace moved to Oslo"}\n', encoding="utf8")
    return path


def run_commands(folder, commands, cwd):
    commands = json.dumps([[str(arg) for arg in command] for command in commands])
    done = python(folder, "-c", COMMANDS, commands, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_that_need_a_pipelines_own_requirements(
    site, onnx_folder, trained_folder, posts_file
):
    def commands(pipeline):
        return [
            ["show", pipeline, "Ada moved to Oslo"],
            ["annotate", pipeline, posts_file, "found.jsonl"],
        ]

    cwd = posts_file.parent
    run_commands(site("onnx"), commands(onnx_folder), cwd)
    (cwd / "found.jsonl").unlink()
    run_commands(site("torch"), commands(trained_folder), cwd)


def test_parquet_needs_its_extra(site, onnx_folder, posts_file):
    command = ["annotate", onnx_folder, posts_file, "found.parquet"]
    cwd = posts_file.parent
    done = python(site("onnx"), "-m", "spacy_wnut", *command, cwd=cwd)
    assert done.returncode == 1
    assert 'pip install "spacy-wnut[annotate]"' in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (cwd / "found.parquet").exists()


def test_commands_of_the_training_extra(
    site, root, tmp_path, tiny_encoder, trained_folder, posts_corpus
):
    sample, model = root / "corpus/sample", trained_folder
    texts = tmp_path / "posts.txt"
    texts.write_text("Ada moved to Oslo\nlol\n" * 20, encoding="utf8")
    package = ["--name", "posts", "--version", "1.0", "--license", "MIT"]
    recipe = ["--paths.encoder", tiny_encoder, "--training.max_steps", "1"]
    commands = [
        ["tiny-encoder", "tiny", sample / "train.conll"],
        ["encoder", "encoder", tiny_encoder],
        ["convert", "corpus/gold", sample],
        ["convert", "corpus/spacy", sample, "--tokens", "spacy"],
        ["pretrain", tiny_encoder, "adapted", texts, "--batch-size", "40"],
        [
            "pseudo-label",
            "silver.spacy",
            texts,
            "--teacher",
            model,
            "--min-entities",
            "0",
        ],
        [
            "sweep",
            root / "configs/tutorial.cfg",
            *["--corpus", "corpus", "--seeds", "0", *recipe],
        ],
        ["calibrate", model, posts_corpus, "--out", "calibrated", "--or-copy"],
        ["evaluate", model, posts_corpus, "--json", "metrics.json"],
        ["report", model, posts_corpus, "--out", "report.html"],
        ["score", sample / "dev.conll", sample / "dev.conll"],
        ["show", model, "Ada moved to Oslo"],
        ["annotate", model, texts, "found.jsonl"],
        ["export", model, "onnx", "--precision", "fp32", "--corpus", posts_corpus],
        ["to-hf", model, "checkpoint"],
        ["from-hf", "checkpoint", "from-hf"],
        ["package", model, "packages", *package, "--metrics", "metrics.json"],
    ]
    run_commands(site("train"), commands, tmp_path)
