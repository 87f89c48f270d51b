"""Bad inputs through a pipeline, runs that are killed, and docs/reliability.md's figures.

    python benchmarks/reliability.py run MODEL
    python benchmarks/reliability.py kill MODEL
    python benchmarks/reliability.py table

`run` writes benchmarks/results/reliability.json: how many texts of each kind went in,
how many raised an error, came back with entities that can't be, or were lost. `kill`
writes benchmarks/results/killed.json: posts in and out of `spacy-wnut annotate`, killed
and resumed again and again. `table` writes the figures of both and of
benchmarks/results/soak.json into the page.
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
from typing import Annotated, Any

import spacy
import typer
from annotate import SAMPLE, write_posts
from readme import write_block
from spacy.language import Language
from spacy.tokens import Doc
from tqdm import tqdm

from spacy_wnut.files import replacing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "reliability.md"

app = typer.Typer(pretty_exceptions_enable=False)

# What a character of a random text is drawn from: surrogates are no text.
PLANES = [(0x20, 0x7E), (0x0, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]
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
    """Kinds and texts."""
    for kind, texts in SPECIMENS.items():
        for text in texts:
            yield kind, text
    draw = random.Random(0)
    for _ in range(n_random):
        planes = draw.choices(PLANES, weights=[4, 2, 1, 1], k=draw.randint(1, 80))
        yield "random Unicode", "".join(chr(draw.randint(*plane)) for plane in planes)


def fault_of(doc: Doc, text: str, labels: set[str]) -> str | None:
    """What is wrong with an annotated doc."""
    if doc.text != text:
        return "its text was changed"
    end = 0
    for ent in doc.ents:
        if not end <= ent.start < ent.end <= len(doc):
            return "entities overlap or lie outside"
        if ent.label_ not in labels or not 0 < ent._.confidence <= 1:
            return "a label or confidence that can't be"
        end = ent.end
    return None


def run_all(nlp: Language, n_random: int) -> dict[str, dict[str, Any]]:
    """Run the bad inputs one by one and then together.

    RETURNS (Dict[str, Dict[str, Any]]): For each kind the texts that went in, the
        errors, the faults in what came back, and how many were lost in batches.
    """
    labels = set(nlp.get_pipe("ner").labels)
    inputs = list(bad_inputs(n_random))
    kinds: dict[str, dict[str, Any]] = {}
    for kind, text in tqdm(inputs, unit="text", mininterval=5):
        row = kinds.setdefault(
            kind, {"texts": 0, "errors": 0, "faults": 0, "lost": 0, "said": []}
        )
        row["texts"] += 1
        try:
            fault = fault_of(nlp(text), text, labels)
        # Any is one too many, and is counted.
        except Exception as err:
            row["errors"] += 1
            row["said"].append(f"{type(err).__name__}: {err}"[:200])
        else:
            row["faults"] += fault is not None
            row["said"] += [fault] if fault else []
    # In order: one that is lost would have all after it be taken for another.
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
    n_random: Annotated[int, typer.Option(help="Random texts")] = 5_000,
    out: Annotated[Path, typer.Option(help="The JSON to write")] = RESULTS
    / "reliability.json",
) -> None:
    """Run bad inputs through a pipeline."""
    kinds = run_all(spacy.load(model), n_random)
    results = {"model": Path(model).name, "kinds": kinds}
    with replacing(out) as beside:
        beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")
    bad = {kind: row for kind, row in kinds.items() if row["said"] or row["lost"]}
    print(f"{sum(row['texts'] for row in kinds.values()):,} texts")
    if bad:
        raise SystemExit(json.dumps(bad, indent=1))


@app.command()
def kill(
    model: Annotated[
        str, typer.Argument(help="Name of an installed pipeline, or its folder")
    ],
    count: Annotated[int, typer.Option(help="Posts")] = 20_000,
    n_kills: Annotated[int, typer.Option(help="How often it is killed")] = 10,
    out: Annotated[Path, typer.Option(help="The JSON to write")] = RESULTS
    / "killed.json",
) -> None:
    """Kill `annotate` with SIGKILL at random times, and go on with --resume."""
    with tempfile.TemporaryDirectory() as folder:
        posts = Path(folder) / "posts.jsonl"
        write_posts(posts, SAMPLE, count)
        whole, killed = Path(folder) / "whole.jsonl", Path(folder) / "killed.jsonl"
        began = time.perf_counter()
        subprocess.run(annotate_command(model, posts, whole), check=True)
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
            "same_bytes": killed.read_bytes() == whole.read_bytes(),
        }
    with replacing(out) as beside:
        beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")
    print(json.dumps(results))


def annotate_command(model: str, posts: Path, out: Path) -> list[str]:
    command = [sys.executable, "-m", "spacy_wnut", "annotate"]
    # Small chunks: most that is done by the time of a kill is kept.
    return [*command, model, str(posts), str(out), "--chunk-size", "200"]


@app.command()
def table() -> None:
    """Write the page's figures."""
    write_block("figures: benchmarks/reliability.py table", make_figures(), PAGE)


def make_figures() -> str:
    """The figures of the results that there are."""
    lines = [
        "| what | texts | errors | faults | lost | command |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    notes = []
    reliability, soak = RESULTS / "reliability.json", RESULTS / "soak.json"
    if reliability.exists():
        for kind, row in json.loads(reliability.read_text())["kinds"].items():
            numbers = " | ".join(
                f"{row[key]:,}" for key in ("texts", "errors", "faults", "lost")
            )
            lines.append(f"| {kind} | {numbers} | `benchmarks/reliability.py run` |")
    if soak.exists():
        for row in json.loads(soak.read_text())["runs"]:
            name = (
                f"posts, {row['n_process']} process{'es'[: 2 * (row['n_process'] > 1)]}"
            )
            lost = row["posts_in"] - row["posts_out"]
            lines.append(
                f"| {name} | {row['posts_in']:,} | 0 | 0 | {lost:,} | "
                "`benchmarks/soak.py` |"
            )
            notes.append(
                f"Memory of {name}: {row['mib_after_first_tenth']:,.0f} MiB after the first "
                f"tenth, {row['mib_at_the_end']:,.0f} at the end "
                f"({row['growth']:+.1%}), {row['posts_a_second']:,.0f} posts a second."
            )
    killed = RESULTS / "killed.json"
    if killed.exists():
        row = json.loads(killed.read_text())
        lines.append(
            f"| posts, killed {row['killed']} times | {row['posts']:,} | 0 | "
            f"{row['twice']:,} | {row['lost']:,} | `benchmarks/reliability.py kill` |"
        )
        bytes_ = "the same bytes as" if row["same_bytes"] else "other bytes than"
        notes.append(
            f"`spacy-wnut annotate`, killed with SIGKILL {row['killed']} times and "
            f"resumed, wrote {bytes_} a run that nothing disturbed."
        )
    figures = "\n".join(lines) + "\n"
    return figures + "".join(f"\n{note}\n" for note in notes)


if __name__ == "__main__":
    app()
