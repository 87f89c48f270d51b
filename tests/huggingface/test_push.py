"""Upload of packaged pipelines to a stand-in for the hub."""

import json
import re
from zipfile import ZipFile

import pytest
import spacy
import srsly
from huggingface_hub.errors import HFValidationError
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from spacy.cli.package import package
from typer.testing import CliRunner

from spacy_wnut.cli import app
from spacy_wnut.errors import WnutError
from spacy_wnut.huggingface.push import push_folder, push_pipeline
from spacy_wnut.packaging.cards import pipeline_card


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source of a package, in the layout of `spacy package`."""
    folder = tmp_path_factory.mktemp("package")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "location", "pattern": "Oslo"}]
    )
    nlp.meta.update(name="towns", version="0.2.0", license="MIT")
    nlp.to_disk(folder / "model")
    meta = srsly.read_json(folder / "model" / "meta.json")
    (folder / "model" / "README.md").write_text(pipeline_card(meta), encoding="utf8")
    package(folder / "model", folder, create_sdist=False)
    return folder / "en_towns-0.2.0"


@pytest.fixture
def wheels(built, tmp_path):
    """Wheels of a pipeline in two versions, and of spacy-wnut."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "en_towns-0.1.0-py3-none-any.whl").write_bytes(b"")
    (folder / "spacy_wnut-0.9.0-py3-none-any.whl").write_bytes(b"plugin")
    with ZipFile(folder / "en_towns-0.2.0-py3-none-any.whl", "w") as archive:
        for path in sorted((built / "en_towns").rglob("*")):
            archive.write(path, path.relative_to(built))
        archive.writestr("en_towns-0.2.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    return folder


def test_repository_has_the_layout_of_spacy_pipelines(wheels, hub, tmp_path):
    pushed = push_pipeline(wheels, "en_towns", "ada/towns")
    [(repo, private, files)] = hub.uploads
    assert (repo, private) == ("ada/towns", False)
    assert pushed.url == "https://huggingface.co/ada/towns"
    wheel = (wheels / "en_towns-0.2.0-py3-none-any.whl").read_bytes()
    # The first is the name that the hub's page shows.
    assert files["en_towns-any-py3-none-any.whl"] == wheel
    assert files["en_towns-0.2.0-py3-none-any.whl"] == wheel
    assert files["spacy_wnut-0.9.0-py3-none-any.whl"] == b"plugin"
    assert "en_towns-0.1.0-py3-none-any.whl" not in files
    assert json.loads(files["meta.json"])["version"] == "0.2.0"
    # The repository is a pipeline that spaCy loads.
    for name, content in files.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    nlp = spacy.load(tmp_path / "repository")
    assert [ent.text for ent in nlp("Ada moved to Oslo").ents] == ["Oslo"]


def test_addresses_are_those_of_uploaded_files_that_pip_accepts(wheels, hub):
    pushed = push_pipeline(wheels, "en_towns", "ada/towns")
    [(_, _, files)] = hub.uploads
    for address in pushed.wheels:
        start, name = address.rsplit("/", 1)
        assert start == "https://huggingface.co/ada/towns/resolve/main"
        assert name in files
        parse_wheel_filename(name)
    with pytest.raises(InvalidWheelFilename):
        parse_wheel_filename("en_towns-any-py3-none-any.whl")
    card = files["README.md"].decode()
    assert f"pip install {' '.join(pushed.wheels)}\n" in card
    assert card.index("## Installation") < card.index("## Use")


def test_card_has_the_metadata_of_the_hub(wheels, hub):
    push_pipeline(wheels, "en_towns")
    [(_, _, files)] = hub.uploads
    front = re.match(r"---\n(.*?)---\n", files["README.md"].decode(), re.DOTALL)
    data = srsly.yaml_loads(front.group(1))
    assert data["library_name"] == "spacy"
    assert {"spacy", "token-classification"} <= set(data["tags"])
    assert (data["language"], data["license"]) == ("en", "mit")


def test_repository_belongs_to_the_user_by_default(wheels, hub):
    assert push_pipeline(wheels, "en_towns").url.endswith("/ada/en_towns")
    assert push_pipeline(wheels, "en-towns", private=True).url.endswith("/ada/en_towns")
    # An existing repository stays public.
    assert hub.repositories == {"ada/en_towns": False}


def test_new_repository_can_be_private(wheels, hub):
    push_pipeline(wheels, "en_towns", "ada/towns", private=True)
    assert hub.uploads[0][:2] == ("ada/towns", True)


@pytest.mark.parametrize(
    "error", [HFValidationError("no name"), OSError("no token"), ConnectionError("x")]
)
def test_refusal_of_the_hub(wheels, hub, tmp_path, error):
    hub.error = error
    with pytest.raises(WnutError, match=r"^couldn't be shared as 'x': .*Log in with"):
        push_folder(tmp_path / "folder", "x")
    with pytest.raises(WnutError, match=r"Log in with `huggingface-cli login`"):
        push_pipeline(wheels, "en_towns")
    with pytest.raises(
        WnutError, match=r"0\.2\.0-\S+\.whl couldn't be shared as 'a/b'"
    ):
        push_pipeline(wheels, "en_towns", "a/b")
    assert hub.uploads == []


@pytest.mark.parametrize(
    "content, message",
    [(b"no zip", "can't be read: .*Build it anew"), (None, "no wheel of a pipeline")],
)
def test_wheel_without_a_pipeline(wheels, hub, content, message):
    path = wheels / "en_towns-0.3.0-py3-none-any.whl"
    if content is None:
        with ZipFile(path, "w") as archive:
            archive.writestr("en_towns/__init__.py", "")
    else:
        path.write_bytes(content)
    with pytest.raises(WnutError, match=message):
        push_pipeline(wheels, "en_towns")
    assert hub.uploads == [] and hub.repositories == {}


def test_missing_wheels(wheels, hub, tmp_path):
    with pytest.raises(WnutError, match=r"no wheels of en_cities in .*project run"):
        push_pipeline(wheels, "en_cities")
    with pytest.raises(WnutError, match="no wheels of en_towns and spacy_wnut in"):
        push_pipeline(tmp_path, "en_towns")


@pytest.mark.parametrize("repo", [[], ["--repo="], ["--repo", "ada/en_towns"]])
def test_command(wheels, hub, repo):
    """An empty name is that of project.yml's empty variable."""
    done = CliRunner().invoke(app, ["push", str(wheels), "en_towns", *repo])
    assert done.exit_code == 0
    assert (
        "pip install https://huggingface.co/ada/en_towns/resolve/main/" in done.stdout
    )
    assert [upload[0] for upload in hub.uploads] == ["ada/en_towns"]
