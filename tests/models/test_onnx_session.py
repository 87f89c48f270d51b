"""Sessions of ONNX models: errors, serialization, threads and forked processes."""

import copy
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy
import pytest
import spacy
import srsly

from spacy_wnut.errors import WnutError
from spacy_wnut.models import onnx_session
from spacy_wnut.models.onnx_session import FORMAT, METADATA_KEY, OnnxShim
from spacy_wnut.onnx_export.graph import Graph


@pytest.fixture(scope="module")
def shim(onnx_folder):
    return spacy.load(onnx_folder).get_pipe("ner").model.layers[0].shims[0]


@pytest.fixture
def stored(shim):
    return srsly.msgpack_loads(shim.to_bytes())


def load(stored):
    return OnnxShim().from_bytes(srsly.msgpack_dumps(stored))


def make_inputs(*pieces):
    """The inputs for a text of one word."""
    return {
        "input_ids": numpy.asarray([[2, *pieces, 3]]),
        "rows": numpy.asarray([1]),
        "shapes": numpy.zeros((1, 6), dtype="i8"),
    }


def run(shim):
    return shim.run(make_inputs(9))[0].tolist()


@pytest.mark.parametrize(
    "make_copy",
    [
        lambda shim: OnnxShim().from_bytes(shim.to_bytes()),
        lambda shim: pickle.loads(pickle.dumps(shim)),
        copy.deepcopy,
        lambda shim: shim.copy(),
    ],
    ids=["bytes", "pickle", "deepcopy", "copy"],
)
def test_copies_give_the_same_results(shim, make_copy):
    again = make_copy(shim)
    assert again is not shim and again.session is not shim.session
    assert again.tags == shim.tags == ("O", "B-location", "I-location", *shim.tags[3:])
    assert run(again) == run(shim)


def test_session_starts_once_per_process(shim):
    before = shim.runtime
    assert shim.runtime is before
    onnx_session._abandon_sessions()
    assert shim.session is not before.session
    # Freeing it in a forked process would hang.
    assert before in onnx_session._ABANDONED


def test_workers_start_once_per_process(shim):
    copied = copy.deepcopy(shim)
    copied.threads = 2
    with ThreadPoolExecutor(8) as pool:
        [before] = set(pool.map(lambda _: copied.workers, range(8)))
    onnx_session._abandon_sessions()
    assert copied.workers.pool is not before.pool
    assert before in onnx_session._ABANDONED


def test_a_worker_process_uses_one_thread(monkeypatch):
    monkeypatch.setattr(onnx_session.os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert onnx_session._n_threads() == 3
    monkeypatch.setattr(onnx_session.multiprocessing, "parent_process", lambda: "it")
    assert onnx_session._n_threads() == 1


def test_number_of_threads_can_be_set(shim):
    for threads in (3, 1):
        copied = copy.deepcopy(shim)
        copied.threads = threads
        options = copied.session.get_session_options()
        assert options.intra_op_num_threads == threads


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches_give_the_same_results_in_any_number_of_threads(shim, threads):
    batches = [make_inputs(*range(5, 6 + i)) for i in range(7)]
    expected = [shim.run(batch)[0].tolist() for batch in batches]
    assert len({str(rows) for rows in expected}) == 7
    copied = copy.deepcopy(shim)
    copied.threads = threads
    for n in range(8):
        found = [rows.tolist() for [rows] in copied.run_batches(batches[:n])]
        assert found == expected[:n]


def test_batches_run_at_the_same_time(shim, monkeypatch):
    copied = copy.deepcopy(shim)
    copied.threads = 2
    together = Barrier(2, timeout=60)
    session = copied.workers.session
    assert session.get_session_options().intra_op_num_threads == 1

    class Waiting:
        def run(self, names, inputs):
            together.wait()
            return session.run(names, inputs)

    monkeypatch.setattr(copied, "_workers", copied.workers._replace(session=Waiting()))
    assert len(list(copied.run_batches([make_inputs(9)] * 4))) == 4


def test_fewer_batches_than_threads_start_no_others(shim, monkeypatch):
    """All threads run one batch together, and the weights are in memory once."""
    start, started = onnx_session.start_session, []

    def note(graph, threads):
        started.append(threads)
        return start(graph, threads)

    monkeypatch.setattr(onnx_session, "start_session", note)
    copied = copy.deepcopy(shim)
    copied.threads = 3
    for n, expected in ((1, [3]), (2, [3]), (3, [3, 1]), (4, [3, 1])):
        assert len(list(copied.run_batches([make_inputs(9)] * n))) == n
        assert started == expected
    # One thread needs no second session.
    copied = copy.deepcopy(shim)
    copied.threads = 1
    list(copied.run_batches([make_inputs(9)] * 4))
    assert started == [3, 1, 1]


def test_batches_run_although_no_thread_can_be_started(shim):
    """Programs may predict in functions registered with atexit."""
    copied = copy.deepcopy(shim)
    copied.threads = 2
    copied.workers.pool.shutdown()
    assert list(copied.run_batches([])) == []
    batches = [make_inputs(9)] * 3
    found = [rows.tolist() for [rows] in copied.run_batches(batches)]
    assert found == [run(shim)] * 3


def test_an_error_in_a_batch_is_raised(shim):
    copied = copy.deepcopy(shim)
    copied.threads = 2
    batches = [make_inputs(9), {}, make_inputs(9)]
    with pytest.raises(Exception, match="input_ids"):
        list(copied.run_batches(batches))
    assert run(copied) == run(shim)
    assert len(list(copied.run_batches([make_inputs(9)] * 3))) == 3


def test_concurrent_threads_start_one_session(shim, monkeypatch):
    start, started = onnx_session.start_session, []

    def start_slowly(*args):
        time.sleep(0.05)
        started.append(start(*args))
        return started[-1]

    monkeypatch.setattr(onnx_session, "start_session", start_slowly)
    copied = copy.deepcopy(shim)
    with ThreadPoolExecutor(8) as pool:
        sessions = list(pool.map(lambda _: copied.session, range(8)))
    assert sessions == started * 8


def test_a_forked_process_does_not_wait_for_a_lock_of_its_parent(shim):
    # A thread was starting a session when the process was forked.
    copied = copy.deepcopy(shim)
    copied._starting.acquire()
    onnx_session._abandon_sessions()
    assert not copied._starting.locked()


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_changed_byte_is_detected(shim, stored, at):
    graph = bytearray(stored["graph"])
    graph[int(at * len(graph))] ^= 1
    with pytest.raises(WnutError, match=r"file is damaged: .*checksum does not match"):
        load({**stored, "graph": bytes(graph)})


@pytest.mark.parametrize(
    "data", [b"", b"hello" * 99, srsly.msgpack_dumps({"format": FORMAT})]
)
def test_data_without_a_model_are_refused(data):
    with pytest.raises(WnutError, match="the model's file is damaged: install"):
        OnnxShim().from_bytes(data)


def test_fields_of_another_type_are_refused(stored):
    with pytest.raises(WnutError, match="the model's file is damaged"):
        load({**stored, "tokenizer": 3})


def test_model_of_a_later_format_is_refused(stored):
    with pytest.raises(WnutError, match=r"has the format 99, but .* reads 1: install"):
        load({**stored, "format": 99})


@pytest.mark.parametrize("graph", [b"no graph", b"\x08\x0a"])
def test_invalid_graph_is_refused(shim, graph):
    with pytest.raises(WnutError, match=r"can't be run by ONNX Runtime \d"):
        OnnxShim().set_model(graph, shim.tokenizer_json)


def make_graph(about, inputs=("input_ids", "rows"), n_tags=2):
    graph = Graph()
    floats = [
        graph.add("ReduceSum", graph.add("Cast", name, to=1), keepdims=0)
        for name in inputs
    ]
    total = graph.add("Sum", *floats)
    shape = graph.constant(numpy.asarray([1, n_tags]))
    graph.add("Expand", total, shape, name="emissions")
    declared = {name: ("int64", ["n"]) for name in inputs}
    metadata = {METADATA_KEY: srsly.json_dumps(about)} if about else {}
    emissions = {"emissions": ("float32", ["n", n_tags])}
    return graph.model(declared, emissions, metadata)


def test_graph_without_our_metadata_is_refused(shim):
    with pytest.raises(WnutError, match="wasn't written by `spacy-wnut export`"):
        OnnxShim().set_model(make_graph(None), shim.tokenizer_json)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_tags": 3},
        {"inputs": ("input_ids",)},
        {"inputs": ("input_ids", "rows", "pixels")},
        {"inputs": ("input_ids", "rows", "words")},
    ],
    ids=str,
)
def test_graph_that_does_not_match_its_metadata_is_refused(shim, changed):
    about = {"format": FORMAT, "tags": ["O", "B-x"]}
    OnnxShim().set_model(make_graph(about), shim.tokenizer_json)
    with pytest.raises(
        WnutError, match="does not match its description: it has inputs"
    ):
        OnnxShim().set_model(make_graph(about, **changed), shim.tokenizer_json)


def test_invalid_tokenizer_is_refused(shim):
    with pytest.raises(WnutError, match=r"tokenizer can.t be read .* export it again"):
        OnnxShim().set_model(shim.graph, "{}")


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_missing_package_is_named(shim, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(WnutError, match=rf"{package}, .* pip install \"spacy-wnut\[o"):
        _ = OnnxShim().from_bytes(shim.to_bytes()).tags


def test_loading_does_not_start_a_session(shim, monkeypatch):
    """Otherwise it would be in memory together with the copies of its data."""
    monkeypatch.setattr(
        onnx_session, "start_session", lambda *_: pytest.fail("started")
    )
    data = shim.to_bytes()
    assert OnnxShim().from_bytes(data).to_bytes() == data


def test_nothing_is_unpickled(shim, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("something was unpickled")

    data = shim.to_bytes()
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    assert run(OnnxShim().from_bytes(data)) == run(shim)
