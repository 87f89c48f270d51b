from importlib import metadata

import pytest
import spacy
from spacy.language import Language

INSTALLED = [
    (point.group, point.name, point.value)
    for point in metadata.distribution("spacy-wnut").entry_points
]

# Where spaCy and thinc look for what each group holds.
REGISTRIES = {
    "spacy_architectures": spacy.registry.architectures,
    "spacy_scorers": spacy.registry.scorers,
    "spacy_callbacks": spacy.registry.callbacks,
    "spacy_augmenters": spacy.registry.augmenters,
    "spacy_loggers": spacy.registry.loggers,
    "spacy_displacy_colors": spacy.registry.displacy_colors,
    "spacy_misc": spacy.registry.misc,
    "spacy_tokenizers": spacy.registry.tokenizers,
    "spacy_readers": spacy.registry.readers,
    "thinc_layers": spacy.registry.layers,
}
REGISTERED = [(g, name) for g, name, _ in INSTALLED if g in REGISTRIES]
FACTORIES = [name for group, name, _ in INSTALLED if group == "spacy_factories"]


def test_installed_entry_points_are_those_of_pyproject(pyproject):
    project = pyproject["project"]
    groups = {**project["entry-points"], "console_scripts": project["scripts"]}
    declared = {
        (group, name, value)
        for group, points in groups.items()
        for name, value in points.items()
    }
    assert set(INSTALLED) == declared, "pyproject.toml changed: pip install -e . again"


@pytest.mark.parametrize("group, name, value", INSTALLED)
def test_every_entry_point_resolves(group, name, value):
    assert callable(metadata.EntryPoint(name, value, group).load())


def test_groups_are_those_that_are_read():
    for group, registry in REGISTRIES.items():
        assert registry.entry_point_namespace == group
    assert spacy.registry._entry_point_factories.entry_point_namespace == (
        "spacy_factories"
    )
    groups = {group for group, _, _ in INSTALLED}
    assert groups <= {"console_scripts", "spacy_factories", *REGISTRIES}


@pytest.mark.parametrize("group, name", REGISTERED)
def test_every_registered_name_is_found_by_its_registry(group, name):
    found = REGISTRIES[group].get(name)
    value = {(g, n): value for g, n, value in INSTALLED}[group, name]
    assert f"{found.__module__}:{found.__name__}" == value
    # Names can be changed in a later version without breaking old pipelines.
    assert name.startswith("spacy-wnut.") and name.rpartition(".v")[2].isdigit()


@pytest.mark.parametrize("name", FACTORIES)
def test_every_factory_is_known_to_a_blank_pipeline(name):
    nlp = spacy.blank("en")
    assert nlp.has_factory(name)
    assert nlp.get_factory_meta(name).factory == name
    # A config names functions, and each of them is registered.
    assert Language.get_factory_meta(name).default_config


def test_something_of_every_kind_is_declared():
    assert "entity_tagger" in FACTORIES
    assert ("spacy_architectures", "spacy-wnut.TransformerTagger.v1") in REGISTERED
    assert ("spacy_scorers", "spacy-wnut.scorer.v1") in REGISTERED
    assert ("thinc_layers", "spacy-wnut.reduce_first.v1") in REGISTERED
