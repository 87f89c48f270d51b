"""Dependencies from the environment of the tests."""

import subprocess
import sys
from importlib.metadata import Distribution, PathDistribution

import pytest
from packaging.utils import canonicalize_name

from spacy_wnut.errors import WnutError
from spacy_wnut.packaging import installed
from spacy_wnut.packaging.installed import find_requirements, link_distributions


@pytest.fixture
def make_dist(tmp_path):
    """Write the metadata and files of a distribution. The path is that of RECORD."""

    def make(name, version="1.0", requires=(), files=(), record=True):
        folder = tmp_path / "lib" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        for file in files:
            path = folder.parent / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"name = {name!r}\n")
        if record:
            listed = [*files, f"{folder.name}/METADATA", "../../bin/run"]
            (folder / "RECORD").write_text("".join(f"{file},,\n" for file in listed))
        return PathDistribution(folder)

    return make


@pytest.fixture
def environment(monkeypatch):
    """Replace the installed distributions."""

    def install(*dists: Distribution):
        by_name = {dist.name.lower().replace("_", "-"): dist for dist in dists}

        def find(name):
            try:
                return by_name[name.lower().replace("_", "-")]
            except KeyError:
                raise installed.PackageNotFoundError(name) from None

        monkeypatch.setattr(installed, "distribution", find)
        monkeypatch.setattr(installed, "distributions", lambda: dists)

    return install


def names(dists):
    return sorted(dist.name for dist in dists)


def test_requirements_of_requirements_and_extras(make_dist, environment):
    environment(
        make_dist("App", requires=["core[fast]>=1", 'docs; extra == "docs"']),
        make_dist(
            "core",
            requires=[
                "base",
                'quick-one; extra == "fast"',
                'missing; extra == "slow"',
                'missing; sys_platform == "nowhere"',
            ],
        ),
        # A cycle, and a name that is written in two ways.
        make_dist("base", requires=["APP"]),
        make_dist("quick_one"),
        make_dist("docs"),
    )
    found = ["App", "base", "core", "quick_one"]
    assert names(find_requirements(["app"])) == found
    assert names(find_requirements(["app[docs]"])) == sorted([*found, "docs"])
    assert names(find_requirements(["base", "app[docs]"])) == sorted([*found, "docs"])


def test_given_distributions_replace_installed_ones(make_dist, environment):
    environment(make_dist("core", "1.0", ["old"]), make_dist("new"), make_dist("old"))
    given = [make_dist("core", "2.0", ["new"]), make_dist("app", "1.0", ["core>=2"])]
    assert names(find_requirements(["app"], given)) == ["new"]


@pytest.mark.parametrize(
    "requirement, message",
    [
        ("absent>=2", r"absent>=2 is not installed .* leave out --offline"),
        ("core>=2", r"core>=2 is required, but this environment has 1\.0\."),
        ("app", r"core<1 is required, but this environment has 1\.0\."),
    ],
)
def test_unsatisfied_requirement(make_dist, environment, requirement, message):
    environment(make_dist("core", "1.0"), make_dist("app", requires=["core<1"]))
    with pytest.raises(WnutError, match=message):
        find_requirements([requirement])


def test_prerelease_satisfies_a_requirement(make_dist, environment):
    environment(make_dist("core", "2.0rc1"))
    assert names(find_requirements(["core>=1"])) == ["core"]


def test_links_import_and_nothing_else_does(make_dist, environment, tmp_path):
    ours = make_dist("ours", files=["ours/__init__.py", "ours/deep/x.py", "one.py"])
    shared = make_dist("shared", files=["space/a.py", "space/sub/b.py"])
    other = make_dist("other", files=["space/c.py", "other.py"])
    environment(ours, shared, other)
    folder = tmp_path / "site"
    folder.mkdir()
    link_distributions([ours, shared], folder)
    code = (
        "import importlib.util, ours.deep.x, one, space.a, space.sub.b\n"
        "from importlib.metadata import version\n"
        "print(ours.deep.x.name, one.name, space.a.name, version('ours'))\n"
        "print([importlib.util.find_spec(x) for x in ('space.c', 'other')])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["ours ours shared 1.0", "[None, None]"], (
        done.stderr
    )
    assert not (tmp_path / "bin").exists()


@pytest.mark.parametrize("links", [True, False])
def test_files_are_copied_without_links(
    make_dist, environment, tmp_path, monkeypatch, links
):
    ours = make_dist("ours", files=["ours/x.py", "one.py", "gone/__init__.py"])
    environment(ours)
    (tmp_path / "lib" / "gone" / "__init__.py").unlink()
    (tmp_path / "lib" / "gone").rmdir()

    def refuse(*args, **options):
        raise OSError("A required privilege is not held by the client")

    if not links:
        monkeypatch.setattr(installed.os, "symlink", refuse)
    folder = tmp_path / "site"
    folder.mkdir()
    link_distributions([ours], folder)
    found = {path.name: path.is_symlink() for path in folder.iterdir()}
    expected = ["one.py", "ours", "ours-1.0.dist-info"]
    assert found == dict.fromkeys(expected, links)
    assert (folder / "ours" / "x.py").read_text() == "name = 'ours'\n"


def test_distribution_without_a_list_of_files(make_dist, environment, tmp_path):
    plain = make_dist("plain", record=False)
    environment(plain)
    with pytest.raises(WnutError, match=r"plain 1\.0 .*RECORD.* leave out --offline"):
        link_distributions([plain], tmp_path)


def test_pip_agrees_on_the_requirements_of_spacy():
    """`pip show` lists the direct requirements whose markers hold here."""
    show = [sys.executable, "-m", "pip", "show", "spacy"]
    done = subprocess.run(show, capture_output=True, text=True, check=True)
    [line] = [x for x in done.stdout.splitlines() if x.startswith("Requires: ")]
    direct = {canonicalize_name(name) for name in line[10:].split(", ")}
    found = {canonicalize_name(dist.name) for dist in find_requirements(["spacy"])}
    assert direct and direct <= found
    assert "torch" not in found
