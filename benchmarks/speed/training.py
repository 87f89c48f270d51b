"""How long training takes, beside transformers' Trainer with the tutorial's recipe.

    python benchmarks/training.py measure training/wnut17/encoder wnut_17 corpus/wnut17
    python benchmarks/training.py table

Each contender has a process of its own, so that its peak memory is its own, and they
take turns: so many steps of the one, then of the next, several rounds of it. Times are
those of training steps alone, a word: batches of equally many posts differ in words.
`measure` writes benchmarks/results/training.json, `table` README's table.
"""

import json
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
from readme import format_table, write_block

from spacy_wnut.files import replacing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "training.json"
BLOCK = "training: benchmarks/training.py table"
TRAINER = "trainer"
RECIPES = ("tutorial.cfg", "distilbert.cfg")
WARM_UP = 3

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def measure(
    encoder: Annotated[str, typer.Argument(help="The encoder's folder")],
    source: Annotated[str, typer.Argument(help="As for spacy-wnut convert")],
    corpus: Annotated[Path, typer.Argument(help="What it was converted to")],
    name: Annotated[str | None, typer.Option(help="What to call the encoder")] = None,
    steps: Annotated[int, typer.Option(help="Steps of a contender a round")] = 30,
    rounds: int = 3,
    gpu_id: int = -1,
) -> None:
    """Let the contenders train in turns."""
    context = multiprocessing.get_context("spawn")
    contenders = {}
    for contender in (TRAINER, *RECIPES):
        here, there = context.Pipe()
        args = (there, contender, encoder, source, corpus, steps, gpu_id)
        process = context.Process(target=work, args=args, daemon=True)
        process.start()
        contenders[contender] = (process, here)
    # All are ready before the first begins.
    ready = {contender: here.recv() for contender, (_, here) in contenders.items()}
    seconds: dict[str, list[float]] = {contender: [] for contender in contenders}
    peaks = {}
    for number in range(rounds):
        for contender, (_, here) in contenders.items():
            here.send("go")
            took, words, peaks[contender] = here.recv()
            seconds[contender].append(took / words)
            print(
                f"round {number + 1}, {contender}: {1e6 * took / words:.0f} µs a word"
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
    with replacing(RESULTS) as beside:
        beside.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf8")


def work(
    connection: Any,
    contender: str,
    encoder: str,
    source: str,
    corpus: Path,
    steps: int,
    gpu_id: int,
) -> None:
    """A contender's process: trains so many steps whenever it is told to."""
    import torch

    with tempfile.TemporaryDirectory() as scratch:
        if contender == TRAINER:
            turns = trainer_turns(encoder, source, steps, Path(scratch), gpu_id)
            facts = {}
        else:
            turns, facts = our_turns(contender, encoder, corpus, steps, gpu_id)
        device = "cpu" if gpu_id < 0 else torch.cuda.get_device_name(gpu_id)
        connection.send({"device": device, "threads": torch.get_num_threads(), **facts})
        while connection.recv() is not None:
            took, words = next(turns)
            connection.send((took, words, peak_memory(gpu_id)))


def our_turns(
    recipe: str, encoder: str, corpus: Path, steps: int, gpu_id: int
) -> tuple[Iterator[tuple[float, int]], dict[str, int]]:
    """The loop of `spacy train` itself, without evaluating and saving: seconds and
    words of each turn. And how many words an epoch has.
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
        wait(gpu_id)
        return time.perf_counter() - began, words

    turn(WARM_UP)
    n_words = sum(len(example) for example in examples(nlp))
    return iter(lambda: turn(steps), None), {"epoch_words": n_words}


def trainer_turns(
    encoder: str, source: str, steps: int, scratch: Path, gpu_id: int
) -> Iterator[tuple[float, int]]:
    """The tutorial's Trainer, without evaluating and saving."""
    from trainer_baseline import IGNORED, make_trainer
    from transformers import TrainerCallback

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
                wait(gpu_id)
                self.began = time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):  # type: ignore
            if state.global_step == WARM_UP + steps:
                wait(gpu_id)
                self.took = time.perf_counter() - self.began

    clock = Clock()
    trainer.data_collator = count_and_collate
    trainer.add_callback(clock)
    while True:
        words.clear()
        trainer.train()
        # It may have fetched a batch more than it trained on.
        yield clock.took, sum(words[WARM_UP : WARM_UP + steps])


def wait(gpu_id: int) -> None:
    """Until the GPU has done what it was told."""
    if gpu_id >= 0:
        import torch

        torch.cuda.synchronize(gpu_id)


def peak_memory(gpu_id: int) -> float:
    """In MiB: of the GPU's memory what tensors took, on the CPU the process."""
    if gpu_id >= 0:
        import torch

        return torch.cuda.max_memory_allocated(gpu_id) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@app.command()
def table() -> None:
    """Write README's table."""
    write_block(BLOCK, make_block(json.loads(RESULTS.read_text(encoding="utf8"))))


def make_block(summary: dict[str, Any]) -> str:
    contenders = summary["contenders"]
    rows = []
    for name, figures in contenders.items():
        times = figures["seconds_a_word"]
        # Of the same round each, for a machine may be slower at times.
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
    header = ["", "an epoch", "ratio", "peak memory"]
    return (
        f"{format_table(header, rows, left=1)}\n"
        f"Training steps alone on {summary['encoder']}, {summary['device']}, "
        f"{summary['threads']} threads: the median of {summary['rounds']} rounds of "
        f"{summary['steps']} steps each, taken in turns, by the number of words.\n"
    )


if __name__ == "__main__":
    app()
