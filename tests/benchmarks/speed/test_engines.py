import ast
import json
import sys
from pathlib import Path

import numpy
import pytest

from benchmarks.speed import engine_worker, engines
from benchmarks.speed.engines import (
    ENGINES,
    EXPORTED,
    PADDED,
    WORKER,
    check_outputs,
    make_block,
    prepare_batches,
    run_engine,
    store_batches,
    store_checkpoint,
)
from spacy_wnut.errors import WnutError


def test_worker_has_all_engines_and_imports_no_project():
    assert list(engine_worker.LOADERS) == list(ENGINES)
    tree = ast.parse(WORKER.read_text(encoding="utf8"))
    names = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        node.module.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert {"spacy", "openvino", "ctranslate2"} <= names
    assert not names & {"benchmarks", "spacy_wnut"}


def test_batches_are_read_in_their_order(tmp_path):
    batches = [
        {"input_ids": numpy.array([[i]]), "rows": numpy.arange(i)} for i in range(12)
    ]
    store_batches(batches, tmp_path / "batches.npz")
    found = engine_worker.read_batches(tmp_path / "batches.npz")
    assert [batch["input_ids"].item() for batch in found] == list(range(12))
    assert [len(batch["rows"]) for batch in found] == list(range(12))


def test_outputs_of_engines_in_fp32_must_agree():
    outputs = {engine: [1.0, -2.0] for engine in ENGINES}
    outputs["onnx-int8"] = [1.2, -2.1]
    check_outputs(outputs)
    outputs["openvino-fp32"] = [1.0, -2.005]
    check_outputs(outputs)
    outputs["ctranslate2-fp32"] = [1.0, -1.9]
    with pytest.raises(WnutError, match="ctranslate2-fp32 and torch differ"):
        check_outputs(outputs)


@pytest.fixture(scope="module")
def exported(trained_folder, tmp_path_factory):
    """A pipeline that was trained on a few posts, exported in fp32."""
    from spacy_wnut.onnx_export.export import convert
    from spacy_wnut.pipeline.loading import load_pipeline

    nlp = load_pipeline(str(trained_folder))
    convert(nlp)
    folder = tmp_path_factory.mktemp("exported") / "model"
    nlp.to_disk(folder)
    return folder


TEXTS = ["Ada Lovelace moved to Oslo", "nothing", "Oslo", "nothing to see in Oslo"]


def test_batches_have_all_pieces_of_the_posts(exported):
    """Against the tokenizer of transformers: each post between two special tokens."""
    from tokenizers import Tokenizer

    shim = engine_worker.onnx_shim(str(exported))
    tokenizer = Tokenizer.from_str(shim.tokenizer_json)
    expected = sorted(tokenizer.encode(text).ids for text in TEXTS)
    equal, padded = prepare_batches(exported, TEXTS)
    rows = [row for batch in equal for row in batch["input_ids"].tolist()]
    assert sorted(rows) == expected
    [batch] = padded
    kept = [
        ids[mask == 1].tolist()
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    assert kept == [tokenizer.encode(text).ids for text in TEXTS]
    assert batch["attention_mask"].sum() < batch["attention_mask"].size


def test_padded_batches_give_the_same_vectors(exported, trained_folder, tmp_path):
    """The stored encoder gives the same vectors with and without padding."""
    encoder = store_checkpoint(trained_folder, {"fp32": exported}, tmp_path / "hf")
    assert encoder == {"layers": 2, "width": 32}
    equal, padded = prepare_batches(exported, TEXTS)
    vectors = engine_worker.load_torch(str(tmp_path / "hf"), "eager")(padded[0])
    run = engine_worker.load_torch(str(tmp_path / "hf"), "sdpa")
    for batch in equal:
        for ids, row in zip(batch["input_ids"], run(batch), strict=True):
            [i] = [
                i
                for i, post in enumerate(padded[0]["input_ids"])
                if post[: len(ids)].tolist() == ids.tolist()
                and padded[0]["attention_mask"][i].sum() == len(ids)
            ]
            numpy.testing.assert_allclose(vectors[i, : len(ids)], row, atol=1e-4)


def test_exports_of_another_pipeline_are_refused(exported, trained_folder, tmp_path):
    import spacy

    nlp = spacy.load(exported)
    chain = nlp.get_pipe("ner").model
    chain.set_param("start", chain.get_param("start") + 1)
    nlp.to_disk(tmp_path / "other")
    paths = {"fp32": exported, "int8": tmp_path / "other"}
    with pytest.raises(WnutError, match="other was exported from another pipeline"):
        store_checkpoint(trained_folder, paths, tmp_path / "hf")


def test_worker_measures_an_engine(exported, tmp_path):
    equal, _ = prepare_batches(exported, TEXTS)
    path = tmp_path / "batches.npz"
    store_batches(equal, path)
    reply = run_engine(sys.executable, "onnx-fp32", exported, path, 1)
    assert reply["seconds"] > 0 and reply["version"].startswith("onnxruntime ")
    expected = engine_worker.onnx_shim(str(exported)).run(equal[-1])[0].ravel()[:32]
    numpy.testing.assert_allclose(reply["output"], expected, atol=1e-4)
    with pytest.raises(WnutError, match=r"onnx-fp32 failed: [\s\S]*nowhere"):
        run_engine(sys.executable, "onnx-fp32", Path("nowhere"), path, 1)


def test_table_has_medians_of_ratios():
    def figures(title, *seconds):
        return {"title": title, "version": "v 1", "seconds": list(seconds)}

    results = {
        "device": {"name": "a processor", "threads": 2, "load_before": 0.1},
        "encoder": {"layers": 6, "width": 384},
        "rounds": 3,
        "posts": 1287,
        "words": 3000,
        "pieces": 6000,
        "engines": {
            "fast": figures("fast", 1, 3, 2),
            PADDED: figures("slow", 4, 9, 12),
        },
    }
    lines = make_block(results).splitlines()
    # 4, 3 and 6.
    assert lines[2:4] == [
        "| fast (v 1) | 1,500 | 3,000 | 4.00 |",
        "| slow (v 1) | 333 | 667 | 1.00 |",
    ]
    assert lines[-1].startswith("Encoder of 6 layers of width 384, 1,287 posts. a proc")
    assert set(EXPORTED) < set(ENGINES) and engines.SAME_OUTPUT.keys() < ENGINES.keys()
    json.dumps(results)
