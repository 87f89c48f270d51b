"""The programs of all benchmarks: their help, and references to them."""

import json
import re
import subprocess
import sys

import pytest

from benchmarks.accuracy import (
    calibration,
    correct,
    depth,
    experiments,
    quickstart,
    recipes,
)
from benchmarks.common.results import ROOT, read_results
from benchmarks.reliability import mutants, robustness
from benchmarks.speed import (
    annotate,
    decoding,
    engines,
    inference,
    service,
    startup,
    training,
)

PROGRAMS = [
    "accuracy.calibration",
    "accuracy.correct",
    "accuracy.depth",
    "accuracy.experiments",
    "accuracy.quickstart",
    "accuracy.recipes",
    "accuracy.trainer_baseline",
    "reliability.encoder_families",
    "reliability.gpu_parity",
    "reliability.mutants",
    "reliability.robustness",
    "reliability.soak",
    "speed.annotate",
    "speed.decoding",
    "speed.engines",
    "speed.inference",
    "speed.service",
    "speed.startup",
    "speed.training",
]
# Prints the help of each program, and whether torch was imported by then.
HELP = """
import contextlib, io, json, runpy, sys
texts = {}
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            assert not end.code, name
    texts[name] = [output.getvalue(), "torch" in sys.modules]
print(json.dumps(texts))
"""


def test_programs_are_listed():
    package = ROOT / "benchmarks"
    found = [
        ".".join(path.relative_to(package).with_suffix("").parts)
        for path in sorted(package.rglob("*.py"))
        if "run_app(app)\n" in path.read_text(encoding="utf8")
    ]
    assert found == PROGRAMS


def test_help_does_not_import_torch():
    names = [f"benchmarks.{name}" for name in PROGRAMS]
    done = subprocess.run(
        [sys.executable, "-c", HELP, *names], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name, (text, has_torch) in json.loads(done.stdout).items():
        assert not has_torch, name
        # The command of the docstring, on a line of its own.
        assert re.search(rf"^ +python -m {re.escape(name)}\b", text, re.MULTILINE), text


def references():
    """Files that mention a module of the benchmarks, and the module."""
    paths = [ROOT / "README.md", ROOT / "project.yml"]
    for folder in ("docs", "benchmarks"):
        paths += [p for p in (ROOT / folder).rglob("*") if p.suffix in (".md", ".py")]
    for path in paths:
        text = path.read_text(encoding="utf8")
        for name in re.findall(r"python -m (benchmarks[\w.]*\w)", text):
            yield path, name
        # Programs by the path of a file.
        for name in re.findall(r"benchmarks/[\w/]+\.py", text):
            yield path, name


def test_references_name_programs():
    found = set()
    for path, name in references():
        is_program = name.removeprefix("benchmarks.") in PROGRAMS
        assert is_program, f"{path.relative_to(ROOT)}: {name}"
        found.add(name)
    assert len(found) == len(PROGRAMS)


@pytest.mark.parametrize(
    "page, blocks",
    [
        ("README.md", lambda: [(inference.SUMMARY, inference.make_summary())]),
        ("README.md", lambda: blocks_of_quickstart()),
        ("docs/index.md", lambda: blocks_of_quickstart()),
        ("docs/results.md", lambda: recipes.make_blocks().items()),
        ("docs/results.md", lambda: block_of(calibration)),
        ("docs/results.md", lambda: block_of(depth)),
        ("docs/results.md", lambda: block_of(training)),
        ("docs/results.md", lambda: block_of(decoding)),
        ("docs/results.md", lambda: [(inference.BLOCK, inference.make_block())]),
        ("docs/results.md", lambda: block_of(engines)),
        (
            "docs/experiments.md",
            lambda: [(experiments.BLOCK, experiments.make_block())],
        ),
        ("docs/correct.md", lambda: block_of(correct)),
        ("docs/scaling.md", lambda: [(annotate.BLOCK, annotate.make_block())]),
        ("docs/reliability.md", lambda: [(robustness.BLOCK, robustness.make_block())]),
        ("docs/reliability.md", lambda: block_of(mutants)),
        ("docs/deployment.md", lambda: block_of(service)),
        ("docs/design.md", lambda: block_of(startup)),
    ],
    ids=[
        *("summary", "quickstart", "quickstart in docs"),
        *("recipes", "calibration", "depth", "training", "decoding", "inference"),
        *("engines", "experiments", "correct", "annotate", "robustness", "mutants"),
        *("service", "startup"),
    ],
)
def test_pages_have_the_stored_results(page, blocks):
    text = (ROOT / page).read_text(encoding="utf8")
    for name, block in blocks():
        assert text.count(f"<!-- {name} -->\n{block}<!-- end -->\n") == 1, name


def blocks_of_quickstart():
    return quickstart.make_blocks(read_results(quickstart.RESULTS))


def block_of(program):
    return [(program.BLOCK, program.make_block(read_results(program.RESULTS)))]
