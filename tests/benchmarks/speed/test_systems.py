"""A real process, with a pipeline that loads in a moment."""

import sys

import pytest
import spacy
from speed.systems import SYSTEMS, Run, Worker, start_to_first

from spacy_wnut.errors import WnutError

OURS = SYSTEMS[-1]


@pytest.fixture(scope="module")
def ruler(tmp_path_factory):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "location", "pattern": "Oslo"}]
    )
    folder = tmp_path_factory.mktemp("pipelines") / "ruler"
    nlp.to_disk(folder)
    return folder


def test_worker_gives_times_and_entities_until_it_fails(ruler):
    with Worker(Run(OURS, ruler, sys.executable), threads=1, gpu=-1) as worker:
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
    run = Run(OURS, tmp_path / "none", sys.executable)
    with pytest.raises(WnutError, match=r"onnx-int8 on .*none failed: [\s\S]*E050"):
        Worker(run, threads=1, gpu=-1)
    with pytest.raises(WnutError, match=r"onnx-int8 on .*none failed"):
        start_to_first(run, "Oslo", threads=1, gpu=-1)
