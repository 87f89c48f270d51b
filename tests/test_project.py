"""project.yml: what can be said of it without running it."""

import re
import shlex

import pytest
import srsly
import typer
from weasel.util.config import load_project_config

from spacy_wnut.cli import app
from spacy_wnut.cli._app import first_set
from spacy_wnut.errors import WnutError

ASSETS = {
    "wnut17train.conll": "c213127d9438fb2c64fe0fabe8644489",
    "emerging.dev.conll": "29ad3845ac26a060fa3eecce3eb6c0fb",
    "emerging.test.annotated": "811aac4001facfa08a1b56ee0a9c094a",
}


@pytest.fixture(scope="module")
def project(root):
    """As weasel reads it: validated, variables filled in, nothing of ours set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPACY_WNUT_DATA", raising=False)
        patch.delenv("SPACY_WNUT_ENCODER", raising=False)
        yield load_project_config(root)


@pytest.fixture(scope="module")
def scripts(project):
    return [
        (command["name"], shlex.split(line))
        for command in project["commands"]
        for line in command["script"]
    ]


def test_assets_are_pinned(project):
    found = {}
    for asset in project["assets"]:
        name = asset["dest"].removeprefix("assets/wnut17/")
        assert re.fullmatch(
            "https://raw.githubusercontent.com/leondz/emerging_entities_17/"
            f"e52a2d2[0-9a-f]*/{re.escape(name)}",
            asset["url"],
        )
        found[name] = asset["checksum"]
    assert found == ASSETS


def test_commands_are_there_for_every_step(project):
    names = [command["name"] for command in project["commands"]]
    assert len(set(names)) == len(names)
    for steps in project["workflows"].values():
        assert set(steps) <= set(names)
    assert set(names) == {name for w in project["workflows"].values() for name in w}


def test_commands_say_what_they_make(project):
    for command in project["commands"]:
        assert command.get("help"), command["name"]
        # What runs other commands makes nothing itself.
        if command["name"] != "all-on-sample":
            assert command.get("outputs"), command["name"]


def test_deps_are_files_of_the_repository_or_made_before(project, root):
    commands = {command["name"]: command for command in project["commands"]}
    workflows = dict(project["workflows"])
    # It goes on from what the others made.
    for training in ("all", "self-train"):
        workflows[f"{training}, onnx"] = workflows[training] + workflows["onnx"]
    del workflows["onnx"]
    for steps in workflows.values():
        made = []
        for name in steps:
            for dep in commands[name].get("deps", []):
                above = [path for path in made if f"{dep}/".startswith(f"{path}/")]
                below = [path for path in made if path.startswith(f"{dep}/")]
                assert above or below or (root / dep).exists(), (name, dep)
            made += commands[name].get("outputs", [])


def test_scripts_need_no_shell(scripts):
    """They go the same on Windows: nothing but Python, no operators."""
    for _, words in scripts:
        assert words[:2] == ["python", "-m"]
        for word in words:
            assert not re.search(r"[|&;<>`$*~\\]", word), word


def commands_of(typer_app):
    return typer.main.get_command(typer_app).commands


def test_scripts_call_commands_with_options_that_exist(scripts):
    for _, words in scripts:
        if words[2] != "spacy_wnut":
            continue
        command = commands_of(app)[words[3]]
        # Parsing fails for an unknown option, or an argument too many.
        context = command.make_context(words[3], list(words[4:]))
        assert context.args == []


def test_scripts_of_spacy(scripts, root):
    from spacy.cli._util import app as spacy_app

    called = [words for _, words in scripts if words[2] == "spacy"]
    assert {words[3] for words in called} == {"train", "project"}
    for words in called:
        if words[3] == "train":
            context = commands_of(spacy_app)["train"].make_context(
                "train", words[4:], allow_extra_args=True, ignore_unknown_options=True
            )
            assert (root / context.params["config_path"]).is_file()
            # The rest goes into the config.
            keys = {word for word in context.args if word.startswith("--")}
            assert keys - {"--paths.pseudo_labelled"} == {
                *("--paths.train", "--paths.dev", "--paths.encoder", "--system.seed")
            }
        else:
            assert words[4:7] == ["run", "all", "."]
            given = {word.removeprefix("--vars.") for word in words[7::2]}
            assert given <= {*_vars(root)}


def _vars(root):
    return srsly.read_yaml(root / "project.yml")["vars"]


@pytest.mark.parametrize("recipe", ["distilbert", "tutorial", "spacy_ner"])
def test_recipe_is_a_variable(root, recipe):
    project = load_project_config(root, overrides={"vars.config": recipe})
    [train] = [c for c in project["commands"] if c["name"] == "train"]
    assert f"configs/{recipe}.cfg" in train["deps"]
    assert (root / "configs" / f"{recipe}.cfg").is_file()
    assert f"{recipe}-0/model-best" in train["outputs"][0]


SETTINGS = {
    "vars.wnut17": "my_data",
    "vars.encoder": "somebody/encoder",
    "vars.unlabelled": "posts/",
}


@pytest.mark.parametrize("overrides", [{}, SETTINGS])
def test_scripts_are_split_alike_on_windows(root, overrides):
    """weasel keeps quotes in the arguments there."""
    project = load_project_config(root, overrides=overrides)
    for command in project["commands"]:
        for line in command["script"]:
            words = shlex.split(line, posix=False)
            assert words == shlex.split(line)
            assert not set("\"'") & set(line)


def test_variables_reach_the_commands(root):
    project = load_project_config(root, overrides=SETTINGS)
    lines = {c["name"]: shlex.split(c["script"][0]) for c in project["commands"]}
    assert lines["convert"][5:6] == ["my_data"]
    assert lines["encoder"][5:] == ["somebody/encoder"]
    assert lines["pseudo-label"][5:6] == ["posts/"]
    for name in ("package", "package-onnx"):
        assert {"--encoder=somebody/encoder", "--data=my_data"} <= set(lines[name])


@pytest.mark.parametrize(
    "given, variable, expected",
    [
        ([], None, "default"),
        ([], "", "default"),
        ([], "my folder", "my folder"),
        ([""], "my folder", "my folder"),
        (["given"], "my folder", "given"),
        (["", "given", "later"], "my folder", "given"),
    ],
)
def test_what_is_given_goes_before_the_environment_and_the_default(
    monkeypatch, given, variable, expected
):
    monkeypatch.delenv("SOURCE", raising=False)
    if variable is not None:
        monkeypatch.setenv("SOURCE", variable)
    assert first_set(given, "SOURCE", "default") == expected


def test_a_path_that_was_split_at_its_blanks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my own data").mkdir()
    # Not even where its first part is a folder too.
    (tmp_path / "my").mkdir()
    with pytest.raises(
        WnutError, match=r"'my own data' has blanks .* Set SOURCE to it"
    ):
        first_set(["my", "own", "data"], "SOURCE", "default")


def test_commands_whose_sources_may_change_are_never_skipped(project):
    """weasel looks at the files of the project alone."""
    commands = {command["name"]: command for command in project["commands"]}
    always = {name for name, command in commands.items() if command.get("no_skip")}
    assert always == {"convert", "encoder", "pseudo-label"}


def test_quickstart_keeps_apart_from_the_real_thing(root):
    """What it writes is nowhere that `all` reads from."""
    raw = srsly.read_yaml(root / "project.yml")
    [command] = [c for c in raw["commands"] if c["name"] == "all-on-sample"]
    words = shlex.split(command["script"][0])
    given = dict(zip(words[7::2], words[8::2], strict=True))
    overrides = {key.removeprefix("--"): value for key, value in given.items()}
    outputs = [
        {path for c in project["commands"] for path in c.get("outputs", [])}
        - {"training/tiny-encoder"}
        for project in (
            load_project_config(root),
            load_project_config(root, overrides=overrides),
        )
    ]
    assert outputs[0] and not outputs[0] & outputs[1]
    assert "nothing" in command["help"]


def test_what_is_scored_and_packaged_is_calibrated(project):
    commands = {command["name"]: command for command in project["commands"]}
    [calibrated, _] = commands["calibrate"]["outputs"]
    assert commands["train"]["outputs"][0] in commands["calibrate"]["deps"]
    for name in ("evaluate", "package"):
        assert calibrated in commands[name]["deps"]
        scripts = [line for line in commands[name]["script"] if "spacy_wnut" in line]
        assert scripts and all(f" {calibrated} " in line for line in scripts)
    steps = project["workflows"]["all"]
    assert steps.index("train") + 1 == steps.index("calibrate")
    assert steps.index("calibrate") + 1 == steps.index("evaluate")
    # spaCy's own component has nothing to calibrate.
    assert "--or-copy" in commands["calibrate"]["script"][0]
