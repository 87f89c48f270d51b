"""Compare the entities of a pipeline on a GPU with those on the CPU.

    python -m benchmarks.reliability.gpu_parity MODEL corpus/wnut17/gold/dev.spacy \\
        --name minilm

Each device runs in a process of its own. The CPU runs in full precision, the GPU in full
and in half precision. The results are kept in benchmarks/results/gpu.json, under the
name of the pipeline: for each precision the number of entities that only one of the two
devices finds, and the largest difference between the confidences of the others.
`benchmarks/gpu.sh` trains pipelines and runs this program.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from wasabi import msg

from benchmarks.common.machine import describe_machine
from benchmarks.common.program import make_app, run_app, to_help
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import read_results, write_results

RESULTS = FOLDER / "gpu.json"

# Confidence of each entity by the index of its post, its first word, the word after its
# last one, and its type.
Entities = dict[tuple[int, int, int, str], float]

app = make_app(__doc__)


@app.command(help=to_help(__doc__))
def run(
    model: Annotated[Path, typer.Argument(help="Folder of a pipeline with torch")],
    corpus: Annotated[Path, typer.Argument(help="Posts to run on: a DocBin")],
    name: Annotated[str, typer.Option(help="Name of the pipeline in the results")],
    gpu_id: Annotated[int, typer.Option(help="GPU to compare with the CPU")] = 0,
) -> None:
    """Find the entities on both devices and write the differences."""
    on_cpu = in_process(model, corpus, -1, False)
    on_gpu = {
        precision: in_process(model, corpus, gpu_id, precision == "half")
        for precision in ("full", "half")
    }
    import torch

    result: dict[str, Any] = {
        "device": {**describe_machine(), "gpu": torch.cuda.get_device_name(gpu_id)},
        "entities": len(on_cpu),
        **{key: compare(on_cpu, found) for key, found in on_gpu.items()},
    }
    results = read_results(RESULTS) if RESULTS.exists() else {}
    write_results(RESULTS, {**results, name: result})
    for precision in on_gpu:
        figures = result[precision]
        msg.info(
            f"{name}, {precision} precision: {figures['differing_entities']} of "
            f"{len(on_cpu)} entities differ, confidences by at most "
            f"{figures['max_confidence_difference']:.2g}"
        )


def in_process(model: Path, corpus: Path, gpu_id: int, has_half: bool) -> Entities:
    """Run `predict` in a process of its own. thinc has one device per process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(predict, model, corpus, gpu_id, has_half).result()


def predict(model: Path, corpus: Path, gpu_id: int, has_half: bool) -> Entities:
    """Find the entities of posts.

    model (Path): Folder of the pipeline.
    corpus (Path): DocBin of the posts. Their words are kept.
    gpu_id (int): GPU to run on; -1 for the CPU.
    has_half (bool): Whether matrices are multiplied in half precision, if the device
        does that faster.
    RETURNS (Entities): The confidences of the entities.
    """
    import spacy
    from thinc.api import require_gpu, set_gpu_allocator

    from spacy_wnut.corpus.examples import read_corpus

    if gpu_id >= 0:
        set_gpu_allocator("pytorch")
        require_gpu(gpu_id)
    settings = {"components.transformer.model.mixed_precision": has_half}
    nlp = spacy.load(model, config=settings)
    docs = nlp.pipe(example.predicted for example in read_corpus(corpus, nlp))
    return {
        (i, ent.start, ent.end, ent.label_): ent._.confidence
        for i, doc in enumerate(docs)
        for ent in doc.ents
    }


def compare(one: Entities, other: Entities) -> dict[str, float]:
    """Count the entities that differ, and compare the confidences of the others."""
    differences = (abs(one[key] - other[key]) for key in one.keys() & other.keys())
    return {
        "differing_entities": len(one.keys() ^ other.keys()),
        "max_confidence_difference": max(differences, default=0.0),
    }


if __name__ == "__main__":
    run_app(app)
