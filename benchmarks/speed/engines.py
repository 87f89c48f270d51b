"""Speed of the encoder alone on several inference engines.

    python -m benchmarks.speed.engines run MODEL --onnx-fp32 training/wnut17/onnx-fp32 \\
        --onnx-int8 training/wnut17/onnx-int8
    python -m benchmarks.speed.engines table

MODEL is a trained pipeline of ours on a BERT or DistilBERT encoder; the other two are
exported from it. The posts are those of WNUT 17. Word pieces are prepared in advance,
and all engines but one run the batches of equal length that our runtime makes of them.
Our graph includes the head; the other engines compute only the vectors of the encoder.

Each engine runs in a process of its own, in one virtual environment, which the first run
creates. `run` writes benchmarks/results/engines.json, `table` the table in
docs/results.md. A run takes about ten minutes on two cores that must be idle otherwise.
"""

import json
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy
import typer
from wasabi import msg

from benchmarks.common.machine import describe_machine, load_average
from benchmarks.common.pages import RESULTS_PAGE, format_table, write_block
from benchmarks.common.program import Environments, SpacyPosts, make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, write_results
from spacy_wnut.errors import WnutError

from .environments import make_environment
from .systems import clean_environ, script_command

RESULTS = FOLDER / "engines.json"
BLOCK = "engines: python -m benchmarks.speed.engines table"
WORKER = Path(__file__).with_name("engine_worker.py")
# The title of each engine in the table, by its name in engine_worker.py.
ENGINES = {
    "onnx-int8": "ONNX Runtime int8, our graph",
    "onnx-fp32": "ONNX Runtime fp32, our graph",
    "openvino-fp32": "OpenVINO fp32, our graph",
    "ctranslate2-int8": "CTranslate2 int8",
    "ctranslate2-fp32": "CTranslate2 fp32",
    "torch": "torch fp32",
    "transformers": "transformers fp32, eager attention, padded batches",
}
# Engines that run exported pipelines.
EXPORTED = {"onnx-int8": "int8", "onnx-fp32": "fp32", "openvino-fp32": "fp32"}
# Engines in fp32 whose outputs must be those of another one.
SAME_OUTPUT = {"openvino-fp32": "onnx-fp32", "ctranslate2-fp32": "torch"}
TOLERANCE = 0.01
PADDED = "transformers"
# Posts in a padded batch, in the order of the corpus.
PADDED_POSTS = 32

app = make_app(__doc__)

Batches = list[dict[str, Any]]


@app.command()
def run(
    model: Annotated[Path, typer.Argument(help="Trained pipeline of ours")],
    onnx_fp32: Annotated[Path, typer.Option(help="The pipeline, exported in fp32")],
    onnx_int8: Annotated[Path, typer.Option(help="The pipeline, exported in int8")],
    test: SpacyPosts = ROOT / "corpus" / "wnut17" / "spacy" / "test.spacy",
    environments: Environments = ROOT / "training" / "environments",
    threads: Annotated[int, typer.Option(help="Threads per engine")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds")] = 3,
) -> None:
    """Measure the engines in turn, and write the results."""
    from .posts import count_words, read_posts

    exported = {"fp32": onnx_fp32, "int8": onnx_int8}
    posts = read_posts(test)
    python = make_environment(environments, "engines")
    load = load_average()
    device = {**describe_machine(), "threads": threads, "load_before": round(load, 2)}
    replies: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "checkpoint"
        encoder = store_checkpoint(model, exported, checkpoint)
        equal, padded = prepare_batches(onnx_fp32, [post.text for post in posts])
        paths = {False: Path(scratch) / "equal.npz", True: Path(scratch) / "padded.npz"}
        store_batches(equal, paths[False])
        store_batches(padded, paths[True])
        for i in range(rounds):
            for engine in ENGINES:
                folder = exported.get(EXPORTED.get(engine, ""), checkpoint)
                batches = paths[engine == PADDED]
                replies[engine].append(
                    run_engine(python, engine, folder, batches, threads)
                )
                msg.info(
                    f"round {i + 1}, {engine}: {replies[engine][-1]['seconds']:.2f} s"
                )
    check_outputs({engine: found[0]["output"] for engine, found in replies.items()})
    results = {
        "device": device,
        "encoder": encoder,
        "rounds": rounds,
        "posts": len(posts),
        "words": count_words([posts]),
        "pieces": sum(batch["input_ids"].size for batch in equal),
        "engines": {
            engine: {
                "title": title,
                "version": replies[engine][0]["version"],
                "seconds": [round(reply["seconds"], 3) for reply in replies[engine]],
            }
            for engine, title in ENGINES.items()
        },
    }
    write_results(RESULTS, results)
    print(make_block(results))


@app.command()
def table() -> None:
    """Write the table in docs/results.md."""
    write_block(BLOCK, make_block(read_results(RESULTS)), RESULTS_PAGE)


def store_checkpoint(
    model: Path, exported: Mapping[str, Path], folder: Path
) -> dict[str, int]:
    """Store the encoder of a pipeline and its tokenizer for the other engines.

    model (Path): Trained pipeline of ours.
    exported (Mapping[str, Path]): The pipelines that were exported from it.
    folder (Path): Folder to write.
    RETURNS (Dict[str, int]): Its `layers` and `width`.

    Raises WnutError if a pipeline can't be used, or wasn't exported from this one.
    """
    from spacy_wnut.models.linear_chain import PARAMS
    from spacy_wnut.pipeline.entity_tagger import find_tagger
    from spacy_wnut.pipeline.loading import load_pipeline
    from spacy_wnut.pipeline.parts import find_parts

    parts = find_parts(load_pipeline(str(model)))
    for path in exported.values():
        chain = find_tagger(load_pipeline(str(path))).model
        for name in PARAMS:
            theirs: Any = chain.get_param(name)
            ours: Any = parts.tagger.model.get_param(name)
            if not numpy.array_equal(theirs, ours):
                raise WnutError(
                    f"{path} was exported from another pipeline than {model}"
                )
    parts.encoder.transformer.save_pretrained(folder)
    parts.encoder.tokenizer.save_pretrained(folder)
    config = parts.encoder.transformer.config
    return {"layers": config.num_hidden_layers, "width": config.hidden_size}


def prepare_batches(pipeline: Path, texts: Sequence[str]) -> tuple[Batches, Batches]:
    """Prepare the inputs of the engines.

    pipeline (Path): An exported pipeline.
    texts (Sequence[str]): The posts.
    RETURNS (Tuple[Batches, Batches]): The batches of equal length that the pipeline
        runs; and batches of PADDED_POSTS posts with padding and a mask.
    """
    from spacy_wnut.models.onnx_session import OnnxShim
    from spacy_wnut.pipeline.entity_tagger import find_tagger
    from spacy_wnut.pipeline.loading import load_pipeline

    nlp = load_pipeline(str(pipeline))
    nodes = find_tagger(nlp).model.walk()
    [shim] = [s for node in nodes for s in node.shims if isinstance(s, OnnxShim)]
    # With more threads, `run` is not called for every batch.
    shim.threads = 1
    equal: Batches = []
    run_graph = shim.run

    def record(inputs: dict[str, Any]) -> Any:
        equal.append(inputs)
        return run_graph(inputs)

    shim.run = record  # type: ignore[method-assign]
    for _ in nlp.pipe(texts):
        pass
    padded = []
    shim.tokenizer.enable_padding()
    for start in range(0, len(texts), PADDED_POSTS):
        found = shim.tokenizer.encode_batch(list(texts[start : start + PADDED_POSTS]))
        padded.append(
            {
                "input_ids": numpy.array([one.ids for one in found]),
                "attention_mask": numpy.array([one.attention_mask for one in found]),
            }
        )
    return equal, padded


def store_batches(batches: Batches, path: Path) -> None:
    """Store batches as engine_worker.py reads them."""
    arrays = {
        f"{i}.{name}": array
        for i, batch in enumerate(batches)
        for name, array in batch.items()
    }
    numpy.savez(path, **arrays)


def run_engine(
    python: str, engine: str, model: Path, batches: Path, threads: int
) -> dict[str, Any]:
    """Run engine_worker.py.

    RETURNS (Dict[str, Any]): The `seconds`, the `version` of the engine, and numbers of
        its `output`.

    Raises WnutError if it fails.
    """
    arguments = (engine, str(model.absolute()), str(batches))
    done = subprocess.run(
        script_command(python, WORKER, *arguments),
        capture_output=True,
        encoding="utf8",
        env=clean_environ(threads),
    )
    if done.returncode != 0:
        raise WnutError(f"{engine} failed: {done.stderr.strip()[-1000:]}")
    reply: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return reply


def check_outputs(outputs: Mapping[str, Sequence[float]]) -> None:
    """Raise WnutError if an engine in fp32 computes something else than another one."""
    for engine, other in SAME_OUTPUT.items():
        if not numpy.allclose(outputs[engine], outputs[other], 0, TOLERANCE):
            raise WnutError(f"the outputs of {engine} and {other} differ")


def make_block(results: Mapping[str, Any]) -> str:
    """Format the results as a table with a note on the machine."""
    engines = results["engines"]
    rows = []
    for engine in engines.values():
        seconds = statistics.median(engine["seconds"])
        # Of each round, since the speed of the machine changes between rounds.
        pairs = zip(engines[PADDED]["seconds"], engine["seconds"], strict=True)
        ratio = statistics.median(theirs / mine for theirs, mine in pairs)
        rows.append(
            [
                f"{engine['title']} ({engine['version']})",
                f"{results['words'] / seconds:,.0f}",
                f"{results['pieces'] / seconds:,.0f}",
                f"{ratio:.2f}",
            ]
        )
    header = ["engine", "words/s", "word pieces/s", "times transformers"]
    device, encoder = results["device"], results["encoder"]
    note = (
        f"Encoder of {encoder['layers']} layers of width {encoder['width']}, "
        f"{results['posts']:,} posts. {device['name']}, {device['threads']} threads, load "
        f"{device['load_before']} before, medians of {results['rounds']} rounds."
    )
    return f"{format_table(header, rows, left=1)}\n{note}\n"


if __name__ == "__main__":
    run_app(app)
