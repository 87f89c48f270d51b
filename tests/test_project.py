"""project.yml: its parts, its variables, and when weasel runs a command again."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import spacy
import srsly
import torch
import typer
from spacy.cli._util import parse_config_overrides as parse_spacy_overrides
from spacy.tokens import DocBin
from transformers import AutoModel
from weasel.cli import run as weasel_run
from weasel.util.config import load_project_config, parse_config_overrides

from spacy_wnut.cli import app
from spacy_wnut.cli._app import first_set
from spacy_wnut.errors import WnutError
from spacy_wnut.packaging import wheels

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
    named = {name for steps in project["workflows"].values() for name in steps}
    assert set(names) - named == {"push", "quickstart"}


def test_commands_say_what_they_make(project):
    for command in project["commands"]:
        assert command.get("help"), command["name"]
        # One writes to the hub, the other runs other commands.
        if command["name"] not in ("push", "quickstart"):
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


def test_scripts_need_no_shell(scripts, root):
    """They go the same on Windows: nothing but Python, no operators."""
    for _, words in scripts:
        assert words[0] == "python"
        assert words[1] == "-m" or (root / words[1]).is_file()
        for word in words:
            assert not re.search(r"[|&;<>`$*~\\]", word), word


def commands_of(typer_app):
    return typer.main.get_command(typer_app).commands


def test_scripts_call_commands_with_options_that_exist(scripts):
    for _, words in scripts:
        if words[1:3] != ["-m", "spacy_wnut"]:
            continue
        command = commands_of(app)[words[3]]
        # Parsing fails for an unknown option, or an argument too many.
        context = command.make_context(words[3], list(words[4:]))
        assert context.args == []


def test_scripts_of_spacy(scripts, root):
    from spacy.cli._util import app as spacy_app

    called = [words for _, words in scripts if words[1:3] == ["-m", "spacy"]]
    assert {words[3] for words in called} == {"train"}
    for words in called:
        context = commands_of(spacy_app)["train"].make_context(
            "train", words[4:], allow_extra_args=True, ignore_unknown_options=True
        )
        assert (root / context.params["config_path"]).is_file()
        # The rest goes into the config.
        keys = {word for word in context.args if word.startswith("--")}
        assert keys - {"--paths.pseudo_labelled"} == {
            *("--paths.train", "--paths.dev", "--paths.encoder", "--system.seed"),
            "--system.epochs",
        }


@pytest.mark.parametrize("given, expected", [({}, None), ({"vars.epochs": 15}, 15)])
def test_epochs_reach_every_training(root, given, expected):
    """null leaves the number of epochs to the recipe."""
    project = load_project_config(root, overrides=given)
    found = {}
    for command in project["commands"]:
        for line in command["script"]:
            words = shlex.split(line)
            if "--system.epochs" in words:
                start = words.index("--system.epochs")
                overrides = parse_spacy_overrides(words[start : start + 2])
                found[command["name"]] = overrides["system.epochs"]
    trainings = ("train", "teachers", "train-student", "sweep")
    assert found == dict.fromkeys(trainings, expected)


@pytest.mark.parametrize("recipe", ["distilbert", "tutorial", "spacy_ner"])
def test_recipe_is_a_variable(root, recipe):
    project = load_project_config(root, overrides={"vars.config": recipe})
    [train] = [c for c in project["commands"] if c["name"] == "train"]
    assert f"configs/{recipe}.cfg" in train["deps"]
    assert (root / "configs" / f"{recipe}.cfg").is_file()
    assert f"{recipe}-0/model-best" in train["outputs"][0]


OVERRIDES = {
    "": {},
    "--vars.run mine": {"run": "mine"},
    "--vars.config tutorial": {"config": "tutorial"},
    "--vars.seed 7": {"seed": 7},
    "--vars.run=mine/2024 --vars.config spacy_ner --vars.seed 12": {
        **{"run": "mine/2024", "config": "spacy_ner", "seed": 12}
    },
    "--vars.run 2024": {"run": 2024},
    "--vars.run v0.1": {"run": "v0.1"},
    "--vars.wnut17 my_data --vars.packages out --vars.name b --vars.version 2.0.1": {
        **{"wnut17": "my_data", "packages": "out", "name": "b", "version": "2.0.1"}
    },
    "--vars.encoder a/b --vars.unlabelled posts/ --vars.gpu_id 0": {
        **{"encoder": "a/b", "unlabelled": "posts/", "gpu_id": 0}
    },
    f"--vars.encoder pypi:a==1.0#sha256={'0' * 64} --vars.layers 3": {
        **{"encoder": f"pypi:a==1.0#sha256={'0' * 64}", "layers": 3}
    },
    "--vars.precision fp32 --vars.seeds 1,2": {"precision": "fp32", "seeds": "1,2"},
    "--vars.epochs 15": {"epochs": 15},
}


def expand(text, variables):
    """Fill in variables by plain substitution, those in variables too."""
    while found := re.search(r"\$\{vars\.(\w+)\}", text):
        text = text.replace(found[0], str(variables[found[1]]))
    return text


@pytest.mark.parametrize("arguments", OVERRIDES)
def test_weasel_fills_in_the_variables(root, arguments):
    """Each item of a list is one item after that: weasel joins `"${vars.a}"` and
    `"${vars.b}"` if they follow each other in a list.
    """
    overrides = parse_config_overrides(arguments.split())
    project = load_project_config(root, overrides=overrides)
    raw = srsly.read_yaml(root / "project.yml")
    variables = {**raw["vars"], **OVERRIDES[arguments]}
    for command, written in zip(project["commands"], raw["commands"], strict=True):
        for key in ("script", "deps", "outputs"):
            expected = [expand(item, variables) for item in written.get(key, [])]
            assert command.get(key, []) == expected


def paths_of(project):
    """The paths of each command, those in its scripts included."""
    for command in project["commands"]:
        words = [word for line in command["script"] for word in shlex.split(line)]
        listed = [*command.get("deps", []), *command.get("outputs", [])]
        for word in (*words, *listed):
            yield command["name"], word


def test_overrides_reach_every_path(root):
    overrides = {"vars.run": "mine", "vars.config": "tutorial", "vars.seed": 7}
    before, after = (
        list(paths_of(load_project_config(root, overrides=given)))
        for given in ({}, overrides)
    )
    changes = [
        ("/wnut17", "/mine"),
        ("/distilbert-0", "/tutorial-7"),
        ("/distilbert/", "/tutorial/"),
    ]
    for (name, old), (_, new) in zip(before, after, strict=True):
        # All recipes at once, and the quickstart's own.
        if name in ("sweep", "all-on-sample") and "/distilbert" in old:
            continue
        for one, other in changes:
            if not old.startswith("assets/"):
                old = old.replace(one, other)
        if name != "sweep":
            old = old.replace("configs/distilbert.cfg", "configs/tutorial.cfg")
        assert new == ("7" if old == "0" else old), name


FOLDERS = ("assets/", "configs/", "corpus/", "training/", "metrics/", "packages/")


@pytest.mark.parametrize("arguments", OVERRIDES)
def test_paths_in_scripts_are_deps_or_outputs(root, arguments):
    overrides = parse_config_overrides(arguments.split())
    project = load_project_config(root, overrides=overrides)
    for command in project["commands"]:
        if command["name"] == "all-on-sample":
            continue
        listed = [*command.get("deps", []), *command.get("outputs", [])]
        for line in command["script"]:
            words = [word for word in shlex.split(line) if word.startswith(FOLDERS)]
            for word in words:
                # Or a folder of them, or something within one of them.
                related = (f"{path}/" for path in listed)
                assert any(
                    path.startswith(f"{word}/") or f"{word}/".startswith(path)
                    for path in related
                ), (command["name"], word)


def test_lines_can_be_read(root):
    for line in (root / "project.yml").read_text(encoding="utf8").splitlines():
        assert len(line) <= 150, line


def option(line, name):
    """The value of an option in a line of a script."""
    words = shlex.split(line)
    return words[words.index(name) + 1]


@pytest.mark.parametrize(
    "measuring, packing", [("evaluate", "package"), ("export", "package-onnx")]
)
def test_what_is_measured_is_packaged(project, measuring, packing):
    commands = {command["name"]: command for command in project["commands"]}
    [folder] = {
        option(line, "--json")
        for line in commands[measuring]["script"]
        if "evaluate" in line
    }
    assert option(commands[packing]["script"][0], "--metrics") == folder
    assert folder in commands[packing]["deps"]
    outputs = [Path(path) for path in commands[measuring]["outputs"]]
    assert Path(folder) in {*outputs, *(path.parent for path in outputs)}


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
    assert lines["encoder"][5:] == ["somebody/encoder", "--layers="]
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
    assert always == {"convert", "encoder", "pseudo-label", "push", "quickstart"}


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


@pytest.fixture
def run_step(root, tmp_path, monkeypatch):
    """Runs a command of the project by weasel's own rules, with our commands in this
    process. Returns the commands that weren't skipped.
    """
    folder = tmp_path / "a project"
    folder.mkdir()
    for name in (
        "project.yml",
        "configs",
        "LICENSE",
        "setup.py",
        "pyproject.toml",
        "spacy_wnut",
    ):
        (folder / name).symlink_to(root / name)
    called = []

    def call(words, **_):
        called.append(words[3] if words[2].startswith("spacy") else words[2])
        if words[2] == "spacy_wnut":
            app(words[3:], standalone_mode=False)
        elif words[2] == "spacy":
            output = words[words.index("--output") + 1]
            (folder / output / "model-best").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(weasel_run, "run_command", call)
    for name in ("DATA", "ENCODER", "UNLABELLED"):
        monkeypatch.delenv(f"SPACY_WNUT_{name}", raising=False)

    def run(name, **variables):
        called.clear()
        overrides = {f"vars.{key}": str(value) for key, value in variables.items()}
        weasel_run.project_run(folder, name, overrides=overrides)
        return list(called)

    run.folder = folder
    return run


@pytest.fixture
def sources(tmp_path, tiny_encoder):
    """Data that may be corrected, and an encoder, as variables: paths without blanks."""
    folder = tmp_path / "my_posts"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        (folder / f"{split}.conll").write_text("Ann\tB-person\nin\tO\nOslo\tO\n")
    return {"wnut17": folder, "encoder": tiny_encoder}


def correct(sources, split):
    text = "Ann\tB-person\nin\tO\nOslo\tB-location\n"
    (sources["wnut17"] / f"{split}.conll").write_text(text)


def read_docs(path):
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def entities_in(path):
    return [[(ent.text, ent.label_) for ent in doc.ents] for doc in read_docs(path)]


@pytest.mark.parametrize("is_windows", [False, True])
def test_corrected_annotation_is_converted_and_trained_on(
    run_step, sources, is_windows, monkeypatch
):
    monkeypatch.setattr("weasel.util.commands.is_windows", is_windows)
    steps = ("convert", "encoder", "train")
    first = [run_step(step, **sources) for step in steps]
    assert first == [["convert", "convert"], ["encoder"], ["train"]]
    # Nothing changed: the same bytes, so there is nothing to train.
    [*_, again] = [run_step(step, **sources) for step in steps]
    assert again == []
    for split in ("train", "dev"):
        correct(sources, split)
        [*_, after] = [run_step(step, **sources) for step in steps]
        assert after == ["train"]
        for protocol in ("gold", "spacy"):
            path = run_step.folder / "corpus" / "wnut17" / protocol / f"{split}.spacy"
            assert entities_in(path) == [[("Ann", "person"), ("Oslo", "location")]]


def test_data_of_the_environment_that_changed_are_converted(
    run_step, sources, tmp_path, monkeypatch
):
    # Blanks are nothing to the environment.
    first = sources["wnut17"].rename(tmp_path / "my posts")
    monkeypatch.setenv("SPACY_WNUT_DATA", str(first))
    path = run_step.folder / "corpus" / "wnut17" / "gold" / "test.spacy"
    run_step("convert")
    assert entities_in(path) == [[("Ann", "person")]]
    correct({"wnut17": first}, "test")
    run_step("convert")
    assert entities_in(path) == [[("Ann", "person"), ("Oslo", "location")]]


def test_an_encoder_that_changed_is_fetched_again(
    run_step, sources, tiny_encoder, tmp_path
):
    sources["encoder"] = tmp_path / "my_encoder"
    shutil.copytree(tiny_encoder, sources["encoder"])
    for step in ("convert", "encoder", "train"):
        run_step(step, **sources)
    assert run_step("encoder", **sources) == ["encoder"]
    assert run_step("train", **sources) == []
    model = AutoModel.from_pretrained(sources["encoder"])
    model.embeddings.word_embeddings.weight.data += 1
    model.save_pretrained(sources["encoder"])
    run_step("encoder", **sources)
    assert run_step("train", **sources) == ["train"]
    fetched = AutoModel.from_pretrained(
        run_step.folder / "training" / "wnut17" / "encoder"
    )
    assert torch.equal(
        fetched.embeddings.word_embeddings.weight,
        model.embeddings.word_embeddings.weight,
    )


def test_layers_of_the_encoder_are_a_variable(run_step, sources):
    config = run_step.folder / "training" / "wnut17" / "encoder" / "config.json"
    for step in ("convert", "encoder", "train"):
        run_step(step, **sources)
    assert srsly.read_json(config)["n_layers"] == 2
    run_step("encoder", **sources, layers=1)
    assert srsly.read_json(config)["n_layers"] == 1
    assert run_step("train", **sources, layers=1) == ["train"]


def test_unlabelled_posts_that_changed_are_labelled(
    run_step, sources, make_table_nlp, tmp_path
):
    unlabelled = tmp_path / "other_posts"
    unlabelled.mkdir()
    (unlabelled / "a.txt").write_text("Ada Lovelace moved to Oslo\n")
    sources["unlabelled"] = unlabelled
    teachers = run_step.folder / "training" / "wnut17" / "teachers" / "distilbert"
    for seed in (0, 1):
        (teachers / f"seed-{seed}").mkdir(parents=True)
        make_table_nlp().to_disk(teachers / f"seed-{seed}" / "model")
    steps = ("convert", "encoder", "pseudo-label", "train-student")
    first = [run_step(step, **sources) for step in steps]
    assert first[2:] == [["pseudo-label"], ["train"]]
    labelled = run_step.folder / "training" / "wnut17" / "pseudo-labelled.spacy"
    when = labelled.stat().st_mtime_ns
    [*_, again] = [run_step(step, **sources) for step in steps]
    assert again == [] and labelled.stat().st_mtime_ns == when
    text = "Ada is in New York"
    (unlabelled / "a.txt").write_text(f"{text}\n")
    [*_, after] = [run_step(step, **sources) for step in steps]
    assert after == ["train"]
    assert [doc.text for doc in read_docs(labelled)] == [text]
    assert entities_in(labelled) == [[("Ada", "person"), ("New York", "location")]]


def test_figures_go_from_evaluate_into_the_package(run_step, sources, monkeypatch):
    """The figures of all four corpora, and no others of their folder."""
    performance = {}

    def build(source, out, **options):
        performance.update(srsly.read_json(source / "meta.json")["performance"])
        wheel = out / "en_wnut_ner" / "dist" / "en_wnut_ner-0.1.0-py3-none-any.whl"
        wheel.parent.mkdir(parents=True)
        wheel.touch()

    monkeypatch.setattr(wheels, "build_package", build)
    variables = {**sources, "run": "mine", "config": "tutorial", "seed": 7}
    run_step("convert", **variables)
    nlp = spacy.blank("en")
    patterns = [{"label": "location", "pattern": "Oslo"}]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    model = run_step.folder / "training" / "mine" / "tutorial-7" / "model-calibrated"
    model.mkdir(parents=True)
    nlp.to_disk(model)
    metrics = run_step.folder / "metrics" / "mine" / "tutorial-7"
    metrics.mkdir(parents=True)
    (metrics / "calibration.json").write_text('{"temperature": 1.5}')

    assert run_step("evaluate", **variables) == ["evaluate"]
    names = ["dev_gold", "test_gold", "dev_spacy", "test_spacy"]
    written = {path.stem for path in metrics.iterdir()}
    assert written == {*names, "calibration"}
    assert run_step("package", **variables) == ["package", "build"]
    assert [name for name in performance if name in names] == names
    assert "calibration" not in performance
    for step in ("evaluate", "package"):
        assert run_step(step, **variables) == []
    # A corpus that changed is evaluated again, and the figures are packaged.
    correct(sources, "test")
    run_step("convert", **variables)
    assert run_step("evaluate", **variables) == ["evaluate"]
    assert run_step("package", **variables) == ["package", "build"]
    assert performance["test_gold_entity_f1"] > performance["dev_gold_entity_f1"]
