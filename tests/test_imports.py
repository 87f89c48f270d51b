import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spacy_wnut

ROOT = Path(spacy_wnut.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "onnx",
    "onnxruntime",
    "tokenizers",
    "spacy_transformers",
    "seqeval",
    "pyarrow",
    "ray",
}
HEAVY_AT_HOME = {
    "annotation/ray_engine.py": {"pyarrow", "ray"},
    "annotation/ray_files.py": {"pyarrow"},
    "annotation/tables.py": {"pyarrow"},
    "models/encoder_shim.py": {"torch", "spacy_transformers", "transformers"},
    "models/stored_encoder.py": {"torch", "spacy_transformers", "transformers"},
    "models/transformer_model.py": {"torch", "spacy_transformers", "transformers"},
}

# Which rooms a room may look into. Data flows one way: a room knows the rooms
# before it, never those after it.
ROOMS = {
    "": {"about"},
    "about": set(),
    "errors": set(),
    "digests": {"files"},
    "files": {"errors"},
    "labels": set(),
    "chain": set(),
    "batching": set(),
    "tokenizer": set(),
    "decoding": {"batching", "chain", "labels"},
    "absence": {"batching", "chain", "decoding"},
    "gold": {"chain", "labels"},
    "corpus": {"labels", "errors", "files"},
    "models": {"batching", "chain", "errors", "files"},
    "integrity": {"errors"},
    "scoring": {"labels", "errors", "files", "corpus", "integrity"},
    "loss": {"absence", "chain", "decoding", "gold", "labels"},
    "entity_tagger": {"chain", "decoding", "errors", "labels", "loss", "models"},
    "factory": {"entity_tagger"},
    "calibration": {
        "chain",
        "decoding",
        "entity_tagger",
        "errors",
        "files",
        "scoring",
    },
    "display": {"about", "errors", "files", "labels", "scoring"},
    "bridge": {
        "about",
        "calibration",
        "card",
        "chain",
        "decoding",
        "entity_tagger",
        "errors",
        "files",
        "labels",
        "models",
        "scoring",
    },
    "sweep": {"calibration", "digests", "errors", "files", "scoring"},
    "annotation": {
        "about",
        "corpus",
        "entity_tagger",
        "errors",
        "files",
        "labels",
        "scoring",
    },
    "unlabelled": {
        "chain",
        "decoding",
        "digests",
        "entity_tagger",
        "errors",
        "files",
        "gold",
        "labels",
        "models",
        "scoring",
    },
    "card": set(),
    "packaging": {"about", "card", "errors", "files"},
    "__main__": {"cli"},
}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def room_of(path):
    """The first part of a module's name inside of the package, "" for itself."""
    first = path.relative_to(ROOT).with_suffix("").parts[0]
    return "" if first == "__init__" else first


def imported(node, path):
    """The absolute names of what an import statement may import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = ["spacy_wnut", *path.relative_to(ROOT).parent.parts]
        above = package[: len(package) - node.level + 1]
        base = ".".join([*above, base] if base else above)
    return [f"{base}.{alias.name}" for alias in node.names]


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node, path)


def imports_on_loading(path):
    """Those outside of functions and of `if TYPE_CHECKING`."""
    waiting = [ast.parse(path.read_text(encoding="utf8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node, path)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def rooms_imported(path):
    rooms = set()
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        if package == "spacy_wnut":
            room = rest.partition(".")[0]
            # A name that is no module is the package's own, as in
            # `from spacy_wnut import __version__`.
            is_module = (ROOT / room).is_dir() or (ROOT / f"{room}.py").is_file()
            rooms.add(room if is_module else "")
    return rooms - {room_of(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_the_rooms_before_it_alone(path):
    room = room_of(path)
    if room != "cli":
        # A new room needs its rule.
        assert rooms_imported(path) <= ROOMS[room]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_where_they_are_used(path):
    packages = {name.partition(".")[0] for name in imports_on_loading(path)}
    assert packages & HEAVY <= HEAVY_AT_HOME.get(name_of(path), set())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_else_loads_their_home(path):
    if name_of(path) not in HEAVY_AT_HOME:
        homes = {f"spacy_wnut.{home[:-3].replace('/', '.')}" for home in HEAVY_AT_HOME}
        loaded = {*imports_on_loading(path)}
        loaded |= {name.rpartition(".")[0] for name in loaded}
        assert not loaded & homes


def test_the_checks_see_imports():
    decoding, model = ROOT / "decoding.py", ROOT / "models" / "transformer_model.py"
    assert rooms_imported(decoding) == {"batching", "chain", "labels"}
    assert rooms_imported(ROOT / "__main__.py") == {"cli"}
    packages = {name.partition(".")[0] for name in imports_on_loading(model)}
    assert packages & HEAVY == HEAVY_AT_HOME["models/transformer_model.py"]


def test_the_package_itself_imports_nothing_heavy():
    code = "import sys, spacy_wnut; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "spacy_wnut.about" in loaded
    assert not loaded & (HEAVY | {"spacy", "thinc", "numpy"})
