"""CI fails on known vulnerabilities, and only there."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(*vulns, skipped=0):
    row = {"name": "pkg", "version": "1.0", "vulns": list(vulns)}
    reason = {"name": "other", "skip_reason": "not found"}
    return {"dependencies": [row, *[reason] * skipped]}


FOUND = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "fix_versions": ["1.1"],
    "description": "Bad.",
}


def test_nothing_found(audit):
    lines, may_go_on = audit.judge(report(skipped=2), {})
    assert may_go_on
    assert lines == ["pip-audit: looked up 1 of 3 packages"]


def test_a_new_one_stops_ci_and_says_what_fixes_it(audit):
    lines, may_go_on = audit.judge(report(FOUND), {"CVE-2026-2": "another"})
    assert not may_go_on
    assert lines[1] == "pkg 1.0: PYSEC-2026-1, fixed by 1.1. Bad."


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-1"])
def test_one_that_is_listed_does_not(audit, name):
    lines, may_go_on = audit.judge(report(FOUND), {name: "the pin"})
    assert may_go_on
    assert lines[1] == "pkg 1.0: PYSEC-2026-1, known: the pin"


def test_no_service_is_said_and_is_not_taken_for_no_vulnerability(audit):
    nothing = {"dependencies": [{"name": "other", "skip_reason": "not found"}]}
    lines, may_go_on = audit.judge(nothing, {})
    assert may_go_on
    assert "NOT DONE" in lines[0]


def test_every_listed_one_has_a_reason(audit, tmp_path):
    assert all(audit.read_known(audit.KNOWN).values())
    (tmp_path / "known.txt").write_text("# head\nCVE-2026-1\n")
    with pytest.raises(SystemExit, match="CVE-2026-1 has no reason"):
        audit.read_known(tmp_path / "known.txt")
