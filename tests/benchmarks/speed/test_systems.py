"""Worker processes with a pipeline that loads fast."""

import ast
import sys
import venv

import pytest
import spacy

from benchmarks.speed.limits import RATES
from benchmarks.speed.systems import (
    SYSTEMS,
    WORKER,
    Contender,
    WorkerProcess,
    time_to_first_entity,
)
from spacy_wnut.errors import WnutError

OURS = SYSTEMS[-1]


def test_worker_gives_times_and_entities_until_it_fails(oslo_ruler):
    with WorkerProcess(
        Contender(OURS, oslo_ruler, sys.executable), threads=1, gpu=-1
    ) as worker:
        assert worker.loaded["encoder"] is None
        assert worker.loaded["versions"]["spacy"] == spacy.__version__
        calls = [["in Oslo", "nothing"], ["Oslo"]]
        reply = worker.ask("run", calls=calls, settings={}, entities=True)
        assert reply["entities"] == [[[3, 7, "location"]], [], [[0, 4, "location"]]]
        assert reply["seconds"] > 0
        seconds = worker.ask("singles", texts=["in Oslo", "Oslo"])["seconds"]
        assert len(seconds) == 2 and all(second > 0 for second in seconds)
        # An interpreter alone has some millions.
        assert 10**7 < worker.ask("memory")["bytes"] < 10**10
        with pytest.raises(WnutError, match="'dance'"):
            worker.ask("dance")


def test_systems_that_fail_say_why(tmp_path):
    """In an environment without any package, with a system that can't be loaded."""
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    system = OURS._replace(kind="none")
    contender = Contender(system, tmp_path / "model", str(python))
    with pytest.raises(
        WnutError, match=r"onnx-int8-3 on .*model failed: [\s\S]*'none'"
    ):
        WorkerProcess(contender, threads=1, gpu=-1)
    with pytest.raises(
        WnutError, match=r"onnx-int8-3 on .*model failed: exit status 1"
    ):
        time_to_first_entity(contender, "Oslo", threads=1, gpu=-1)


@pytest.mark.parametrize("script", [WORKER, RATES], ids=lambda path: path.name)
def test_scripts_do_not_import_the_project(script):
    packages = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            packages.add(node.module.partition(".")[0])
    assert "json" in packages
    assert not packages & {"benchmarks", "spacy_wnut"}
