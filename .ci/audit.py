"""Check the installed packages for known vulnerabilities, with pip-audit.

    python .ci/audit.py

It fails on any vulnerability that is not in .ci/known-vulnerabilities.txt with a reason.
If no advisory service answers, it reports this and does not fail, because this is not a
fault of the project.
"""

import json
import subprocess
import sys
from pathlib import Path

KNOWN = Path(__file__).with_name("known-vulnerabilities.txt")


def read_known(path: Path) -> dict[str, str]:
    """Read the accepted ids and the reason for each."""
    known = {}
    for line in path.read_text(encoding="utf8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            if not reason.strip():
                raise SystemExit(f"{path}: {name} has no reason")
            known[name] = reason.strip()
    return known


def judge(report: dict, known: dict[str, str]) -> tuple[list[str], bool]:
    """Return the lines to print for pip-audit's report, and whether CI may continue."""
    looked_up = [row for row in report["dependencies"] if "skip_reason" not in row]
    total = len(report["dependencies"])
    if not looked_up:
        return [f"pip-audit: NOT DONE, no service knew any of {total} packages"], True
    lines = [f"pip-audit: looked up {len(looked_up)} of {total} packages"]
    may_go_on = True
    for row in looked_up:
        for found in row["vulns"]:
            name = f"{row['name']} {row['version']}: {found['id']}"
            listed = {found["id"], *found.get("aliases", [])} & known.keys()
            if listed:
                lines.append(f"{name}, known: {known[min(listed)]}")
            else:
                may_go_on = False
                fixed = ", ".join(found.get("fix_versions", [])) or "nothing yet"
                lines.append(f"{name}, fixed by {fixed}. {found['description']}")
    return lines, may_go_on


def main() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--format", "json"),
            *("--progress-spinner", "off", "--skip-editable", "--aliases", "on"),
        ],
        capture_output=True,
        text=True,
    )
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        reason = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        print(f"pip-audit: NOT DONE, no service answered ({reason[0][:200]})")
        return
    lines, may_go_on = judge(report, read_known(KNOWN))
    print("\n".join(lines))
    if not may_go_on:
        raise SystemExit(f"pip-audit: update, or list it in {KNOWN.name} with a reason")


if __name__ == "__main__":
    main()
