"""Settings: the values allowed, and which value holds of those in the config, stored,
set in Python and overridden.
"""

import copy
import math

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
    """Change a stored pipeline to the format of earlier versions: settings made in
    Python are not in config.cfg, and cfg has no copy of the config.
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
    """All settings at once. The numbers are indices of VALUES."""
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
                # It cannot be distinguished from the stored config.
                value = VALUES[name][python]
            assert value_of(nlp, name) == value
            if not is_old:
                assert nlp.config["components"]["ner"][name] == value


def test_overrides_are_stored(make_table_nlp, tmp_path):
    make_table_nlp().to_disk(tmp_path / "one")
    nlp = spacy.load(tmp_path / "one", config={"components.ner.threshold": 0.5})
    nlp.to_disk(tmp_path / "two")
    assert in_config(tmp_path / "two", "threshold") == 0.5
    assert spacy.load(tmp_path / "two").get_pipe("ner").threshold == 0.5


def test_several_overrides_in_each_format(make_table_nlp, tmp_path):
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


def test_overrides_on_loading_a_package(make_table_nlp, tmp_path):
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


def test_overrides_take_effect(make_table_nlp, tmp_path):
    make_table_nlp().to_disk(tmp_path / "model")
    config = {"components": {"ner": {"threshold": 0.95, "spans_key": "sc"}}}
    doc = spacy.load(tmp_path / "model", config=config)("Ada Lovelace left for Oslo")
    assert [ent.text for ent in doc.ents] == ["Oslo"]
    assert set(doc.spans) == {"sc"}


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_invalid_overrides_are_refused(make_table_nlp, tmp_path, value):
    make_table_nlp().to_disk(tmp_path / "model")
    with pytest.raises(ValueError, match=f"threshold has to be .* got {value}"):
        spacy.load(tmp_path / "model", config={"components.ner.threshold": value})


def test_edited_config_takes_effect(make_table_nlp, tmp_path):
    nlp = make_table_nlp(threshold=0.25)
    nlp.get_pipe("ner").threshold = 0.5
    nlp.to_disk(tmp_path)
    path = tmp_path / "config.cfg"
    text = path.read_text()
    assert text.count("threshold = 0.5") == 1
    path.write_text(text.replace("threshold = 0.5", "threshold = 0.75"))
    assert spacy.load(tmp_path).get_pipe("ner").threshold == 0.75


@pytest.mark.parametrize("value", [0.7, 0.3, 1 / 3, 0.1 + 0.2, 1e-9])
def test_stored_numbers_are_exact(make_table_nlp, tmp_path, value):
    nlp = make_table_nlp()
    nlp.get_pipe("ner").threshold = value
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("ner").threshold == pytest.approx(value, abs=5e-11)
    assert in_config(tmp_path, "threshold") == value
    if value in (0.7, 0.3):
        assert loaded.get_pipe("ner").threshold == value


def test_stored_configs_differ_only_in_settings(make_table_nlp, tmp_path):
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
def test_settings_made_in_python_are_stored(make_table_nlp, tmp_path, change):
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
def test_bytes_keep_settings_made_in_python(make_table_nlp, config, python):
    nlp = make_table_nlp(threshold=config)
    nlp.get_pipe("ner").threshold = python
    stored = nlp.to_bytes()
    loaded = spacy.blank("xx", config=nlp.config).from_bytes(stored)
    assert loaded.get_pipe("ner").threshold == python
    changed = nlp.config.copy()
    changed["components"]["ner"]["threshold"] = 0.75
    loaded = spacy.blank("xx", config=changed).from_bytes(stored)
    assert loaded.get_pipe("ner").threshold == 0.75


def test_bytes_replace_defaults(make_table_nlp):
    nlp = make_table_nlp(threshold=0.25, spans_key="sc", incorrect_spans_key="wrong")
    loaded = make_table_nlp().from_bytes(nlp.to_bytes())
    assert loaded.get_pipe("ner").cfg == nlp.get_pipe("ner").cfg


@pytest.mark.parametrize("format_", ["disk", "bytes"])
def test_component_loads_all_stored_settings(make_table_nlp, tmp_path, format_):
    ner = make_table_nlp(threshold=0.25, bias=1.0).get_pipe("ner")
    other = make_table_nlp(threshold=0.75).get_pipe("ner")
    if format_ == "disk":
        ner.to_disk(tmp_path / "ner")
        other.from_disk(tmp_path / "ner")
    else:
        other.from_bytes(ner.to_bytes())
    assert other.cfg == ner.cfg


def test_stored_component_does_not_change_the_config(make_table_nlp, tmp_path):
    nlp = make_table_nlp()
    nlp.to_disk(tmp_path)
    before = (tmp_path / "config.cfg").read_text()
    nlp.get_pipe("ner").threshold = 0.5
    nlp.get_pipe("ner").to_disk(tmp_path / "ner")
    assert (tmp_path / "config.cfg").read_text() == before
    assert spacy.load(tmp_path).get_pipe("ner").threshold == 0.5


def test_pipeline_is_stored_without_its_config(make_table_nlp, tmp_path):
    nlp = make_table_nlp()
    nlp.get_pipe("ner").threshold = 0.5
    nlp.to_disk(tmp_path, exclude=["config"])
    assert not (tmp_path / "config.cfg").exists()
    loaded = make_table_nlp().from_disk(tmp_path)
    assert loaded.get_pipe("ner").threshold == 0.5


def test_from_disk_restores_the_stored_settings(make_table_nlp, tmp_path):
    nlp = make_table_nlp()
    nlp.get_pipe("ner").threshold = 0.5
    nlp.to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    nlp.get_pipe("ner").threshold = 0.75
    nlp.from_disk(tmp_path)
    assert nlp.get_pipe("ner").threshold == 0.5


def test_config_of_another_component_is_not_changed(make_table_nlp, tmp_path):
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


def test_pipeline_stored_before_a_setting_existed(make_table_nlp, tmp_path):
    nlp = make_table_nlp()
    nlp.to_disk(tmp_path)
    newer = ("temperature", "bias", "incorrect_spans_key")
    cfg = srsly.read_json(tmp_path / "ner" / "cfg")
    config = Config().from_disk(tmp_path / "config.cfg")
    for name in newer:
        del cfg[name], config["components"]["ner"][name]
    del cfg["config"]
    srsly.write_json(tmp_path / "ner" / "cfg", cfg)
    config.to_disk(tmp_path / "config.cfg")
    loaded = spacy.load(tmp_path)
    for name in newer:
        assert value_of(loaded, name) == VALUES[name][0]
    text = "Ada Lovelace left for Oslo"
    assert [ent._.confidence for ent in loaded(text).ents] == [
        ent._.confidence for ent in nlp(text).ents
    ]


INVALID = [
    ("threshold", -0.1, "threshold has to be between 0 and 1, got"),
    ("threshold", 1.1, "threshold has to be between 0 and 1, got"),
    ("threshold", float("nan"), "threshold has to be between 0 and 1, got"),
    *(
        ("temperature", value, r"temperature has to be from 0\.001 to 1000, got")
        for value in (0.0, -1.0, 1001.0, float("inf"), float("nan"))
    ),
    *(
        ("bias", value, "bias has to be from -1000 to 1000, got")
        for value in (-1001.0, float("inf"), float("-inf"), float("nan"))
    ),
]


@pytest.mark.parametrize("name, value, message", INVALID)
def test_invalid_numbers_are_refused(make_table_nlp, name, value, message):
    nlp = make_table_nlp()
    with pytest.raises(ValueError, match=message):
        setattr(nlp.get_pipe("ner"), name, value)
    assert value_of(nlp, name) == VALUES[name][0]
    # spaCy itself refuses other numbers in configs.
    if math.isfinite(value):
        with pytest.raises(ValueError, match=message):
            make_table_nlp(**{name: value})


def test_invalid_transitions_are_refused(make_table_nlp):
    with pytest.raises(ValueError, match=r'"learned" or "constrained", got \'free\''):
        make_table_nlp(transitions="free")
