"""The documentation: its Python runs, its commands exist, its links lead somewhere."""

import importlib
import importlib.util
import inspect
import re
import shlex
from operator import attrgetter
from pathlib import Path

import pytest
import spacy
import srsly
import typer
import uvicorn
from spacy.cli._util import app as spacy_app
from thinc.api import Config
from weasel.util.config import parse_config_overrides

from spacy_wnut.cli import app
from spacy_wnut.pipeline.factory import make_entity_tagger

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
# Programs that samples may call beside those that are checked.
OTHERS = {
    *(
        ".",
        "cd",
        "cat",
        "cp",
        "curl",
        "export",
        "gunicorn",
        "mkdir",
        "mkdocs",
        "mypy",
        "pip",
    ),
    *("pre-commit", "ruff", "tail", "zcat"),
}


def blocks(page, language):
    """The code blocks of a page in a language."""
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(
        pattern, page.read_text(encoding="utf8"), re.DOTALL | re.MULTILINE
    )


def commands(page):
    """The shell commands of a page, a list of words each, without redirections."""
    for block in blocks(page, "(?:bash|shell|sh)"):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words = [[]]
            for word in lexer:
                if set(word) <= set("|&;"):
                    words.append([])
                else:
                    words[-1].append(word)
            for command in filter(None, words):
                ends = [i for i, word in enumerate(command) if word in ("<", ">", ">>")]
                command = command[: ends[0]] if ends else command
                while command and re.fullmatch(r"\w+=\S*", command[0]):
                    command = command[1:]
                yield command


COMMANDS = [(page, words) for page in PAGES for words in commands(page)]


def name_of(value):
    if isinstance(value, Path):
        return value.relative_to(ROOT).as_posix()
    return " ".join(value)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=name_of
)
def test_python_runs(page, trained_folder, tmp_path, monkeypatch):
    """A page's blocks one after the other, on a pipeline that knows a few posts."""
    load = spacy.load

    def load_installed(name, **options):
        return load(trained_folder if name == "en_wnut_ner" else name, **options)

    monkeypatch.setattr(spacy, "load", load_installed)
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)


def parse(program, words):
    """Parse a command's arguments: fails for a command or an option that isn't there,
    a value of the wrong type, and an argument too many or too few.
    """
    command = typer.main.get_command(program).commands[words[0]]
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    is_train = program is spacy_app and words[0] == "train"
    # Typer only parses: files needn't be there.
    return command.make_context(words[0], words[1:], **(settings if is_train else {}))


@pytest.mark.parametrize("page, words", COMMANDS, ids=name_of)
def test_commands_exist(page, words):
    if words[0] == "spacy-wnut":
        parse(app, words[1:])
    elif words[:3] == ["python", "-m", "spacy_wnut"]:
        parse(app, words[3:])
    elif words[:4] == ["python", "-m", "spacy", "train"]:
        context = parse(spacy_app, words[3:])
        config = Config().from_disk(ROOT / context.params["config_path"])
        for word in context.args:
            if word.startswith("--"):
                *sections, key = word.removeprefix("--").split(".")
                section = config
                for name in sections:
                    section = section[name]
                assert key in section, word
    elif words[:5] == ["python", "-m", "spacy", "project", "run"]:
        project = srsly.read_yaml(ROOT / "project.yml")
        names = {command["name"] for command in project["commands"]}
        assert words[5] in names | set(project["workflows"])
        # "." is the folder. weasel refuses values that look like options.
        overrides = parse_config_overrides([*words[7:]], env_var=None)
        assert "true" not in map(str, overrides.values())
        given = {word for word in words[6:] if word.startswith("--")}
        assert given <= {f"--vars.{name}" for name in project["vars"]}
    elif words[:2] == ["python", "-m"] and words[2].startswith("benchmarks."):
        parse(importlib.import_module(words[2]).app, words[3:])
    elif words[:5] == ["python", "-m", "spacy", "project", "assets"]:
        assert words[5:] == []
    elif words[0] == "uvicorn":
        uvicorn.main.make_context("uvicorn", words[1:])
    else:
        modules = (["python", "-m", "pytest"], ["python", "-m", "venv"])
        assert words[0] in OTHERS or words[:3] in modules


def test_samples_are_found():
    """What is checked above is there, and what isn't a command is seen as wrong."""
    words = [words for _, words in COMMANDS]
    assert ["spacy-wnut", "check", "packages", "en_wnut_ner"] in words
    assert ["tail", "-f", "posts.txt"] in words
    assert ["spacy-wnut", "show", "en_wnut_ner"] in words
    assert sum(len(blocks(page, "python")) for page in PAGES) >= 10
    for wrong, message in (
        (["shwo", "m"], "shwo"),
        (["show", "m", "--htlm", "x"], "No such option"),
        (["report", "m", "c"], "Missing option|Missing parameter"),
    ):
        with pytest.raises(Exception, match=message):
            parse(app, wrong)
    with pytest.raises(KeyError):
        test_commands_exist(
            None,
            shlex.split(
                "python -m spacy train configs/tutorial.cfg --training.nope.x 1"
            ),
        )


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf8").splitlines()) <= 150


def first_column(page, heading):
    """The names in backticks in the first column of the table after a heading."""
    text = page.read_text(encoding="utf8").partition(f"{heading}\n")[2]
    table = re.search(r"^\|.*?\n(?!\|)", text, re.DOTALL | re.MULTILINE)[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)]


def test_readme_lists_all_commands():
    # The tiny encoder is for tests.
    commands = set(typer.main.get_command(app).commands) - {"tiny-encoder"}
    listed = first_column(ROOT / "README.md", "## Commands")
    assert sorted(listed) == sorted(commands)


def test_all_project_variables_are_documented():
    # Variables that are made from others are not for users.
    variables = srsly.read_yaml(ROOT / "project.yml")["vars"]
    own = [name for name, value in variables.items() if "${" not in str(value)]
    listed = first_column(ROOT / "docs" / "training.md", "### Project variables")
    assert sorted(listed) == sorted(own)


def test_all_settings_are_documented():
    listed = first_column(ROOT / "docs" / "api.md", "## Settings")
    arguments = set(inspect.signature(make_entity_tagger).parameters)
    assert set(listed) == arguments - {"nlp", "name", "model", "scorer"}


def anchors(page):
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", one).lower().replace(" ", "-") for one in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)[^)]*\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            linked = page.parent / target if target else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_in_pages_exist(page):
    """Paths of Python files and of folders of tests, from the root or the package."""
    text = page.read_text(encoding="utf8")
    for path in re.findall(r"\b[\w/]+/\w+\.py\b|\btests/\w+\b", text):
        assert (ROOT / path).exists() or (ROOT / "spacy_wnut" / path).exists(), path


def test_code_in_the_design_exists():
    """The tables that follow the data name functions as `function` in `file`."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf8")
    pairs = re.findall(r"`([\w.]+)` in\s`(\w+(?:/\w+)*)\.py`", text)
    assert ("decode", "crf/decoding") in pairs
    for function, path in pairs:
        module = importlib.import_module(f"spacy_wnut.{path.replace('/', '.')}")
        assert callable(attrgetter(function)(module))


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf8")
    missing = [
        page.name
        for page in (ROOT / "docs").glob("*.md")
        if not re.search(rf": {re.escape(page.name)}$", text, re.MULTILINE)
    ]
    assert missing == []


@pytest.fixture(scope="module")
def docstrings():
    pytest.importorskip("griffe", reason="the site needs mkdocstrings")
    path = ROOT / "docs" / "docstrings.py"
    spec = importlib.util.spec_from_file_location("docs_docstrings", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_docstrings_of_ours_are_understood(docstrings):
    import griffe

    text = """Score a corpus.

    More (see there): words.

    gold (Dict[str, Any]): The right
        entities.
    starts, ends (Ints1d): Where
        they are.
    RETURNS (List[Tuple[int, int]]): Pairs.

    Raises ValueError if not.

    Example:
        >>> score()
    """
    text = "\n".join(line.removeprefix("    ") for line in text.split("\n")).strip()
    parsed = griffe.Docstring(docstrings.convert(text, "Args")).parse("google")
    kinds = {section.kind.value: section.value for section in parsed}
    assert [
        (one.name, one.annotation, one.description) for one in kinds["parameters"]
    ] == [
        ("gold", "Dict[str, Any]", "The right\nentities."),
        ("starts", "Ints1d", "Where\nthey are."),
        ("ends", "Ints1d", "Where\nthey are."),
    ]
    [returned] = kinds["returns"]
    assert (returned.annotation, returned.description) == (
        "List[Tuple[int, int]]",
        "Pairs.",
    )
    assert "examples" in kinds
    texts = [section.value for section in parsed if section.kind.value == "text"]
    assert "\n".join(texts).startswith("Score a corpus.\n\nMore (see there): words.")
    assert "Raises ValueError if not." in texts


def test_a_property_returns(docstrings):
    converted = docstrings.convert("RETURNS (float): The bias.", "Args")
    assert converted.strip() == "Returns:\n    (float): The bias."
