"""How fast our pipelines are, against what people use, on one machine in one run.

    python -m spacy_wnut to-hf training/wnut17/tutorial-0/model-best training/wnut17/hf
    python -m spacy_wnut export MODEL training/wnut17/onnx-fp32 --precision fp32 \\
        --corpus corpus/wnut17/gold/dev.spacy
    python -m spacy_wnut export MODEL training/wnut17/onnx-int8 --precision int8 \\
        --corpus corpus/wnut17/gold/dev.spacy \\
        --calibration corpus/wnut17/gold/train.spacy
    python benchmarks/inference.py run --transformers training/wnut17/hf \\
        --spacy-ner training/wnut17/spacy_ner-0/model-best --torch MODEL \\
        --onnx-fp32 training/wnut17/onnx-fp32 --onnx-int8 training/wnut17/onnx-int8
    python benchmarks/inference.py table

MODEL is a trained pipeline of ours, and all are of the same encoder. Systems that
aren't given are left out. Each runs in a virtual environment that holds only what it
needs, made on the first run (--environments). On two quiet cores a run takes about ten
minutes; with anything else running, its ratios mean nothing.

The texts are WNUT 17's, words joined by single spaces. Every system is given texts and
gives entities with their characters and types; reading words and pieces is part of it.
"""

import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from readme import write_block
from speed.environments import make_environment
from speed.limits import (
    Encoder,
    count_operations,
    in_the_stack,
    measure_rates,
    median_limits,
    read_encoder,
)
from speed.measure import Plan, against, measure_systems
from speed.posts import Post, count_words, read_posts
from speed.results import CPU_TARGETS, GPU_TARGETS, cost_growth, judge
from speed.results import table as table_of
from speed.systems import SYSTEMS, Run
from wasabi import msg

from spacy_wnut.errors import WnutError
from spacy_wnut.files import replacing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "inference.json"
GPU_RESULTS = ROOT / "benchmarks" / "results" / "inference_gpu.json"
BLOCK = "inference: benchmarks/inference.py table"

# The processes of a quiet machine that wait for a processor, on average.
QUIET_LOAD = 0.5
# The time of a system's slowest round by that of its fastest.
QUIET_SPREAD = 1.15

app = typer.Typer(pretty_exceptions_enable=False)

Folder = Annotated[Path | None, typer.Option(show_default=False)]


@app.command()
def run(
    transformers: Folder = None,
    spacy_ner: Folder = None,
    torch: Folder = None,
    torch_bf16: Folder = None,
    onnx_fp32: Folder = None,
    onnx_int8: Folder = None,
    test: Annotated[Path, typer.Option(help="Posts, a DocBin on spaCy's tokens")] = (
        ROOT / "corpus" / "wnut17" / "spacy" / "test.spacy"
    ),
    dev: Annotated[Path, typer.Option(help="Others, whose F1 is measured too")] = (
        ROOT / "corpus" / "wnut17" / "spacy" / "dev.spacy"
    ),
    environments: Annotated[
        Path, typer.Option(help="Folder of the virtual environments")
    ] = ROOT / "training" / "environments",
    threads: Annotated[int, typer.Option(help="Threads of each system")] = 2,
    rounds: Annotated[int, typer.Option(help="How often to measure")] = 3,
    gpu_id: Annotated[int, typer.Option(help="GPU to run on; -1 for the CPU")] = -1,
    quick: Annotated[
        bool, typer.Option("--quick", help="One round on few posts: shows that it runs")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file to write; by default benchmarks/results'"),
    ] = None,
) -> None:
    """Measure the systems whose folders are given, and write the results."""
    given = {
        "transformers": transformers,
        "spacy-ner": spacy_ner,
        "torch": torch,
        "torch-bf16": torch_bf16,
        "onnx-fp32": onnx_fp32,
        "onnx-int8": onnx_int8,
    }
    if out is None:
        if quick:
            raise WnutError(
                "the figures of --quick are no results: give another file with --out"
            )
        out = GPU_RESULTS if gpu_id >= 0 else RESULTS
    for key, folder in given.items():
        if folder is not None and not folder.is_dir():
            raise WnutError(f"{folder} is no folder: give --{key} a model")
    if not any(given.values()):
        raise WnutError("nothing to measure: give the folder of at least one system")
    posts = read_posts(test)
    plan = Plan(
        posts=posts[:100] if quick else posts,
        dev=read_posts(dev)[: 100 if quick else None],
        sizes=(100, 300, 3_000) if quick else (1_000, 10_000, 100_000),
        rounds=1 if quick else rounds,
        threads=threads,
        gpu=gpu_id,
        say=msg.info,
    )
    device = describe_device(plan)
    if device["load_before"] > QUIET_LOAD:
        msg.warn(f"The machine isn't quiet (load {device['load_before']:.1f})")
    runs = [
        Run(system, folder, make_environment(environments, system.environment))
        for system in SYSTEMS
        if (folder := given[system.key]) is not None
    ]
    results: dict[str, Any] = {"device": device, **measure(runs, plan)}
    results["left_out"] = [key for key, folder in given.items() if folder is None]
    with replacing(out) as beside:
        beside.write_text(json.dumps(rounded(results), indent=1) + "\n", "utf8")
    print("\n".join(table_of(results)))
    for target in results["targets"]:
        if target["met"] is not None:
            figure = f"{target['name']} {target['target']}: {target['measured']:.3g}"
            print(f"{'met   ' if target['met'] else 'missed'} {figure}")
    for key, system in results["systems"].items():
        if system["spread"] > QUIET_SPREAD:
            msg.warn(
                f"{key} was {system['spread']:.2f} times as slow in one round as in "
                "another: something else was running, measure again"
            )
    msg.good(f"{out} is written")


@app.command()
def table() -> None:
    """Write README's tables, of the CPU and, if it was measured, of the GPU."""
    lines: list[str] = []
    for path in (RESULTS, GPU_RESULTS):
        if path.exists():
            results = json.loads(path.read_text(encoding="utf8"))
            lines += [*([""] if lines else []), *table_of(results)]
    if not lines:
        raise WnutError(f"there is no {RESULTS}: `run` writes it")
    write_block(BLOCK, "".join(f"{line}\n" for line in lines))


def measure(runs: list[Run], plan: Plan) -> dict[str, Any]:
    """Measure the systems and the limits, and judge the targets."""
    # The weights of all systems have the shapes of the checkpoint's.
    checkpoints = [r.model for r in runs if r.system.key == "transformers"]
    encoder = read_encoder(checkpoints[0]) if checkpoints and plan.gpu < 0 else None
    rates: list[Any] = []

    def between() -> None:
        if encoder is not None:
            pythons = dict.fromkeys(run.python for run in runs)
            rates.append(measure_rates(in_the_stack(encoder), pythons, plan.threads))

    systems = measure_systems(runs, plan, between)
    limits: dict[str, Any] = {}
    if encoder is not None:
        between()
        limits.update(median_limits(encoder, rates))
        operations = operations_of(encoder, checkpoints[0], plan.posts)
        limits["operations_per_word"] = operations / count_words([plan.posts])
    for run in runs:
        system, limit = systems[run.system.key], run.system.precision
        if limit in limits:
            needed = limits["operations_per_word"] * system["words_per_second"]["test"]
            system["limit"] = limit
            system["share_of_limit"] = needed / limits[limit]["rate"]
        system["growth_of_cost"] = cost_growth(system)
        system["times"] = {
            other: against(systems, run.system.key, other)
            for other in ("transformers", "spacy-ner")
            if other in systems
        }
    targets = GPU_TARGETS if plan.gpu >= 0 else CPU_TARGETS
    return {
        "rounds": plan.rounds,
        "systems": systems,
        "limits": limits,
        "targets": list(judge(targets, systems)),
    }


def operations_of(encoder: Encoder, checkpoint: Path, posts: list[Post]) -> int:
    """The operations that posts need, special tokens with them, each by itself."""
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch([post.text for post in posts])
    return count_operations(encoder, [len(encoding.ids) for encoding in encodings])


def describe_device(plan: Plan) -> dict[str, Any]:
    """What the figures were measured on."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text(encoding="utf8").splitlines()
            if line.startswith("model name")
        ]
        name = models[0] if models else name
    if plan.gpu >= 0:
        import torch

        name = torch.cuda.get_device_name(plan.gpu)
    return {
        "name": name,
        "cores": os.cpu_count(),
        "threads": plan.threads,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
    }


def rounded(value: Any) -> Any:
    """The same with four significant digits: what comes after is noise."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    try:
        app()
    except WnutError as err:
        msg.fail(str(err))
        sys.exit(1)
