"""Speed, memory, and size of our pipelines and of those that people use instead.

    python -m spacy_wnut to-hf training/wnut17/tutorial-0/model-best training/wnut17/hf
    python -m spacy_wnut export MODEL training/wnut17/onnx-fp32 --precision fp32 \\
        --corpus corpus/wnut17/gold/dev.spacy
    python -m spacy_wnut export MODEL training/wnut17/onnx-int8 --precision int8 \\
        --corpus corpus/wnut17/gold/dev.spacy \\
        --calibration corpus/wnut17/gold/train.spacy
    # MODEL_3 to training/wnut17/onnx-int8-3, MODEL_BASE to training/wnut17/onnx-int8-base
    python -m spacy init config training/wnut17/cnn.cfg -p ner -o efficiency
    python -m spacy train training/wnut17/cnn.cfg --output training/wnut17/cnn \\
        --paths.train corpus/wnut17/gold/train.spacy \\
        --paths.dev corpus/wnut17/gold/dev.spacy
    python -m benchmarks.speed.inference run --transformers training/wnut17/hf \\
        --spacy-ner training/wnut17/spacy_ner-0/model-best \\
        --cnn training/wnut17/cnn/model-best --torch MODEL \\
        --onnx-fp32 training/wnut17/onnx-fp32 --onnx-int8 training/wnut17/onnx-int8 \\
        --onnx-int8-3 training/wnut17/onnx-int8-3 \\
        --onnx-int8-base training/wnut17/onnx-int8-base
    python -m benchmarks.speed.inference table

MODEL is a trained pipeline of ours. MODEL_3 was trained on the first three layers of its
encoder (`spacy-wnut encoder --layers 3`), and MODEL_BASE on an encoder of DistilBERT's
size. All other models need the same encoder, except the CNN, which has none. Systems
without an option are skipped. Each system runs in a virtual environment with its
requirements only, which the first run creates (--environments). A run takes about a
quarter of an hour on two cores.
The machine must be idle otherwise, or the ratios mean nothing.

The texts are those of WNUT 17, words joined by single spaces. Each system turns texts
into entities with characters and types, so tokenization is included.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from wasabi import msg

from benchmarks.accuracy import recipes
from benchmarks.common.machine import (
    QUIET_LOAD,
    QUIET_SPREAD,
    describe_machine,
    has_vnni,
    load_average,
)
from benchmarks.common.pages import (
    README,
    RESULTS_PAGE,
    format_percent,
    format_table,
    write_block,
)
from benchmarks.common.program import Environments, SpacyPosts, make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, read_rows, write_results
from spacy_wnut.errors import WnutError

from .environments import make_environment
from .limits import (
    EncoderShapes,
    count_operations,
    measure_rates,
    median_limits,
    read_encoder_shapes,
    stack_shapes,
)
from .systems import SYSTEMS, Contender

if TYPE_CHECKING:
    from .measure import MeasurementPlan
    from .posts import AnnotatedPost
    from .targets import SystemResults

RESULTS = FOLDER / "inference.json"
GPU_RESULTS = FOLDER / "inference_gpu.json"
BLOCK = "inference: python -m benchmarks.speed.inference table"
SUMMARY = "systems: python -m benchmarks.speed.inference table"

app = make_app(__doc__)

ModelFolder = Annotated[Path | None, typer.Option(show_default=False)]


@app.command()
def run(
    transformers: ModelFolder = None,
    spacy_ner: ModelFolder = None,
    cnn: ModelFolder = None,
    torch: ModelFolder = None,
    torch_bf16: ModelFolder = None,
    onnx_fp32: ModelFolder = None,
    onnx_int8: ModelFolder = None,
    onnx_int8_base: ModelFolder = None,
    onnx_int8_3: ModelFolder = None,
    test: SpacyPosts = ROOT / "corpus" / "wnut17" / "spacy" / "test.spacy",
    dev: Annotated[
        Path, typer.Option(help="Other posts, whose F1 is measured as well")
    ] = (ROOT / "corpus" / "wnut17" / "spacy" / "dev.spacy"),
    environments: Environments = ROOT / "training" / "environments",
    threads: Annotated[int, typer.Option(help="Threads per system")] = 2,
    rounds: Annotated[int, typer.Option(help="Number of rounds")] = 3,
    gpu_id: Annotated[int, typer.Option(help="GPU to run on; -1 for the CPU")] = -1,
    quick: Annotated[
        bool, typer.Option("--quick", help="One round on few posts, as a smoke test")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file to write; by default in benchmarks/results"),
    ] = None,
) -> None:
    """Measure the systems whose models are given, and write the results."""
    from .measure import MeasurementPlan
    from .posts import read_posts

    models = {
        "transformers": transformers,
        "spacy-ner": spacy_ner,
        "cnn": cnn,
        "torch": torch,
        "torch-bf16": torch_bf16,
        "onnx-fp32": onnx_fp32,
        "onnx-int8": onnx_int8,
        "onnx-int8-base": onnx_int8_base,
        "onnx-int8-3": onnx_int8_3,
    }
    if out is None:
        if quick:
            raise WnutError(
                "the results of --quick must not replace real ones: set --out"
            )
        out = GPU_RESULTS if gpu_id >= 0 else RESULTS
    for key, folder in models.items():
        if folder is not None and not folder.is_dir():
            raise WnutError(
                f"{folder} is not a folder: set --{key} to a model's folder"
            )
    if not any(models.values()):
        raise WnutError("nothing to measure: give the folder of at least one system")
    posts = read_posts(test)
    plan = MeasurementPlan(
        posts=posts[:100] if quick else posts,
        dev=read_posts(dev)[: 100 if quick else None],
        sizes=(100, 300, 3_000) if quick else (1_000, 10_000, 100_000),
        rounds=1 if quick else rounds,
        threads=threads,
        gpu=gpu_id,
        log=msg.info,
    )
    device = describe_device(plan)
    if device["load_before"] > QUIET_LOAD:
        msg.warn(f"The machine is not idle (load {device['load_before']:.1f})")
    contenders = [
        Contender(system, folder, make_environment(environments, system.environment))
        for system in SYSTEMS
        if (folder := models[system.key]) is not None
    ]
    results: dict[str, Any] = {"device": device, **measure_all(contenders, plan)}
    results["left_out"] = [key for key, folder in models.items() if folder is None]
    write_results(out, round_floats(results))
    print(format_results(results))
    for target in results["targets"]:
        if target["met"] is not None:
            figure = f"{target['name']} {target['target']}: {target['measured']:.3g}"
            print(f"{'met   ' if target['met'] else 'missed'} {figure}")
    for key, system in results["systems"].items():
        if system["spread"] > QUIET_SPREAD:
            msg.warn(
                f"the slowest round of {key} took {system['spread']:.2f} times as long "
                "as the fastest: the machine was not idle, measure again"
            )
    msg.good(f"Results written to {out}")


@app.command()
def table() -> None:
    """Write README's table, and those in docs/results.md: for the CPU and, if it was
    measured, for the GPU.
    """
    write_block(SUMMARY, make_summary(), README)
    write_block(BLOCK, make_block(), RESULTS_PAGE)


def make_summary() -> str:
    """README's table: accuracy, speed on the CPU and size of each system."""
    from .measure import speedup

    results = read_results(RESULTS)
    systems, device = results["systems"], results["device"]
    trained = {system.key: system.trained for system in SYSTEMS}
    header = ["system", "test F1", "95%", "seeds", "words per second"]
    header += ["times transformers", "installed size"]
    rows = []
    for key, system in systems.items():
        times = speedup(systems, key, "transformers")
        scores = scores_over_seeds(trained[key])
        rows.append(
            [
                system["title"],
                *(scores or (f"{100 * system['entity_f1']['test']:.1f}", "", "")),
                f"{system['words_per_second']['test']:,.0f}",
                "" if times is None else f"{times:.1f}",
                f"{system['install_mb']:,.0f} MB",
            ]
        )
    note = f"{device['name']}, {device['threads']} threads"
    return f"{format_table(header, rows, left=1)}\n{note}.{remarks(systems)}\n"


def scores_over_seeds(trained: tuple[str, str] | None) -> tuple[str, str, str] | None:
    """Test F1 on gold tokens of the trainings of a recipe and an encoder, its 95%
    interval, and the seeds; None if there are no such trainings.
    """
    if trained is None:
        return None
    rows = recipes.select(read_rows(recipes.RESULTS), *trained, "gold", "test")
    if not rows:
        return None
    [(low, high)] = [
        entry["interval"]
        for entry in read_rows(recipes.SIGNIFICANCE)
        if recipes.recipe_key(entry) == trained
    ]
    return (
        format_percent([row["entity"]["f1"] for row in rows]),
        f"{100 * low:.1f} to {100 * high:.1f}",
        ", ".join(str(row["seed"]) for row in rows),
    )


def make_block() -> str:
    """All figures of each system, one table per device."""
    paths = [path for path in (RESULTS, GPU_RESULTS) if path.exists()] or [RESULTS]
    return "\n".join(format_results(read_results(path)) for path in paths)


def measure_all(contenders: list[Contender], plan: "MeasurementPlan") -> dict[str, Any]:
    """Measure the systems and the limits, and check the targets."""
    from .measure import measure_systems, speedup
    from .posts import count_words
    from .targets import GPU_TARGETS, check_targets, cost_growth, cpu_targets

    # The weights of all systems with a limit have the shapes of the checkpoint's.
    checkpoints = [c.model for c in contenders if c.system.key == "transformers"]
    has_limits = bool(checkpoints) and plan.gpu < 0
    encoder = read_encoder_shapes(checkpoints[0]) if has_limits else None
    rates: list[Any] = []

    def add_rates() -> None:
        if encoder is not None:
            pythons = dict.fromkeys(contender.python for contender in contenders)
            rates.append(measure_rates(stack_shapes(encoder), pythons, plan.threads))

    systems = measure_systems(contenders, plan, add_rates)
    limits: dict[str, Any] = {}
    if encoder is not None:
        add_rates()
        limits.update(median_limits(encoder, rates))
        operations = operations_of(encoder, checkpoints[0], plan.posts)
        limits["operations_per_word"] = operations / count_words([plan.posts])
    for contender in contenders:
        key, limit = contender.system.key, contender.system.precision
        system = systems[key]
        if limit in limits:
            needed = limits["operations_per_word"] * system["words_per_second"]["test"]
            system["limit"] = limit
            system["share_of_limit"] = needed / limits[limit]["rate"]
        system["growth_of_cost"] = cost_growth(system)
        system["times"] = {
            other: speedup(systems, key, other)
            for other in ("transformers", "spacy-ner", "cnn")
            if other in systems
        }
    targets = GPU_TARGETS if plan.gpu >= 0 else cpu_targets(has_vnni())
    return {
        "rounds": plan.rounds,
        "systems": systems,
        "limits": limits,
        "targets": list(check_targets(targets, systems)),
    }


def operations_of(
    encoder: EncoderShapes, checkpoint: Path, posts: "list[AnnotatedPost]"
) -> int:
    """Operations that an encoder requires for posts, including special tokens and
    without padding.
    """
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encodings = tokenizer.encode_batch([post.text for post in posts])
    return count_operations(encoder, [len(encoding.ids) for encoding in encodings])


def describe_device(plan: "MeasurementPlan") -> dict[str, Any]:
    """The machine, the GPU if it is used, the threads, and the load average."""
    device: dict[str, Any] = {**describe_machine(), "threads": plan.threads}
    if plan.gpu >= 0:
        import torch

        device["name"] = torch.cuda.get_device_name(plan.gpu)
    device["vnni"] = has_vnni()
    device["load_before"] = load_average()
    return device


def round_floats(value: Any) -> Any:
    """Round all floats of JSON data to four significant digits; the rest is noise."""
    if isinstance(value, dict):
        return {key: round_floats(part) for key, part in value.items()}
    if isinstance(value, list):
        return [round_floats(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def format_results(results: dict[str, Any]) -> str:
    """A table of the systems, and a note on the machine and the limits."""
    from .measure import speedup

    systems, limits = results["systems"], results["limits"]
    sizes = [list(system["words_per_second"])[-1] for system in systems.values()]
    longest = f"{int(sizes[0]):,} words" if sizes else "long text"
    header = ["system", "words/s", "times transformers", f"words/s, {longest}"]
    header += ["latency p50 / p95, ms", "start to first entity, s", "peak memory, MB"]
    header += ["install, MB", "test F1", "share of the limit"]
    rows = []
    for key, system in systems.items():
        speed, latency = system["words_per_second"], system["latency_ms"]
        times = speedup(systems, key, "transformers")
        share = system.get("share_of_limit")
        rows.append(
            [
                system["title"],
                f"{speed['test']:,.0f}",
                "" if times is None else f"{times:.2f}",
                f"{list(speed.values())[-1]:,.0f}",
                f"{latency['p50']:.1f} / {latency['p95']:.1f}",
                f"{system['start_to_first_entity_s']:.2f}",
                f"{system['peak_memory_mb']:.0f}",
                f"{system['install_mb']:.0f}",
                f"{100 * system['entity_f1']['test']:.1f}",
                "" if share is None else f"{share:.2f} ({system['limit']})",
            ]
        )
    device = results["device"]
    rates = [
        f"{precision} {limit['rate'] / 1e9:,.0f} ({limit['library']})"
        for precision, limit in limits.items()
        if precision in ("fp32", "int8")
    ]
    note = f"{device['name']}, {device['threads']} threads, {results['rounds']} rounds"
    if rates:
        note += f"; limits, in 10⁹ operations per second: {', '.join(rates)}"
    return f"{format_table(header, rows, left=1)}\n{note}.{remarks(systems)}\n"


def remarks(systems: "SystemResults") -> str:
    """Explain the rows of the systems that don't share the encoder of the others, each
    after a blank; empty if there are none.
    """
    others = [system.key for system in SYSTEMS if not system.shares_encoder]
    return "".join(
        f" *{systems[key]['title']}*: {systems[key]['note']}."
        for key in others
        if key in systems
    )


if __name__ == "__main__":
    run_app(app)
