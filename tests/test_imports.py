import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
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
    "bulk/ray_engine.py": {"pyarrow", "ray"},
    "bulk/ray_files.py": {"pyarrow"},
    "bulk/formats/parquet.py": {"pyarrow"},
    "models/encoder_shim.py": {"torch", "spacy_transformers", "transformers"},
    "models/stored_encoder.py": {"torch", "spacy_transformers", "transformers"},
    "models/transformer_model.py": {"torch", "spacy_transformers", "transformers"},
}

# A row of the table of rooms: `room`, contents, `imports`.
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", re.MULTILINE)


def read_rooms():
    """The rooms in the order of the table in docs/design.md, with those they import."""
    text = (ROOT.parent / "docs" / "design.md").read_text(encoding="utf8")
    return {
        room: set(re.findall(r"`(\w+)`", imports))
        for room, imports in ROW.findall(text)
    }


ROOMS = read_rooms()


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def module_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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


def test_each_room_is_in_the_table():
    rooms = {room_of(path) for path in MODULES}
    assert rooms - {"", "__main__"} == set(ROOMS)


def test_rooms_import_only_rooms_above_them():
    above = set()
    for room, imports in ROOMS.items():
        assert imports <= above, room
        above.add(room)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_exactly_those_in_the_table(room):
    paths = [path for path in MODULES if room_of(path) == room]
    assert set().union(*map(rooms_imported, paths)) == ROOMS[room]


def test_no_two_files_import_each_other():
    names = {module_of(path) for path in MODULES}
    graph = {
        module_of(path): {
            found
            for name in imports_of(path)
            # A name in a module, or a module in a package.
            for found in (name, name.rpartition(".")[0])
            if found in names and found != module_of(path)
        }
        for path in MODULES
    }
    # Raises CycleError, with the modules of the cycle.
    assert len(list(TopologicalSorter(graph).static_order())) == len(names)


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
    decoding, model = ROOT / "crf/decoding.py", ROOT / "models/transformer_model.py"
    assert rooms_imported(decoding) == {"labels"}
    assert rooms_imported(ROOT / "crf/batches.py") == {"batching"}
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
