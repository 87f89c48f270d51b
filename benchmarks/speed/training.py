"""Training time of our recipes and of transformers' Trainer with the tutorial's recipe.

    python -m benchmarks.speed.training measure training/wnut17/encoder wnut_17 \\
        corpus/wnut17
    python -m benchmarks.speed.training table

Each contender has a process of its own, so that peak memories are separate. They take
turns: several rounds of a number of steps each. The times are those of training steps,
per word, since batches of the same number of posts differ in words. `measure` writes
benchmarks/results/training.json, `table` the table in docs/results.md.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.common.pages import RESULTS_PAGE, format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, write_results

RESULTS = FOLDER / "training.json"
BLOCK = "training: python -m benchmarks.speed.training table"
TRAINER = "trainer"
RECIPES = ("tutorial.cfg", "distilbert.cfg")
# Steps that aren't timed.
WARM_UP = 3

app = make_app(__doc__)


@app.command()
def measure(
    encoder: Annotated[str, typer.Argument(help="Folder of the encoder")],
    source: Annotated[str, typer.Argument(help="WNUT 17, as for spacy-wnut convert")],
    corpus: Annotated[Path, typer.Argument(help="The folder it was converted to")],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the encoder in tables; by default its folder's"),
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps per round")] = 30,
    rounds: Annotated[int, typer.Option(help="Rounds per contender")] = 3,
    gpu_id: Annotated[int, typer.Option(help="GPU to run on; -1 for the CPU")] = -1,
) -> None:
    """Train the contenders in turns and write the results."""
    context = multiprocessing.get_context("spawn")
    contenders = {}
    for contender in (TRAINER, *RECIPES):
        here, there = context.Pipe()
        args = (there, contender, encoder, source, corpus, steps, gpu_id)
        process = context.Process(target=train_in_turns, args=args, daemon=True)
        process.start()
        contenders[contender] = (process, here)
    # All have loaded before the first one trains.
    ready = {contender: here.recv() for contender, (_, here) in contenders.items()}
    seconds: dict[str, list[float]] = {contender: [] for contender in contenders}
    peaks = {}
    for number in range(rounds):
        for contender, (_, here) in contenders.items():
            here.send("go")
            took, words, peaks[contender] = here.recv()
            seconds[contender].append(took / words)
            print(
                f"round {number + 1}, {contender}: {1e6 * took / words:.0f} µs per word"
            )
    for process, here in contenders.values():
        here.send(None)
        process.join()
    summary = {
        "encoder": name or Path(encoder).name,
        **ready[RECIPES[0]],
        "steps": steps,
        "rounds": rounds,
        "contenders": {
            contender: {
                "seconds_a_word": seconds[contender],
                "peak_memory_mb": round(peaks[contender]),
            }
            for contender in contenders
        },
    }
    write_results(RESULTS, summary)


def train_in_turns(
    connection: Any,
    contender: str,
    encoder: str,
    source: str,
    corpus: Path,
    steps: int,
    gpu_id: int,
) -> None:
    """Run a contender's process.

    connection (Connection): Sends the device and threads once loaded. Each message other
        than None starts a turn, answered by its seconds, its words, and the peak memory
        in MiB so far. None ends the process.
    contender (str): TRAINER or one of RECIPES.
    steps (int): Training steps per turn.
    """
    import torch

    with tempfile.TemporaryDirectory() as scratch:
        if contender == TRAINER:
            turns = trainer_turns(encoder, source, steps, Path(scratch), gpu_id)
            facts: dict[str, int] = {}
        else:
            turns, facts = our_turns(contender, encoder, corpus, steps, gpu_id)
        device = "cpu" if gpu_id < 0 else torch.cuda.get_device_name(gpu_id)
        connection.send({"device": device, "threads": torch.get_num_threads(), **facts})
        while connection.recv() is not None:
            took, words = next(turns)
            connection.send((took, words, peak_memory_mib(gpu_id)))


def our_turns(
    recipe: str, encoder: str, corpus: Path, steps: int, gpu_id: int
) -> tuple[Iterator[tuple[float, int]], dict[str, int]]:
    """Set up the training loop of `spacy train`, without evaluation and checkpoints.

    RETURNS (Tuple[Iterator[Tuple[float, int]], Dict[str, int]]): Turns, which train when
        they are drawn, with their seconds and words; and `epoch_words`, the number of
        words per epoch.
    """
    from spacy.schemas import ConfigSchemaTraining
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import create_train_batches, train_while_improving
    from spacy.util import load_config, registry, resolve_dot_names
    from thinc.api import require_gpu

    if gpu_id >= 0:
        require_gpu(gpu_id)
    paths = {
        "paths.train": str(corpus / "gold" / "train.spacy"),
        "paths.dev": str(corpus / "gold" / "dev.spacy"),
        "paths.encoder": encoder,
    }
    nlp = init_nlp(load_config(ROOT / "configs" / recipe, paths), use_gpu=gpu_id)
    config = nlp.config.interpolate()
    training = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    [examples] = resolve_dot_names(config, [training["train_corpus"]])
    loop = train_while_improving(
        nlp,
        training["optimizer"],
        create_train_batches(nlp, examples, training["batcher"], max_epochs=0),
        evaluate=lambda: (0.0, {}),
        dropout=training["dropout"],
        eval_frequency=sys.maxsize,
        accumulate_gradient=training["accumulate_gradient"],
        patience=0,
        max_steps=0,
        exclude=training["frozen_components"],
        annotating_components=training["annotating_components"],
        before_update=training["before_update"],
    )

    def turn(n_steps: int) -> tuple[float, int]:
        began = time.perf_counter()
        words = sum(len(eg) for _ in range(n_steps) for eg in next(loop)[0])
        synchronize(gpu_id)
        return time.perf_counter() - began, words

    turn(WARM_UP)
    n_words = sum(len(example) for example in examples(nlp))
    return iter(lambda: turn(steps), None), {"epoch_words": n_words}


def trainer_turns(
    encoder: str, source: str, steps: int, scratch: Path, gpu_id: int
) -> Iterator[tuple[float, int]]:
    """Yield seconds and words of each turn of the tutorial's Trainer, without evaluation
    and checkpoints.
    """
    from transformers import TrainerCallback  # type: ignore[attr-defined]

    from benchmarks.common.tutorial_trainer import IGNORED, make_trainer
    from spacy_wnut.corpus.sources import load_rows

    trainer, _, _ = make_trainer(
        encoder,
        load_rows(source),
        0,
        None,
        str(scratch),
        max_steps=WARM_UP + steps,
        use_cpu=gpu_id < 0,
        eval_strategy="no",
        save_strategy="no",
        load_best_model_at_end=False,
        logging_strategy="no",
        disable_tqdm=True,
    )
    words = []
    collate = trainer.data_collator

    def count_and_collate(features: Any) -> Any:
        batch = collate(features)
        words.append(int((batch["labels"] != IGNORED).sum()))
        return batch

    class Clock(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):  # type: ignore
            if state.global_step == WARM_UP:
                synchronize(gpu_id)
                self.began = time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):  # type: ignore
            if state.global_step == WARM_UP + steps:
                synchronize(gpu_id)
                self.took = time.perf_counter() - self.began

    clock = Clock()
    trainer.data_collator = count_and_collate
    trainer.add_callback(clock)
    while True:
        words.clear()
        trainer.train()
        # The data loader may have prefetched one more batch.
        yield clock.took, sum(words[WARM_UP : WARM_UP + steps])


def synchronize(gpu_id: int) -> None:
    """Wait for the kernels of a GPU."""
    if gpu_id >= 0:
        import torch

        torch.cuda.synchronize(gpu_id)


def peak_memory_mib(gpu_id: int) -> float:
    """Peak memory in MiB: of tensors on the GPU, or of the process on the CPU."""
    if gpu_id >= 0:
        import torch

        return torch.cuda.max_memory_allocated(gpu_id) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@app.command()
def table() -> None:
    """Write the table in docs/results.md."""
    write_block(BLOCK, make_block(read_results(RESULTS)), RESULTS_PAGE)


def make_block(summary: dict[str, Any]) -> str:
    """The contenders with their ratios to the Trainer."""
    contenders = summary["contenders"]
    rows = []
    for name, figures in contenders.items():
        times = figures["seconds_a_word"]
        # Ratios within a round, since the machine's speed may change between rounds.
        ratio = median(
            ours / theirs
            for ours, theirs in zip(
                times, contenders[TRAINER]["seconds_a_word"], strict=True
            )
        )
        rows.append(
            [
                name,
                f"{median(times) * summary['epoch_words']:.0f} s",
                f"{ratio:.2f}",
                f"{figures['peak_memory_mb']} MiB",
            ]
        )
    header = ["", "epoch", "ratio", "peak memory"]
    return (
        f"{format_table(header, rows, left=1)}\n"
        f"Training steps only, on {summary['encoder']}, {summary['device']}, "
        f"{summary['threads']} threads: time per word, median of {summary['rounds']} "
        f"rounds of {summary['steps']} steps, contenders in turn.\n"
    )


if __name__ == "__main__":
    run_app(app)
