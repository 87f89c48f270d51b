"""Which value a setting has: of the config, stored, set in Python or overridden."""

import copy

import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.util import load_model_from_init_py
from thinc.api import Config

# For each setting the default and two other values.
VALUES = {
    "threshold": (0.0, 0.5, 0.9),
    "temperature": (1.0, 1.5, 2.25),
    "bias": (0.0, -0.5, 3.0),
    "overwrite": (False, True, True),
    "spans_key": ("wnut", "sc", "entities"),
    "incorrect_spans_key": (None, "wrong", "rejected"),
    "transitions": ("learned", "constrained", "constrained"),
}


def all_values(which):
    return {name: values[which] for name, values in VALUES.items()}


def value_of(nlp, name):
    ner = nlp.get_pipe("ner")
    return getattr(ner, name) if hasattr(ner, name) else ner.cfg[name]


def set_value(nlp, name, value):
    ner = nlp.get_pipe("ner")
    if hasattr(ner, name):
        setattr(ner, name, value)
    else:
        ner.cfg[name] = value


def in_config(path, name):
    return Config().from_disk(path / "config.cfg")["components"]["ner"][name]


def make_old(folder, config):
    """Make a stored pipeline one of an earlier version: what was set in Python isn't
    in config.cfg, and the cfg says nothing of it.
    """
    cfg = srsly.read_json(folder / "ner" / "cfg")
    del cfg["config"]
    srsly.write_json(folder / "ner" / "cfg", cfg)
    stored = Config().from_disk(folder / "config.cfg")
    stored["components"]["ner"].update(config)
    stored.to_disk(folder / "config.cfg")


@pytest.mark.parametrize("is_old", [False, True], ids=["new", "old"])
@pytest.mark.parametrize("config", [0, 1])
@pytest.mark.parametrize("python", [0, 1, 2])
def test_overrides_win_over_what_is_stored(
    make_table_nlp, tmp_path, config, python, is_old
):
    """All settings at once; the numbers say which of their values."""
    folder = tmp_path / "model"
    nlp = make_table_nlp(**all_values(config))
    for name, value in all_values(python).items():
        set_value(nlp, name, value)
    nlp.to_disk(folder)
    for name, value in all_values(python).items():
        assert in_config(folder, name) == value
    if is_old:
        make_old(folder, all_values(config))
    for override in (None, 0, 1, 2):
        given = {} if override is None else all_values(override)
        overrides = {f"components.ner.{name}": value for name, value in given.items()}
        nlp = spacy.load(folder, config=overrides)
        expected = all_values(python) if override is None else given
        for name, value in expected.items():
            if is_old and given.get(name) == VALUES[name][config]:
                # It can't be told from the config itself.
                value = VALUES[name][python]
            assert value_of(nlp, name) == value
            if not is_old:
                assert nlp.config["components"]["ner"][name] == value


def test_what_was_overridden_is_stored(make_table_nlp, tmp_path):
    make_table_nlp().to_disk(tmp_path / "one")
    nlp = spacy.load(tmp_path / "one", config={"components.ner.threshold": 0.5})
    nlp.to_disk(tmp_path / "two")
    assert in_config(tmp_path / "two", "threshold") == 0.5
    assert spacy.load(tmp_path / "two").get_pipe("ner").threshold == 0.5


def test_several_at_once_and_in_either_form(make_table_nlp, tmp_path):
    nlp = make_table_nlp(threshold=0.25)
    nlp.get_pipe("ner").threshold = 0.75
    nlp.get_pipe("ner").bias = 1.0
    nlp.to_disk(tmp_path / "model")
    given = {"threshold": 0.9, "spans_key": "sc", "overwrite": True}
    for config in (
        {f"components.ner.{name}": value for name, value in given.items()},
        {"components": {"ner": given}},
        Config({"components": {"ner": given}}),
    ):
        ner = spacy.load(tmp_path / "model", config=config).get_pipe("ner")
        assert {name: ner.cfg[name] for name in given} == given
        assert ner.bias == 1.0


def test_overrides_of_packages(make_table_nlp, tmp_path):
    nlp = make_table_nlp(threshold=0.25)
    nlp.meta.update(name="table", version="0.1.0")
    package = tmp_path / "xx_table"
    package.mkdir()
    nlp.to_disk(package / "xx_table-0.1.0")
    srsly.write_json(package / "meta.json", nlp.meta)
    init_py = package / "__init__.py"
    init_py.touch()
    config = {"components.ner.threshold": 0.0}
    loaded = load_model_from_init_py(init_py, config=config)
    assert loaded.get_pipe("ner").threshold == 0.0
    assert load_model_from_init_py(init_py).get_pipe("ner").threshold == 0.25


def test_overrides_have_effect(make_table_nlp, tmp_path):
    make_table_nlp().to_disk(tmp_path / "model")
    config = {"components": {"ner": {"threshold": 0.95, "spans_key": "sc"}}}
    doc = spacy.load(tmp_path / "model", config=config)("Ada Lovelace left for Oslo")
    assert [ent.text for ent in doc.ents] == ["Oslo"]
    assert set(doc.spans) == {"sc"}


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_overrides_are_checked(make_table_nlp, tmp_path, value):
    make_table_nlp().to_disk(tmp_path / "model")
    with pytest.raises(ValueError, match=f"threshold has to be .* got {value}"):
        spacy.load(tmp_path / "model", config={"components.ner.threshold": value})


def test_a_config_that_was_edited_holds(make_table_nlp, tmp_path):
    nlp = make_table_nlp(threshold=0.25)
    nlp.get_pipe("ner").threshold = 0.5
    nlp.to_disk(tmp_path)
    path = tmp_path / "config.cfg"
    text = path.read_text()
    assert text.count("threshold = 0.5") == 1
    path.write_text(text.replace("threshold = 0.5", "threshold = 0.75"))
    assert spacy.load(tmp_path).get_pipe("ner").threshold == 0.75


@pytest.mark.parametrize("value", [0.7, 0.3, 1 / 3, 0.1 + 0.2, 1e-9])
def test_numbers_stay_what_they_were(make_table_nlp, tmp_path, value):
    nlp = make_table_nlp()
    nlp.get_pipe("ner").threshold = value
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("ner").threshold == pytest.approx(value, abs=5e-11)
    assert in_config(tmp_path, "threshold") == value
    if value in (0.7, 0.3):
        assert loaded.get_pipe("ner").threshold == value


def test_config_on_disk_differs_in_settings_alone(make_table_nlp, tmp_path):
    nlp = make_table_nlp()
    nlp.to_disk(tmp_path / "one")
    nlp.get_pipe("ner").threshold = 0.5
    nlp.to_disk(tmp_path / "two")
    one, two = [(tmp_path / n / "config.cfg").read_text() for n in ("one", "two")]
    assert two == one.replace("threshold = 0.0", "threshold = 0.5")
    assert two != one


def rename(nlp):
    nlp.rename_pipe("ner", "entities")
    return nlp, "entities"


def source(nlp):
    other = spacy.blank("xx")
    other.add_pipe("ner", name="sourced", source=nlp)
    return other, "sourced"


@pytest.mark.parametrize(
    "change",
    [
        rename,
        source,
        lambda nlp: (copy.deepcopy(nlp), "ner"),
    ],
    ids=["renamed", "sourced", "copied"],
)
def test_what_is_set_in_python_is_stored_by_every_pipeline(
    make_table_nlp, tmp_path, change
):
    nlp = make_table_nlp()
    nlp.get_pipe("ner").threshold = 0.25
    nlp, name = change(nlp)
    nlp.get_pipe(name).bias = 1.0
    nlp.to_disk(tmp_path)
    section = Config().from_disk(tmp_path / "config.cfg")["components"][name]
    assert (section["threshold"], section["bias"]) == (0.25, 1.0)
    loaded = spacy.load(tmp_path, config={f"components.{name}.bias": 0.0})
    assert loaded.get_pipe(name).threshold == 0.25
    assert loaded.get_pipe(name).bias == 0.0


@pytest.mark.parametrize("config, python", [(0.0, 0.5), (0.25, 0.5), (0.25, 0.0)])
def test_bytes_keep_what_was_set_in_python(make_table_nlp, config, python):
    nlp = make_table_nlp(threshold=config)
    nlp.get_pipe("ner").threshold = python
    stored = nlp.to_bytes()
    loaded = spacy.blank("xx", config=nlp.config).from_bytes(stored)
    assert loaded.get_pipe("ner").threshold == python
    changed = nlp.config.copy()
    changed["components"]["ner"]["threshold"] = 0.75
    loaded = spacy.blank("xx", config=changed).from_bytes(stored)
    assert loaded.get_pipe("ner").threshold == 0.75


def test_bytes_are_loaded_into_a_pipe_with_defaults(make_table_nlp):
    nlp = make_table_nlp(threshold=0.25, spans_key="sc", incorrect_spans_key="wrong")
    loaded = make_table_nlp().from_bytes(nlp.to_bytes())
    assert loaded.get_pipe("ner").cfg == nlp.get_pipe("ner").cfg


@pytest.mark.parametrize("road", ["disk", "bytes"])
def test_a_component_alone_takes_all_that_is_stored(make_table_nlp, tmp_path, road):
    ner = make_table_nlp(threshold=0.25, bias=1.0).get_pipe("ner")
    other = make_table_nlp(threshold=0.75).get_pipe("ner")
    if road == "disk":
        ner.to_disk(tmp_path / "ner")
        other.from_disk(tmp_path / "ner")
    else:
        other.from_bytes(ner.to_bytes())
    assert other.cfg == ner.cfg


def test_a_component_alone_leaves_files_beside_it_alone(make_table_nlp, tmp_path):
    nlp = make_table_nlp()
    nlp.to_disk(tmp_path)
    before = (tmp_path / "config.cfg").read_text()
    nlp.get_pipe("ner").threshold = 0.5
    nlp.get_pipe("ner").to_disk(tmp_path / "ner")
    assert (tmp_path / "config.cfg").read_text() == before
    assert spacy.load(tmp_path).get_pipe("ner").threshold == 0.5


def test_a_pipeline_may_be_stored_without_its_config(make_table_nlp, tmp_path):
    nlp = make_table_nlp()
    nlp.get_pipe("ner").threshold = 0.5
    nlp.to_disk(tmp_path, exclude=["config"])
    assert not (tmp_path / "config.cfg").exists()
    loaded = make_table_nlp().from_disk(tmp_path)
    assert loaded.get_pipe("ner").threshold == 0.5


def test_loading_again_restores_what_is_stored(make_table_nlp, tmp_path):
    nlp = make_table_nlp()
    nlp.get_pipe("ner").threshold = 0.5
    nlp.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    nlp.get_pipe("ner").threshold = 0.75
    nlp.from_disk(tmp_path)
    assert nlp.get_pipe("ner").threshold == 0.5


def test_the_components_of_others_are_not_touched(make_table_nlp, tmp_path):
    """A component of another factory may have a folder of the same name."""
    nlp = make_table_nlp()
    ner = nlp.get_pipe("ner")
    other = Language()
    other.add_pipe("entity_ruler", name="ner")
    other.to_disk(tmp_path)
    before = (tmp_path / "config.cfg").read_text()
    ner.threshold = 0.5
    ner.to_disk(tmp_path / "ner", exclude=["vocab"])
    assert (tmp_path / "config.cfg").read_text() == before
