"""Building the wheel of a pipeline, and checking that it installs."""

import json
import shutil
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from types import SimpleNamespace

import pytest
import spacy
from packaging.requirements import Requirement
from thinc.api import Config

from spacy_wnut import __version__
from spacy_wnut.errors import WnutError
from spacy_wnut.packaging import wheels
from spacy_wnut.packaging.wheels import (
    SENTENCE,
    TRY_IT,
    check_wheels,
    package_pipeline,
)

pytestmark = pytest.mark.slow

SCORES = {
    "entity": {"precision": 0.5, "recall": 0.25, "f1": 0.125},
    "surface": {"precision": 0.4, "recall": 0.3, "f1": 0.2},
    "per_type": {"person": {"precision": 1.0, "recall": 1.0, "f1": 1.0}},
    "seqeval": {"precision": 0.5, "recall": 0.25, "f1": 0.125, "accuracy": 0.9},
    "seqeval_strict": {"precision": 0.5, "recall": 0.25, "f1": 0.125},
}


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    path = tmp_path_factory.mktemp("metrics") / "dev_gold.json"
    path.write_text(json.dumps(SCORES))
    return path


@pytest.fixture(scope="module")
def pack(trained_folder, root, metrics):
    def run(out, **changed):
        settings = {
            "model_dir": trained_folder,
            "name": "posts",
            "version": "1.2.3",
            "encoder": "somebody/tiny",
            "license_file": root / "LICENSE",
            "metrics": [metrics],
        }
        return package_pipeline(out_dir=out, **{**settings, **changed})

    return run


@pytest.fixture(scope="module")
def wheel(pack, tmp_path_factory):
    return pack(tmp_path_factory.mktemp("new") / "packages")


@pytest.fixture(scope="module")
def read(wheel):
    """Read the one file of the wheel whose path ends with a string."""
    with zipfile.ZipFile(wheel) as archive:
        yield lambda end: archive.read(
            *(name for name in archive.namelist() if name.endswith(end))
        ).decode("utf8")


def test_only_the_wheel_is_written(wheel):
    assert wheel.name == "en_posts-1.2.3-py3-none-any.whl"
    assert list(wheel.parent.iterdir()) == [wheel]


def test_meta_describes_the_pipeline(read, trained_folder):
    meta = json.loads(read("en_posts/meta.json"))
    assert meta["license"] == "MIT"
    assert "confidence" in meta["description"]
    assert [source["name"].split(":")[0] for source in meta["sources"]] == [
        "WNUT 17",
        "encoder tiny",
    ]
    assert meta["sources"][0]["license"] == "CC BY 4.0"
    assert meta["labels"]["ner"] == ["location", "person"]
    assert meta["performance"]["dev_gold"] == SCORES
    assert meta["performance"]["dev_gold_entity_f1"] == 0.125
    assert meta["performance"]["dev_gold_surface_f1"] == 0.2
    # The pipeline itself is unchanged.
    stored = json.loads((trained_folder / "meta.json").read_text())
    assert stored["name"] == "pipeline" and "performance" not in stored


def test_readme_is_the_model_card(read):
    card = read("en_posts/en_posts-1.2.3/README.md")
    assert card.startswith("---\nlanguage: en\nlibrary_name: spacy\n")
    assert "| dev, gold tokens | 50.0 | 25.0 | 12.5 | 20.0 |" in card
    assert "| entity types | `location`, `person` |" in card
    assert "[WNUT 17: novel and emerging entities](https://github.com/" in card
    # pip and package indexes show the metadata.
    metadata = Parser().parsestr(read(".dist-info/METADATA"))
    assert metadata.get_payload().strip() == card.strip()


def test_readme_of_the_pipeline_is_kept(pack, trained_folder, tmp_path, monkeypatch):
    seen = {}

    def build(source, out, **options):
        seen["text"] = (source / "README.md").read_text()

    monkeypatch.setattr(wheels, "build_package", build)
    own = tmp_path / "own"
    shutil.copytree(trained_folder, own)
    for text in (None, "# Mine"):
        if text is not None:
            (own / "README.md").write_text(text)
        with pytest.raises(WnutError):
            pack(tmp_path / "out", model_dir=own)
        assert (seen["text"] == text) is (text is not None)


@pytest.mark.parametrize("data", ["wnut_17", "leondz/wnut_17", "some/where/WNUT17"])
def test_wnut_17_has_several_names(data):
    assert wheels._source(data)["dataset"] == "wnut_17"


@pytest.mark.parametrize("data", ["corpus/sample", "ada/wnut_18"])
def test_other_data_keeps_its_name(data):
    assert wheels._source(data) == {"name": data.partition("/")[2]}


@pytest.mark.parametrize(
    "encoder, source",
    [
        ("training/wnut17/encoder", {"name": "encoder encoder"}),
        ("somebody/tiny", {"name": "encoder tiny"}),
        (
            f"pypi:Tiny_Words==1.0#sha256={'0' * 64}",
            {
                "name": "encoder tiny-words 1.0",
                "url": "https://pypi.org/project/tiny-words/1.0/",
            },
        ),
        (
            "pypi:tiny>=1.0",
            {"name": "encoder tiny >=1.0", "url": "https://pypi.org/project/tiny/"},
        ),
        (
            "pypi:tiny",
            {"name": "encoder tiny", "url": "https://pypi.org/project/tiny/"},
        ),
    ],
)
def test_encoder_in_the_sources(encoder, source, pack, tmp_path, monkeypatch):
    built = []

    def build(folder, out, **options):
        built.append(json.loads((folder / "meta.json").read_text())["sources"][1])
        built.append((folder / "README.md").read_text())

    monkeypatch.setattr(wheels, "build_package", build)
    with pytest.raises(WnutError, match="wasn't built"):
        pack(tmp_path / "out", encoder=encoder)
    link = f"[{source['name']}]({source['url']})" if "url" in source else source["name"]
    assert built[0] == source
    assert f"- {link}\n" in built[1]


def test_invalid_package_as_encoder(pack, tmp_path):
    with pytest.raises(WnutError, match="'pypi:tiny=1' names no package"):
        pack(tmp_path / "out", encoder="pypi:tiny=1")
    assert not (tmp_path / "out").exists()


def test_later_releases_of_requirements_are_allowed(read):
    metadata = Parser().parsestr(read(".dist-info/METADATA"))
    needed = {
        requirement.name: requirement
        for requirement in map(Requirement, metadata.get_all("Requires-Dist"))
    }
    assert needed.keys() == {"spacy-wnut", "spacy-transformers"}
    assert needed["spacy-wnut"].extras == {"torch"}
    for version in ("1.3.5", "1.4.0", "1.9.1", "2.0.0"):
        assert needed["spacy-transformers"].specifier.contains(version)
    assert not needed["spacy-transformers"].specifier.contains("1.1.0")


def test_licence_is_in_the_wheel(read, root):
    licence = (root / "LICENSE").read_text(encoding="utf8")
    assert read(".dist-info/licenses/LICENSE") == licence
    assert Parser().parsestr(read(".dist-info/METADATA"))["License"] == "MIT"


def test_wheel_loads_by_name_without_the_hub(wheel, tmp_path, try_wheel):
    found = try_wheel(wheel, "en_posts", tmp_path)
    assert ["New York", "location"] in [columns[:2] for columns in found]
    assert all(0 < float(confidence) < 1 for _, _, confidence in found)


@pytest.mark.parametrize(
    "missing, message",
    [
        ("model_dir", r"absent holds no pipeline .* project run train"),
        ("license_file", r"there is no file .*absent to put into the package"),
        ("metrics", r"there is no file .*absent to put into the package"),
    ],
)
def test_missing_files_are_named(pack, tmp_path, missing, message):
    absent = tmp_path / "absent"
    value = [absent] if missing == "metrics" else absent
    with pytest.raises(WnutError, match=message):
        pack(tmp_path / "out", **{missing: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"entity": {"f1": 1.0}}'])
def test_metrics_without_scores_are_refused(pack, tmp_path, text):
    path = tmp_path / "dev_gold.json"
    path.write_text(text, encoding="utf8")
    with pytest.raises(WnutError, match=r"dev_gold.json holds no scores: give what"):
        pack(tmp_path / "packages", metrics=[path])


def test_build_without_a_wheel_is_an_error(pack, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "build_package", lambda *args, **options: None)
    with pytest.raises(WnutError, match=r"The wheel of .* wasn't built: see the log"):
        pack(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_build_keeps_the_earlier_wheel(pack, tmp_path, monkeypatch):
    def build(source, out, **options):
        built = out / "en_posts-1.2.3" / "dist" / "en_posts-1.2.3-py3-none-any.whl"
        built.parent.mkdir(parents=True)
        built.write_bytes(b"new")

    monkeypatch.setattr(wheels, "build_package", build)
    assert pack(tmp_path).read_bytes() == b"new"

    copy = wheels.shutil.copy

    def interrupt(source, target):
        copy(source, target)
        if Path(source).suffix == ".whl":
            raise KeyboardInterrupt

    monkeypatch.setattr(wheels.shutil, "copy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pack(tmp_path)
    [wheel] = tmp_path.iterdir()
    assert wheel.read_bytes() == b"new"


@pytest.mark.parametrize("there", [(), ("en_posts",), ("spacy_wnut",)])
def test_check_names_missing_wheels(tmp_path, there):
    for name in (*there, "en_posts_onnx"):
        (tmp_path / f"{name}-1.0-py3-none-any.whl").write_bytes(b"no archive")
    absent = [name for name in ("en_posts", "spacy_wnut") if name not in there]
    message = f"no wheels of {' and '.join(absent)} in .* project run package"
    with pytest.raises(WnutError, match=message):
        check_wheels(tmp_path, "en_posts", None)


@pytest.fixture
def no_environment(monkeypatch):
    """Use the environment of the tests instead of a new one, which takes seconds."""

    class Builder:
        def __init__(self, **options):
            pass

        def create(self, folder):
            pass

        def ensure_directories(self, folder):
            return SimpleNamespace(env_exe=sys.executable)

    monkeypatch.setattr(wheels.venv, "EnvBuilder", Builder)


def test_check_gives_the_reason_of_a_failed_installation(tmp_path, no_environment):
    for name in ("en_posts", "spacy_wnut", "en_other"):
        (tmp_path / f"{name}-1.0-py3-none-any.whl").write_bytes(b"no archive")
    with pytest.raises(
        WnutError, match=r"pip install failed: .*en_posts.* invalid"
    ) as err:
        check_wheels(tmp_path, "en_posts", None)
    assert "Traceback" not in str(err.value)
    assert "en_other" not in str(err.value)


def test_check_ignores_pythonpath(tmp_path, monkeypatch, no_environment):
    """Neither pip nor the pipeline may find packages that are not installed."""
    for name in ("en_posts", "spacy_wnut"):
        (tmp_path / f"{name}-1.0-py3-none-any.whl").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    seen = []
    run = wheels.subprocess.run

    def record(command, **options):
        code = "import sys, os; print(sys.path, os.environ.get('HF_HUB_OFFLINE'))"
        done = run([sys.executable, "-c", code], **options)
        seen.append(done.stdout)
        return done

    monkeypatch.setattr(wheels.subprocess, "run", record)
    check_wheels(tmp_path, "en_posts", None)
    # pip, and the attempt to load the pipeline.
    assert len(seen) == 2
    for output in seen:
        assert str(elsewhere) not in output
        assert output.strip().endswith("1")


def test_exported_pipeline_needs_no_torch(pack, onnx_folder, tmp_path):
    wheel = pack(tmp_path, model_dir=onnx_folder, name="posts_onnx")
    assert wheel.name == "en_posts_onnx-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [path] = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(path).decode("utf8"))
        [path] = [name for name in names if name.endswith("en_posts_onnx/meta.json")]
        meta = json.loads(archive.read(path))
    [needed] = map(Requirement, metadata.get_all("Requires-Dist"))
    assert (needed.name, needed.extras) == ("spacy-wnut", {"onnx"})
    # Older versions cannot read it.
    assert needed.specifier.contains(__version__)
    assert not needed.specifier.contains("0.0.9")
    assert meta["export"]["precision"] == "fp32"


@pytest.mark.parametrize("packages", [(), ("nothing_like_it",), ("torch",)])
def test_packages_that_must_be_absent(onnx_folder, monkeypatch, capsys, packages):
    monkeypatch.setattr(sys, "argv", ["-c", str(onnx_folder), SENTENCE, *packages])
    if "torch" in packages:
        with pytest.raises(AssertionError, match="torch is installed as well"):
            exec(TRY_IT, {})
    else:
        exec(TRY_IT, {})
        assert capsys.readouterr().out.splitlines() == [
            f"{ent.text}\t{ent.label_}\t{ent._.confidence:.3f}"
            for ent in spacy.load(onnx_folder)(SENTENCE).ents
        ]


ARCHITECTURES = {
    "torch": "spacy-transformers.TransformerModel.v3",
    "onnx": "spacy-wnut.OnnxTagger.v1",
}


@pytest.mark.parametrize(
    "kinds, extra",
    [
        (["torch"], "torch"),
        (["onnx"], "onnx"),
        (["onnx", "torch"], "torch"),
        (["torch", "onnx"], "torch"),
    ],
)
def test_extra_that_a_pipeline_requires(tmp_path, kinds, extra):
    """A pipeline with components of both kinds requires torch."""
    components = {
        f"component_{kind}": {
            "factory": "entity_tagger" if kind == "onnx" else "transformer",
            "model": {"@architectures": ARCHITECTURES[kind]},
        }
        for kind in kinds
    }
    components["ner"] = {"factory": "entity_tagger"}
    Config({"components": components}).to_disk(tmp_path / "config.cfg")
    needed = {
        requirement.name: requirement.extras
        for requirement in map(Requirement, wheels.requirements(tmp_path))
    }
    expected = {"spacy-wnut": {extra}}
    if extra == "torch":
        expected["spacy-transformers"] = set()
    assert needed == expected


@pytest.mark.parametrize(
    "theirs, ours, merged",
    [
        ([], ["a[x]>=1"], ["a[x]>=1"]),
        (["b==2"], [], ["b==2"]),
        (["b==2"], ["a[x]>=1"], ["b==2", "a[x]>=1"]),
        (["A_b.c[y]<3"], ["a-b-c[x]>=1"], ["a-b-c[x,y]<3,>=1"]),
        (["a", "a>=1"], ["a>=1"], ["a>=1"]),
        (["a<2; os_name == 'nt'"], ["a>=1"], ['a<2; os_name == "nt"', "a>=1"]),
        (["a @ https://x.org/a.whl"], ["a[x]>=1"], ["a[x]@ https://x.org/a.whl"]),
    ],
)
def test_requirements_are_merged(theirs, ours, merged):
    found = wheels.merge_requirements(theirs, ours)
    assert [*map(Requirement, found)] == [*map(Requirement, merged)]


@pytest.fixture
def packed_meta(pack, tmp_path, monkeypatch):
    """Package a pipeline with a changed meta, and return the meta of the wheel."""

    def run(model_dir, changed, **settings):
        seen = {}

        def build(source, out, **options):
            seen.update(json.loads((source / "meta.json").read_text()))

        monkeypatch.setattr(wheels, "build_package", build)
        own = tmp_path / "own"
        shutil.copytree(model_dir, own, dirs_exist_ok=True)
        meta = json.loads((own / "meta.json").read_text())
        (own / "meta.json").write_text(json.dumps({**meta, **changed}))
        with pytest.raises(WnutError, match="wasn't built"):
            pack(tmp_path / "out", model_dir=own, **settings)
        return seen

    return run


THEIRS = {
    "author": "Ada",
    "email": "ada@example.com",
    "url": "https://example.com",
    "license": "Apache-2.0",
    "description": "Hers.",
}


@pytest.mark.parametrize("kept", THEIRS)
def test_only_empty_fields_are_filled(packed_meta, trained_folder, kept):
    empty = dict.fromkeys(THEIRS, "")
    changed = {**empty, kept: THEIRS[kept]}
    meta = packed_meta(trained_folder, changed, license_file=None)
    expected = {**empty, **wheels.META, kept: THEIRS[kept]}
    assert {key: meta[key] for key in THEIRS} == expected


def test_meta_of_a_pipeline_without_our_components_is_kept(packed_meta, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler")
    nlp.to_disk(tmp_path / "ruler")
    changed = {**THEIRS, "requirements": ["emoji>=2"]}
    meta = packed_meta(tmp_path / "ruler", changed, license_file=None)
    assert {key: meta[key] for key in changed} == changed


def test_requirements_of_the_pipeline_are_kept(packed_meta, trained_folder):
    changed = {"requirements": ["emoji>=2", "spacy_wnut!=0.0.1"]}
    meta = packed_meta(trained_folder, changed)
    first, plugin, other = map(Requirement, meta["requirements"])
    assert str(first) == "emoji>=2"
    assert (plugin.name, plugin.extras) == ("spacy-wnut", {"torch"})
    assert plugin.specifier.contains(__version__)
    assert "!=0.0.1" in str(plugin.specifier)
    assert other.name == "spacy-transformers"


@pytest.mark.parametrize("wrong", ["emoji", ["no requirement !"], [1]])
def test_invalid_requirements_are_refused(pack, trained_folder, tmp_path, wrong):
    own = tmp_path / "own"
    shutil.copytree(trained_folder, own)
    meta = json.loads((own / "meta.json").read_text())
    (own / "meta.json").write_text(json.dumps({**meta, "requirements": wrong}))
    with pytest.raises(WnutError, match=r"requirements in .*meta\.json is no list"):
        pack(tmp_path / "out", model_dir=own)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("  Apache License\n  Version 2.0, January 2004\n", "Apache-2.0"),
        ("Terms of Ada\n\nAsk first.\n", "Terms of Ada"),
        (None, "BSD-3-Clause"),
    ],
)
def test_given_license_replaces_that_of_the_pipeline(
    packed_meta, trained_folder, tmp_path, text, expected
):
    given = Path("bsd-3-clause")
    if text is not None:
        given = tmp_path / "TERMS"
        given.write_text(text, encoding="utf8")
    meta = packed_meta(trained_folder, {"license": "GPL-3.0"}, license_file=given)
    assert meta["license"] == expected


@pytest.mark.parametrize("versions", [("0.9.0", "0.10.0"), ("1.0rc1", "1.0")])
def test_check_installs_the_newest(tmp_path, monkeypatch, versions):
    for name in ("en_posts", "en_posts_onnx", "spacy_wnut", "spacy_wnut_more"):
        for version in (*versions, "9.0") if "_" in name[8:] else versions:
            (tmp_path / f"{name}-{version}-py3-none-any.whl").touch()
    (tmp_path / "en_posts-latest.whl").touch()
    commands = []
    monkeypatch.setattr(
        wheels, "_run", lambda command, **options: commands.append(command) or ""
    )
    monkeypatch.setattr(wheels.venv.EnvBuilder, "create", lambda *args: None)
    check_wheels(tmp_path, "en_posts", None)
    installed = [Path(x).name for x in commands[0] if x.endswith(".whl")]
    newest = versions[-1]
    assert installed == [
        f"{name}-{newest}-py3-none-any.whl" for name in ("en_posts", "spacy_wnut")
    ]


NAMES = ["dev_gold", "test_gold", "dev_spacy", "test_spacy"]


@pytest.fixture
def measured(tmp_path):
    """A folder as the project's calibrate and evaluate fill it."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    for i, name in enumerate(reversed(NAMES)):
        scores = {**SCORES, "entity": {**SCORES["entity"], "f1": i / 10}}
        (folder / f"{name}.json").write_text(json.dumps(scores))
    calibration = '{"temperature": 1.5, "ece": {"before": 0.1, "after": NaN}}'
    (folder / "calibration.json").write_text(calibration)
    # What calibrate writes if there is nothing to calibrate.
    (folder / "other.json").write_text("null")
    (folder / "list.json").write_text("[1]")
    (folder / "entities.json").write_text('{"entity": 3}')
    (folder / "notes.txt").write_text("not scores")
    (folder / "._dev_gold.json").write_bytes(b"\0\5\x16\7 of macOS")
    (folder / "more.json").mkdir()
    return folder


def test_a_folder_of_metrics_is_as_its_files(packed_meta, trained_folder, measured):
    files = [measured / f"{name}.json" for name in NAMES]
    # As text: the order is the same, too.
    single, whole, both = (
        json.dumps(packed_meta(trained_folder, {}, metrics=metrics))
        for metrics in (files, [measured], [files[0], measured])
    )
    assert whole == single == both
    performance = json.loads(whole)["performance"]
    assert [name for name in performance if name in NAMES] == NAMES
    assert len(performance) == 5 * len(NAMES)
    assert performance["dev_gold"]["entity"]["f1"] == 0.3


def test_order_of_a_folder_of_metrics(packed_meta, trained_folder, tmp_path):
    expected = [
        *("train_gold", "dev_gold", "test_gold", "chat_gold"),
        *("dev_spacy", "test_spacy", "a_b_spacy"),
        *("dev", "dev_posts", "test", "2024", "gold"),
    ]
    for name in sorted(expected):
        (tmp_path / f"{name}.json").write_text(json.dumps(SCORES))
    meta = packed_meta(trained_folder, {}, metrics=[tmp_path])
    found = [key for key, value in meta["performance"].items() if value == SCORES]
    assert found == expected


@pytest.mark.parametrize("others", [[], ["calibration.json", "notes.txt"]])
def test_a_folder_without_scores(pack, measured, tmp_path, others):
    for path in measured.glob("*.*"):
        if path.is_file() and path.name not in others:
            path.unlink()
    with pytest.raises(WnutError, match=r"metrics holds no scores: evaluate .* first"):
        pack(tmp_path / "out", metrics=[measured])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "can't be read as JSON"),
        (b'{"entity": {"f1": 1.0}, "surf', "can't be read as JSON"),
        (b"\xff", "can't be read as JSON"),
        (b'{"entity": {"f1": 1.0}, "surface": {}}', "holds no scores"),
        (b'{"entity": [], "surface": null}', "holds no scores"),
    ],
)
def test_damaged_scores_in_a_folder(pack, measured, tmp_path, data, message):
    """They aren't left out silently."""
    (measured / "test_gold.json").write_bytes(data)
    with pytest.raises(WnutError, match=rf"test_gold\.json {message}"):
        pack(tmp_path / "out", metrics=[measured])


def test_two_files_of_metrics_of_one_name(pack, measured, tmp_path):
    other = tmp_path / "other" / "dev_gold.json"
    other.parent.mkdir()
    other.write_text(json.dumps(SCORES))
    message = r"dev_gold\.json and .*dev_gold\.json would both be dev_gold in meta"
    for metrics in ([other, measured], [measured, other], [measured, other.parent]):
        with pytest.raises(WnutError, match=message):
            pack(tmp_path / "out", metrics=metrics)
