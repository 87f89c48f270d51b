"""An exported pipeline where torch and transformers aren't installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ABSENT = ("torch", "transformers", "spacy_transformers")
SCRIPT = """
import importlib.util, sys
for package in ("torch", "transformers", "spacy_transformers"):
    assert importlib.util.find_spec(package) is None
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


@pytest.fixture(scope="module")
def site(tmp_path_factory, root):
    """A folder with all that is installed but these."""
    folder = tmp_path_factory.mktemp("site")
    for path in map(Path, sys.path):
        if path.name in ("site-packages", "dist-packages"):
            for entry in path.iterdir():
                name = entry.name.partition("-")[0].lower()
                place = folder / entry.name
                if name not in ABSENT and not place.is_symlink():
                    place.symlink_to(entry)
    if not (folder / "spacy_wnut").exists():
        (folder / "spacy_wnut").symlink_to(root / "spacy_wnut")
    return folder


def python(site, *args):
    return subprocess.run(
        # Without the site-packages that it was started from.
        [sys.executable, "-S", *args],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_entities_come_out(site, onnx_folder, int8_folder, precision):
    folder = onnx_folder if precision == "fp32" else int8_folder
    done = python(site, "-c", SCRIPT, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "('Ada Lovelace', 'person')",
        "('Oslo', 'location')",
        "('New York', 'location')",
    ]


def test_what_is_imported(site, onnx_folder):
    done = python(site, "-X", "importtime", "-c", SCRIPT, onnx_folder)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "import time:" in line]
    names = {line.rpartition("|")[2].strip() for line in lines}
    # Attempts that failed are listed too, and thinc makes one at torch: what counts is
    # whether anything in a package was imported.
    packages = {name.partition(".")[0] for name in names if "." in name}
    assert {"spacy_wnut", "onnxruntime", "tokenizers"} <= packages
    assert packages & {*ABSENT, "onnx", "datasets", "seqeval"} == set()


def test_what_a_pipeline_for_torch_says_there(site, whole_folder):
    done = python(
        site, "-c", "import spacy, sys; spacy.load(sys.argv[1])", whole_folder
    )
    assert done.returncode == 1
    assert "Can't find factory for 'transformer'" in done.stderr
