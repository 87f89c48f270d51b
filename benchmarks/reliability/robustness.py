"""Run bad inputs through a pipeline, and kill and resume `annotate`.

    python -m benchmarks.reliability.robustness run MODEL
    python -m benchmarks.reliability.robustness kill MODEL
    python -m benchmarks.reliability.robustness table

`run` writes benchmarks/results/reliability.json: for each kind of text the number of
texts, of exceptions, of docs with invalid entities, and of docs lost in batches. `kill`
writes benchmarks/results/killed.json: posts in and out of `spacy-wnut annotate`, killed
and resumed repeatedly. `table` writes both, and the results of
`python -m benchmarks.reliability.soak`, into docs/reliability.md.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm import tqdm  # type: ignore[import-untyped]

from benchmarks.common.pages import format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, write_results
from benchmarks.common.sample import SAMPLE, write_posts
from spacy_wnut.errors import WnutError

from .soak import RESULTS as SOAK

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

RESULTS = FOLDER / "reliability.json"
KILLED = FOLDER / "killed.json"
PAGE = ROOT / "docs" / "reliability.md"
COMMAND = "python -m benchmarks.reliability.robustness"
SOAK_COMMAND = "python -m benchmarks.reliability.soak"
BLOCK = f"figures: {COMMAND} table"

app = make_app(__doc__)

# Code points of random texts, as inclusive ranges without surrogates.
CODE_POINTS = [(0x20, 0x7E), (0x0, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]
SPECIMENS = {
    "empty or white space": ["", " ", "\n\n\t ", "\u00a0\u3000", "\u2028\u2029", "\r"],
    "control and format characters": ["\x00", "a\x00b", "\x1b[31mOslo", "\ufeffOslo"],
    "invisible": ["\u200b", "\u200d\u200d", "\u2060", "\U000e0041\U000e0042"],
    "emoji": ["😀" * 500, "👩‍👩‍👧‍👦 in Oslo 🇳🇴", "❤️‍🔥" * 50, "#️⃣ @😀"],
    "right to left": ["\u202eolsO ni\u202c", "مرحبا Oslo بالعالم", "שלום Oslo"],
    "marks on marks": ["Z" + "\u0301" * 1000, "a\u0301\u0302 Oslo ﷽", "\u0301"],
    "no spaces": ["東京都に住んでいる" * 50, "สวัสดีชาวโลก" * 50],
    "words without end": ["a" * 20_000, "!?" * 5_000, "https://x.io/" + "a/" * 5_000],
    "texts without end": ["in Oslo " * 10_000, "@a #b " * 5_000],
    "markup and code": ["<script>alert(1)</script>", "'; DROP TABLE x; --", "{{7*7}}"],
    "half of a character": ["\ufffd" * 20, b"\xf0\x9f\x98".decode("utf8", "replace")],
    "no characters of Unicode": ["\uffff\ufffe", "\U0010ffff", "\ufdd0"],
}


def bad_inputs(n_random: int) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each input: SPECIMENS, then random texts."""
    for kind, texts in SPECIMENS.items():
        for text in texts:
            yield kind, text
    draw = random.Random(0)
    for _ in range(n_random):
        ranges = draw.choices(CODE_POINTS, weights=[4, 2, 1, 1], k=draw.randint(1, 80))
        yield "random Unicode", "".join(chr(draw.randint(*bounds)) for bounds in ranges)


def find_fault(doc: "Doc", text: str, labels: set[str]) -> str | None:
    """The first fault of an annotated doc, None if there is none."""
    if doc.text != text:
        return "the text was changed"
    end = 0
    for ent in doc.ents:
        if not end <= ent.start < ent.end <= len(doc):
            return "entities overlap or are out of bounds"
        if ent.label_ not in labels or not 0 < ent._.confidence <= 1:
            return "an unknown label or a confidence outside of (0, 1]"
        end = ent.end
    return None


def run_inputs(nlp: "Language", n_random: int) -> dict[str, dict[str, Any]]:
    """Run the bad inputs one at a time and then in batches.

    RETURNS (Dict[str, Dict[str, Any]]): For each kind the number of `texts`, of
        `errors` (exceptions), of `faults` in docs, and of docs `lost` in batches;
        `said` has the messages of errors and faults.
    """
    labels = set(nlp.get_pipe("ner").labels)  # type: ignore[attr-defined]
    inputs = list(bad_inputs(n_random))
    kinds: dict[str, dict[str, Any]] = {}
    for kind, text in tqdm(inputs, unit="text", mininterval=5):
        counts = kinds.setdefault(
            kind, {"texts": 0, "errors": 0, "faults": 0, "lost": 0, "said": []}
        )
        counts["texts"] += 1
        try:
            fault = find_fault(nlp(text), text, labels)
        # No exception is expected, so each is counted.
        except Exception as err:
            counts["errors"] += 1
            counts["said"].append(f"{type(err).__name__}: {err}"[:200])
        else:
            counts["faults"] += fault is not None
            counts["said"] += [fault] if fault else []
    # Docs come in the order of the texts: texts that are skipped were lost.
    waiting = iter(inputs)
    for doc in nlp.pipe((text for _, text in inputs), batch_size=64):
        for kind, text in waiting:
            if text == doc.text:
                break
            kinds[kind]["lost"] += 1
    for kind, _ in waiting:
        kinds[kind]["lost"] += 1
    return kinds


@app.command()
def run(
    model: Annotated[
        str, typer.Argument(help="Name of an installed pipeline, or its folder")
    ],
    n_random: Annotated[int, typer.Option(help="Number of random texts")] = 5_000,
    out: Annotated[Path, typer.Option(help="JSON file to write")] = RESULTS,
) -> None:
    """Run bad inputs through a pipeline."""
    import spacy

    kinds = run_inputs(spacy.load(model), n_random)
    write_results(out, {"model": Path(model).name, "kinds": kinds})
    print(f"{sum(counts['texts'] for counts in kinds.values()):,} texts")
    bad = {kind: row for kind, row in kinds.items() if row["said"] or row["lost"]}
    if bad:
        raise WnutError(f"some inputs failed:\n{json.dumps(bad, indent=1)}")


@app.command()
def kill(
    model: Annotated[
        str, typer.Argument(help="Name of an installed pipeline, or its folder")
    ],
    count: Annotated[int, typer.Option(help="Number of posts")] = 20_000,
    n_kills: Annotated[int, typer.Option(help="Number of runs to kill")] = 10,
    out: Annotated[Path, typer.Option(help="JSON file to write")] = KILLED,
) -> None:
    """Kill `annotate` with SIGKILL at random times, and continue with --resume."""
    with tempfile.TemporaryDirectory() as folder:
        posts = Path(folder) / "posts.jsonl"
        write_posts(posts, SAMPLE, count)
        complete, killed = (
            Path(folder) / "complete.jsonl",
            Path(folder) / "killed.jsonl",
        )
        began = time.perf_counter()
        subprocess.run(annotate_command(model, posts, complete), check=True)
        seconds = time.perf_counter() - began
        draw = random.Random(0)
        resume: list[str] = []
        done = 0
        for _ in range(n_kills):
            command = [*annotate_command(model, posts, killed), *resume]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
                try:
                    process.wait(seconds * draw.uniform(0.05, 0.3))
                except subprocess.TimeoutExpired:
                    process.kill()
                    done += 1
            resume = ["--resume"]
        if not killed.exists():
            last = [*annotate_command(model, posts, killed), *resume]
            subprocess.run(last, check=True)
        ids = Counter(json.loads(line)["id"] for line in killed.open(encoding="utf8"))
        results = {
            "model": Path(model).name,
            "posts": count,
            "killed": done,
            "lost": sum(i not in ids for i in range(count)),
            "twice": sum(n > 1 for n in ids.values()),
            "same_bytes": killed.read_bytes() == complete.read_bytes(),
        }
    write_results(out, results)
    print(json.dumps(results))


def annotate_command(model: str, posts: Path, out: Path) -> list[str]:
    """Command line of `annotate`."""
    command = [sys.executable, "-m", "spacy_wnut", "annotate"]
    # Small chunks, so that a killed run has finished some.
    return [*command, model, str(posts), str(out), "--chunk-size", "200"]


@app.command()
def table() -> None:
    """Write the table in docs/reliability.md."""
    write_block(BLOCK, make_block(), PAGE)


def make_block() -> str:
    """The table and its notes, from the results that exist."""
    rows = []
    notes = []
    if RESULTS.exists():
        for kind, counts in read_results(RESULTS)["kinds"].items():
            numbers = [
                f"{counts[key]:,}" for key in ("texts", "errors", "faults", "lost")
            ]
            rows.append([kind, f"`{COMMAND} run`", *numbers])
    if SOAK.exists():
        for run in read_results(SOAK)["runs"]:
            plural = "es" if run["n_process"] > 1 else ""
            name = f"posts, {run['n_process']} process{plural}"
            lost = run["posts_in"] - run["posts_out"]
            numbers = [f"{run['posts_in']:,}", "0", "0", f"{lost:,}"]
            rows.append([name, f"`{SOAK_COMMAND}`", *numbers])
            notes.append(
                f"Memory of {name}: {run['mib_after_first_tenth']:,.0f} MiB after the "
                f"first tenth, {run['mib_at_the_end']:,.0f} at the end "
                f"({run['growth']:+.1%}), {run['posts_a_second']:,.0f} posts per second."
            )
    if KILLED.exists():
        result = read_results(KILLED)
        name = f"posts, killed {result['killed']} times"
        numbers = [f"{result['posts']:,}", "0", f"{result['twice']:,}"]
        numbers.append(f"{result['lost']:,}")
        rows.append([name, f"`{COMMAND} kill`", *numbers])
        outcome = (
            "the same output as" if result["same_bytes"] else "another output than"
        )
        notes.append(
            f"`spacy-wnut annotate`, killed with SIGKILL {result['killed']} times and "
            f"resumed, wrote {outcome} an uninterrupted run."
        )
    header = ["input", "command", "texts", "errors", "faults", "lost"]
    text = format_table(header, rows, left=2)
    return text + "".join(f"\n{note}\n" for note in notes)


if __name__ == "__main__":
    run_app(app)
