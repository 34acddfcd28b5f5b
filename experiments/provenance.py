"""Where a figure comes from: the commit it was measured at, and whether its code has changed since.

Results and pages are no code: a commit counts as clean if nothing but them was changed. A Python
file has changed if its statements have; comments and docstrings change no figure. Of a notebook
that is measured, only the statements of its cells with the tag ``measured`` count.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import NamedTuple

from experiments.tasks import TASKS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
NOTEBOOK = ".ipynb"
MEASURED = tuple(path for task in TASKS for path in task.of if path.endswith(NOTEBOOK))
CODE = ("cnnexp", "conf", "experiments", "tests", "pyproject.toml", *MEASURED)
NO_CODE = ("experiments/results", "experiments/figures", "*.md", "*.png")
SHORT = 10  # digits of a commit
IN_TEXT = re.compile(r"^#.*\bcommit:? ([0-9a-f]{7,40})( and changes|\+)?", re.MULTILINE)


class NoCommit(Exception):
    """There is no repository, or no such commit in it."""


class Stated(NamedTuple):
    """What a file of results says of its origin.

    Attributes
    ----------
    commits : tuple of str
        The commits it was measured at, shortened; empty if it names none.
    dirty : bool
        Whether the code had uncommitted changes.
    """

    commits: tuple[str, ...]
    dirty: bool = False


def git(*words: str, root: Path | None = None) -> str:
    """Return what a git command prints.

    Raises
    ------
    NoCommit
        If it fails.
    """
    done = subprocess.run(
        ["git", "-C", str(root or ROOT), *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoCommit(done.stderr.strip() or f"git {words[0]} failed")
    return done.stdout


def changed_files(root: Path | None = None) -> list[str]:
    """Return the files of code with changes that are not committed, new ones among them."""
    excluded = [f":(exclude){pattern}" for pattern in NO_CODE]
    lines = git("status", "--porcelain", "--", *CODE, *excluded, root=root).splitlines()
    found = [line[3:] for line in lines]
    return [name for name in found if not name.endswith(NOTEBOOK) or _has_other_cells(name, root)]


def _has_other_cells(name: str, root: Path | None) -> bool:
    """Say whether the measured cells of a notebook are not those of the commit."""
    path = (root or ROOT) / name
    try:
        then = {name: git("show", f"HEAD:{name}", root=root).encode()}
    except NoCommit:  # a new file
        then = {}
    now = {name: path.read_bytes()} if path.exists() else {}
    return meaning(name, then) != meaning(name, now)


def changes() -> list[str]:
    """Return the same; nothing where there is no repository."""
    try:
        return changed_files()
    except (NoCommit, OSError):
        return []


def commit() -> str:
    """Return the commit of the code, shortened, with a + if the code was changed; or nothing."""
    try:
        return git("rev-parse", "HEAD")[:SHORT] + ("+" if changed_files() else "")
    except (NoCommit, OSError):
        return ""


def last_change() -> str:
    """Return the newest commit that changed code: commits of results alone do not count."""
    excluded = [f":(exclude){pattern}" for pattern in NO_CODE]
    return git("log", "-1", "--format=%H", "--", *CODE, *excluded).strip()


def stated(path: Path) -> Stated:
    """Return what a CSV file says of its origin: in the column commit, or in a comment."""
    text = path.read_text(encoding="utf-8")
    found = [(match[1], bool(match[2])) for match in IN_TEXT.finditer(text)]
    if not found:
        rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
        named = {row.get("commit") or "" for row in rows} - {""}
        found = [(name.rstrip("+"), name.endswith("+")) for name in sorted(named)]
    commits = dict.fromkeys(name[:SHORT] for name, _ in found)
    return Stated(tuple(commits), any(dirty for _, dirty in found))


@cache
def changes_since(commit: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files below some paths whose code is not what it was at a commit.

    Raises
    ------
    NoCommit
        If the repository has no such commit.
    """
    then, now = code_at(commit), code_at("HEAD")
    below = [
        name
        for name in sorted(then.keys() | now.keys())
        if any(name == path or name.startswith(f"{path}/") for path in paths)
    ]
    return tuple(name for name in below if meaning(name, then) != meaning(name, now))


@cache
def code_at(commit: str) -> dict[str, bytes]:
    """Return the files of code at a commit, by name."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise NoCommit(done.stderr.decode(errors="replace").strip())
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        members = [m for m in archive if m.isfile() and is_code(m.name)]
        return {m.name: archive.extractfile(m).read() for m in members}  # type: ignore[union-attr]


def is_code(name: str) -> bool:
    """Say whether a file is neither a result nor a page."""
    below = any(name.startswith(f"{folder}/") for folder in NO_CODE)
    return not below and not any(fnmatch(name, pattern) for pattern in NO_CODE)


def meaning(name: str, files: dict[str, bytes]) -> str | bytes:
    """Return what a file says, of Python its statements; nothing if it is not there.

    Of a notebook: the statements of its measured cells.
    """
    content = files.get(name, b"")
    if name.endswith(NOTEBOOK) and content:
        return _statements("\n".join(measured_cells(content)).encode())
    return _statements(content) if name.endswith(".py") and content else content


def measured_cells(notebook: bytes | str) -> list[str]:
    """Return the code of a notebook that a benchmark measures: its cells with that tag."""
    cells = json.loads(notebook)["cells"]
    tagged = [cell for cell in cells if "measured" in cell["metadata"].get("tags", [])]
    return ["".join(cell["source"]) for cell in tagged]


@cache
def _statements(content: bytes) -> str:
    return statements(content.decode())


def statements(source: str) -> str:
    r"""Return the statements of a Python file, without docstrings and places.

    Examples
    --------
    >>> statements("'''A.'''\nx = 1  # one") == statements("x = 1")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body: Sequence[ast.AST] = getattr(node, "body", ())
        if isinstance(body, list) and body and _is_text(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    value = getattr(node, "value", None)
    constant = isinstance(node, ast.Expr) and isinstance(value, ast.Constant)
    return constant and isinstance(value.value, str)  # type: ignore[union-attr]
