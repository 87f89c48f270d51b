"""Tight pins kept people from installing anything else beside (spacy-transformers,
issue 417).
"""

from importlib.metadata import requires

from packaging.requirements import Requirement

# What has broken us, or must: spaCy 4 has another thinc, datasets 5.2 another hub.
BOUNDED = {"spacy", "datasets"}


def test_only_what_breaks_has_an_upper_bound():
    requirements = [Requirement(line) for line in requires("spacy-wnut")]
    assert {requirement.name for requirement in requirements} >= BOUNDED
    for requirement in requirements:
        operators = {specifier.operator for specifier in requirement.specifier}
        allowed = {">=", "<"} if requirement.name in BOUNDED else {">="}
        assert operators <= allowed, requirement
