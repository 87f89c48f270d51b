"""Tight pins kept people from installing anything else beside (spacy-transformers,
issue 417). Versions that are stated twice agree.
"""

import re
from importlib.metadata import requires

import pytest
import srsly
from packaging.requirements import Requirement

from spacy_wnut import __version__

# Upper bounds of these only: spaCy 4 has another thinc, and the newest releases of the
# others do not fit spacy-transformers, where pip would try dozens of older ones.
BOUNDED = {"spacy", "datasets", "huggingface-hub", "tokenizers", "transformers"}


def test_only_what_breaks_has_an_upper_bound():
    requirements = [Requirement(line) for line in requires("spacy-wnut")]
    assert {requirement.name for requirement in requirements} >= BOUNDED
    for requirement in requirements:
        operators = {specifier.operator for specifier in requirement.specifier}
        allowed = {">=", "<"} if requirement.name in BOUNDED else {">="}
        assert operators <= allowed, requirement
        if requirement.name != "spacy-wnut":
            assert ">=" in operators, requirement


@pytest.fixture
def pinned(root):
    """Versions of requirements.txt by the names of the packages."""
    lines = (root / "requirements.txt").read_text(encoding="utf8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_hooks_run_the_pinned_linters(root, pinned):
    repos = srsly.read_yaml(root / ".pre-commit-config.yaml")["repos"]
    revisions = {repo["repo"].rpartition("/")[2]: repo.get("rev") for repo in repos}
    # The local hook is mypy of the environment, where requirements.txt pins it.
    assert revisions == {"ruff-pre-commit": f"v{pinned['ruff']}", "local": None}
    [local] = [repo for repo in repos if repo["repo"] == "local"]
    assert [hook["entry"] for hook in local["hooks"]] == ["mypy"]
    assert "mypy" in pinned


def test_citation_has_the_version(root):
    text = (root / "CITATION.cff").read_text(encoding="utf8")
    assert re.findall(r"^version: (.+)$", text, re.MULTILINE) == [__version__]
