"""Measure the share of mutants that tests kill.

    python -m benchmarks.reliability.mutants run
    python -m benchmarks.reliability.mutants table

A mutant is the code with one small change. It is killed if a test fails or exceeds its
time. `run` runs mutmut, with its settings in pyproject.toml, and writes
benchmarks/results/mutants.json: the numbers of mutants, and the change of each one that
survived. Reasons are written into this file by hand; `run` keeps those of changes that
survive again. `table` writes the numbers into docs/reliability.md.
"""

import ast
import difflib
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from wasabi import msg

from benchmarks.common.pages import format_table, write_block
from benchmarks.common.program import make_app, run_app
from benchmarks.common.results import RESULTS as FOLDER
from benchmarks.common.results import ROOT, read_results, read_rows, write_results
from spacy_wnut.errors import WnutError

RESULTS = FOLDER / "mutants.json"
PAGE = ROOT / "docs" / "reliability.md"
COMMAND = "python -m benchmarks.reliability.mutants"
BLOCK = f"mutants: {COMMAND} table"
# Areas, and the start of the paths of their files.
AREAS = {
    "linear chain": "spacy_wnut/crf/",
    "journal of `annotate`": "spacy_wnut/bulk/journal.py",
    "readers": "",
}
# Exit codes of pytest, and those of mutmut: no test runs the function; not run.
SURVIVED, NOT_RUN = (0, 5, 33), (None, 2, 34)
MARK = " # type: ignore # mutmut generated"

app = make_app(__doc__)


def read_mutants(folder: Path) -> list[dict[str, Any]]:
    """Read the folder of mutmut.

    folder (Path): The folder.
    RETURNS (List[Dict[str, Any]]): One result per area, as in the file of results,
        without reasons.

    Raises WnutError if the folder is missing, or if not all mutants were run.
    """
    results = {
        area: {"area": area, "mutants": 0, "killed": 0, "survivors": []}
        for area in AREAS
    }
    found = sorted(folder.rglob("*.meta"))
    if not found:
        raise WnutError(f"{folder} has no results of mutmut")
    for meta in found:
        file = meta.relative_to(folder).with_suffix("").as_posix()
        area = next(area for area, start in AREAS.items() if file.startswith(start))
        result: Any = results[area]
        codes = json.loads(meta.read_text(encoding="utf8"))["exit_code_by_key"]
        if not_run := [name for name, code in codes.items() if code in NOT_RUN]:
            raise WnutError(f"mutmut did not run {not_run[0]}: start it again")
        survived = [
            name.rpartition(".")[2] for name, code in codes.items() if code in SURVIVED
        ]
        result["mutants"] += len(codes)
        result["killed"] += len(codes) - len(survived)
        source = meta.with_suffix("").read_text(encoding="utf8")
        result["survivors"] += [
            {"file": file, "function": function, "change": change}
            for function, change in find_changes(source, survived)
        ]
    return list(results.values())


def find_changes(source: str, mutants: list[str]) -> list[tuple[str, list[str]]]:
    """Find the changes of mutants.

    source (str): A file of mutmut: each mutant is a function next to the original.
    mutants (List[str]): The names of the functions.
    RETURNS (List[Tuple[str, List[str]]]): For each mutant, the name of the function and
        the changed lines: those of the original start with "-", the others with "+".
    """
    lines = source.splitlines()
    functions = {
        node.name: [
            line.removesuffix(MARK).replace(node.name, _name_of(node.name))
            for line in lines[node.lineno - 1 : node.end_lineno]
        ]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }
    changes = []
    for mutant in mutants:
        original = f"{mutant.rpartition('__mutmut_')[0]}__mutmut_orig"
        diff = difflib.unified_diff(functions[original], functions[mutant], n=0)
        # Without the header and the line numbers.
        change = [line[0] + line[1:].strip() for line in diff if line[0] != "@"][2:]
        changes.append((_name_of(mutant), change))
    return changes


def _name_of(mutant: str) -> str:
    """Return the name of a mutant's function: name of x_name__mutmut_1, Class.name of
    xǁClassǁname__mutmut_1.
    """
    function = mutant.rpartition("__mutmut_")[0][1:]
    return function.removeprefix("_").removeprefix("ǁ").replace("ǁ", ".")


def keep_reasons(areas: list[dict[str, Any]], old: list[dict[str, Any]]) -> int:
    """Add the reasons of an earlier result, and "" to changes that have none.

    RETURNS (int): The number of changes without a reason.
    """
    reasons = {_key(one): one["reason"] for area in old for one in area["survivors"]}
    survivors = [one for area in areas for one in area["survivors"]]
    for one in survivors:
        one["reason"] = reasons.get(_key(one), "")
    return sum(not one["reason"] for one in survivors)


def _key(survivor: dict[str, Any]) -> tuple[str, str, str]:
    return survivor["file"], survivor["function"], "\n".join(survivor["change"])


@app.command("run")
def run_command() -> None:
    """Run mutmut from the start and write benchmarks/results/mutants.json."""
    if shutil.which("mutmut") is None:
        raise WnutError("mutmut isn't installed, see CONTRIBUTING.md")
    # mutmut would keep results of earlier tests.
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    if subprocess.run(["mutmut", "run"], cwd=ROOT).returncode:
        raise WnutError("mutmut failed, see its messages")
    areas = read_mutants(ROOT / "mutants")
    missing = keep_reasons(areas, read_rows(RESULTS))
    write_results(RESULTS, areas)
    if missing:
        msg.warn(f"{missing} survivors have no reason in {RESULTS}")


@app.command("table")
def table_command() -> None:
    """Write the table into docs/reliability.md."""
    write_block(BLOCK, make_block(read_results(RESULTS)), PAGE)


def make_block(areas: list[dict[str, Any]]) -> str:
    """The table of the areas, and that of the reasons, without the text after a colon."""
    rows = [
        [
            area["area"],
            f"{area['mutants']:,}",
            f"{area['killed']:,}",
            f"{area['killed'] / area['mutants']:.1%}",
        ]
        for area in areas
    ]
    text = format_table(["area", "mutants", "killed", "share"], rows, left=1)
    reasons = Counter(
        one["reason"].partition(":")[0] for area in areas for one in area["survivors"]
    )
    counts = [[reason, f"{count:,}"] for reason, count in reasons.most_common()]
    return f"{text}\n{format_table(['reason of survival', 'mutants'], counts, left=1)}"


if __name__ == "__main__":
    run_app(app)
