"""Which room may import which: the arrows of the design, read off the code itself."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import cnnexp

PACKAGE = Path(cnnexp.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
BASE = {"errors", "registry"}

ARROWS = {
    "errors": set(),
    "registry": {"errors"},
    "engine": BASE,
    "nn": BASE | {"engine"},
    "data": BASE,
    "train": BASE | {"nn", "data"},
    "runs": BASE | {"nn", "data", "cnnexp"},
    "report": BASE | {"runs", "cnnexp"},
    "trackers": BASE,
    "exchange": BASE | {"engine", "nn"},
    "classic": BASE | {"nn", "train"},
    "cnnexp": BASE | {"engine", "nn", "runs"},  # the package's own names
    "sklearn": BASE | {"nn"},  # imported by none of the others
    "app": BASE
    | {"engine", "nn", "data", "train", "runs", "report", "trackers", "exchange", "cnnexp"},
    "plugins": {"app"},
    "__main__": {"app"},
}

ONLY_NUMPY = {"errors", "registry", "engine", "nn", "train", "classic", "cnnexp"}
KNOW_HYDRA = {"app", "plugins"}
DRAW = {"report"}
HYDRA = {"hydra", "omegaconf", "yaml"}
LATE = {
    ("nn", "cnnexp.train.fitting"),  # Network.fit imports it once it is called
    ("cnnexp", "cnnexp.app.api"),  # the package does, once cnnexp.run or cnnexp.sweep is asked for
}
INSIDE_FUNCTIONS = {
    "threadpoolctl",
    "cupy",
    "numba",
    "llvmlite",
    "filelock",
    "platformdirs",
}  # what rooms of NumPy alone may use once they compute


WITH_NUMBA = {"engine/compiled/tile_code.py"}  # imported when a kernel is compiled


class Import(NamedTuple):
    """One imported module, and whether importing the file imports it."""

    file: Path
    module: str
    at_once: bool

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return "cnnexp" if parts == ("__init__.py",) else parts[0].removesuffix(".py")


def room_named(module: str) -> str:
    return module.split(".")[1] if "." in module else "cnnexp"


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(path: Path, for_types: bool = False) -> list[Import]:
    """Return all imports of a file, also inside functions; those for type checkers if asked."""
    return list(each_import(path, for_types))


def each_import(path: Path, for_types: bool) -> Iterator[Import]:
    waiting = [(node, True) for node in parsed(path).body]
    while waiting:
        node, at_once = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (Import(path, alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            if module == "cnnexp":  # from cnnexp import errors
                for alias in node.names:
                    known = alias.name in ARROWS
                    yield Import(path, f"cnnexp.{alias.name}" if known else module, at_once)
            else:
                for name in {place_of(f"{module}.{alias.name}") for alias in node.names}:
                    yield Import(path, name or module, at_once)
        elif for_types or not is_type_checking(node):
            inner = at_once and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            waiting += [(child, inner) for child in ast.iter_child_nodes(node)]


MODULES = {
    ".".join(("cnnexp", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in FILES
}


def place_of(module: str) -> str:
    """Return the name of a module if it is a file of the package: ``from package import file``."""
    return module if module in MODULES else ""


def third_party(path: Path) -> list[Import]:
    return [
        found
        for found in imports(path)
        if found.package not in {"cnnexp", *sys.stdlib_module_names}
    ]


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


ROOMS = sorted({room_of(path) for path in FILES})


def files_of(room: str) -> list[Path]:
    return [path for path in FILES if room_of(path) == room]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    assert room in ARROWS, f"{room} is a new room: say here what it may import"
    for path in files_of(room):
        for found in imports(path):
            if found.package == "cnnexp":
                other = room_named(found.module)
                late = (room, found.module) in LATE and not found.at_once
                known = other == room or other in ARROWS[room] or late
                assert known, f"{named(path)} imports {found.module}"


def neighbours(path: Path) -> set[Path]:
    """Return the files of the package that a file imports."""
    found = [i for i in imports(path, for_types=True) if i.package == "cnnexp"]
    own = [i.module for i in found if (room_of(path), i.module) not in LATE]
    names = [name for module in own for name in (module, f"{module}.__init__")]
    return {MODULES[name] for name in names if name in MODULES} - {path}


def cycle(start: Path, graph: dict[Path, set[Path]]) -> list[str]:
    """Return the files of a cycle of imports through a file; none if there is no such."""
    waiting = [[start]]
    seen = set()
    while waiting:
        way = waiting.pop()
        for following in graph.get(way[-1], ()):
            if following == start:
                return [named(path) for path in [*way, start]]
            if following not in seen:
                seen.add(following)
                waiting.append([*way, following])
    return []


ACYCLIC = {"engine", "nn", "train", "data", "app"}


@pytest.fixture(scope="module")
def graph():
    return {file: neighbours(file) for file in FILES}


@pytest.mark.parametrize("room", sorted(ACYCLIC))
def test_no_file_imports_itself_by_way_of_others(room, graph):
    """Imports inside functions and for type checkers count as well."""
    found = {named(path): cycle(path, graph) for path in files_of(room)}
    assert {name: way for name, way in found.items() if way} == {}


APP = ("settings", "compose", "running", "sweeps")  # from the bottom to the top


@pytest.mark.parametrize("part", APP)
def test_no_part_of_the_app_knows_those_above_it(part, graph):
    above = {*APP[APP.index(part) + 1 :], "commands", "reference"}
    for path in files_of("app"):
        if path.parent.name == part:
            parts = {found.parent.name for found in graph[path] if "app" in found.parts}
            assert not parts & above, named(path)


def test_a_circle_would_be_found():
    graph = {PACKAGE / "a": {PACKAGE / "b"}, PACKAGE / "b": {PACKAGE / "c"}}
    assert cycle(PACKAGE / "a", graph) == []
    graph[PACKAGE / "c"] = {PACKAGE / "a"}
    assert cycle(PACKAGE / "a", graph) == ["a", "b", "c", "a"]


@pytest.mark.parametrize("room", ROOMS)
def test_only_numpy_is_imported_at_once(room):
    """Everything else is imported inside the functions that use it."""
    allowed = {"numpy"} | (HYDRA if room in KNOW_HYDRA else set())
    allowed |= {"sklearn"} if room == "sklearn" else set()
    for path in files_of(room):
        here = allowed | ({"numba", "llvmlite"} if named(path) in WITH_NUMBA else set())
        at_once = {found.package for found in third_party(path) if found.at_once}
        assert at_once <= here, named(path)


@pytest.mark.parametrize("name", sorted(WITH_NUMBA))
def test_what_needs_numba_is_imported_late(name):
    importers = [path for path in FILES if PACKAGE / name in neighbours(path)]
    assert importers
    module = f"cnnexp.{name.removesuffix('.py').replace('/', '.')}"
    code = f"import sys, cnnexp.engine, cnnexp.nn; assert {module!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("room", [room for room in ROOMS if room in ONLY_NUMPY])
def test_the_engine_and_the_networks_need_numpy_alone(room):
    for path in files_of(room):
        packages = {found.package for found in third_party(path)}
        assert packages <= {"numpy", *INSIDE_FUNCTIONS}, named(path)


@pytest.mark.parametrize("room", ROOMS)
def test_only_the_app_knows_hydra_and_prints_and_only_the_report_draws(room):
    for path in files_of(room):
        packages = {found.package for found in third_party(path)}
        if room not in KNOW_HYDRA:
            assert not packages & HYDRA, named(path)
        if room not in DRAW:
            assert "matplotlib" not in packages, named(path)
        if room not in {"app", "__main__"}:
            calls = [n.func for n in ast.walk(parsed(path)) if isinstance(n, ast.Call)]
            names = {called.id for called in calls if isinstance(called, ast.Name)}
            assert "print" not in names, named(path)


def test_one_file_knows_the_inside_of_hydra():
    inside = {named(p) for p in FILES for i in imports(p, True) if "hydra._internal" in i.module}
    assert inside == {"app/compose/hydra_bridge.py"}


def test_this_test_sees_imports_inside_functions(tmp_path):
    path = tmp_path / "code.py"
    path.write_text(
        "import numpy\nif TYPE_CHECKING:\n    import pandas\n"
        "class A:\n    import rich\n    def f(self):\n        from cnnexp.app import main\n"
    )
    found = {(i.module, i.at_once) for i in imports(path)}
    assert found == {("numpy", True), ("rich", True), ("cnnexp.app.main", False)}
