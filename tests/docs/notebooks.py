"""Runs notebooks, each in an empty folder and in a kernel of its own.

A lesson has exercises: a cell with the tag ``exercise``, then one with the tag ``check``, then a
cell of text with the tag ``solution``, whose block of Python stands in the place of the exercise.
`run_notebook` runs the check of each exercise as the student finds it and half solved, where it
must fail with a hint, and with the solution, where it must pass.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
LESSONS = [path for path in NOTEBOOKS if path.stem[0].isdigit()]
LIMIT = 300  # seconds for a cell, far more than any takes
SOLUTION = re.compile(
    r"<details>\n<summary>Solution</summary>\n\n```python\n(?P<code>.*)\n```\n\n</details>",
    re.DOTALL,
)
UNSOLVED, SOLVED = "check unsolved", "check solved"


class Exercise(NamedTuple):
    """Three cells that follow each other."""

    exercise: Any
    check: Any
    solution: Any

    @property
    def code(self) -> str:
        """What solves it."""
        found = SOLUTION.fullmatch(self.solution.source)
        assert found, f"not a hidden block of Python: {self.solution.source!r}"
        return found["code"]

    @property
    def half_solved(self) -> list[str]:
        """The code with the first answer filled in, the first two and so on, but not all."""
        answers = [node.targets[0].id for node in _assigned(self.exercise.source) if _blank(node)]
        codes = []
        for k in range(1, len(answers)):
            tree = ast.parse(self.code)
            for node in _assigned(tree):
                if node.targets[0].id in answers[k:]:
                    node.value = ast.Constant(...)
            codes.append(ast.unparse(tree))
        return codes


def _assigned(code: str | ast.AST) -> list[Any]:
    """Return the assignments to one name, in the order of their lines."""
    tree = ast.parse(code) if isinstance(code, str) else code
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    named = [node for node in found if isinstance(node.targets[0], ast.Name)]
    return sorted(named, key=lambda node: node.lineno)


def _blank(node: ast.Assign) -> bool:
    """Say whether an assignment is ``name = ...``."""
    return isinstance(node.value, ast.Constant) and node.value.value is ...


def has(cell: Any, tag: str) -> bool:
    """Say whether a cell has a tag."""
    return tag in cell.metadata.get("tags", [])


def exercises(notebook: Any) -> list[Exercise]:
    """Return the exercises of a notebook."""
    cells = notebook.cells
    return [Exercise(*cells[k : k + 3]) for k in range(len(cells)) if has(cells[k], "exercise")]


def run_notebook(path: Path) -> Any:
    """Return the notebook with the outputs of all cells; an error in one is raised.

    The cells of exercises stay as they are, without outputs.

    Raises
    ------
    AssertionError
        If the check of an exercise passes before it is wholly solved, or ends with another error
        than that of an assert.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    ran = _executed(_with_trials(notebook))
    for cell in ran.cells:
        if has(cell, UNSOLVED):
            must_have_failed(path, cell)
    trials = (UNSOLVED, SOLVED, "exercise", "check")
    outputs = {cell.id: cell for cell in ran.cells if not any(has(cell, tag) for tag in trials)}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            made = outputs.get(cell.id)
            cell.outputs = made.outputs if made else []
            cell.execution_count = made.execution_count if made else None
    return notebook


def _with_trials(notebook: Any) -> Any:
    """Return a copy in which each exercise is tried as it is found, half solved, then solved."""
    tried = copy.deepcopy(notebook)
    for one in exercises(tried):
        exercise, check, _ = one
        k = tried.cells.index(exercise)
        check.metadata["tags"] = [UNSOLVED, "raises-exception"]
        trials = []
        for code in one.half_solved:
            trials += [_copy(exercise, [SOLVED], code), _copy(check, check.metadata["tags"])]
        trials += [_copy(exercise, [SOLVED], one.code), _copy(check, [SOLVED])]
        trials.append(_copy(exercise, [SOLVED]))  # later cells must not need the solution
        for n, cell in enumerate(trials):
            cell.id = f"{exercise.id}-{n}"
        tried.cells[k + 2 : k + 2] = trials
    return tried


def _copy(cell: Any, tags: list[str], code: str | None = None) -> Any:
    """Return a copy with other tags, and other code if there is any."""
    made = copy.deepcopy(cell)
    made.metadata["tags"] = list(tags)
    made.source = made.source if code is None else code
    return made


def _executed(notebook: Any) -> Any:
    """Run all cells in an empty folder."""
    from nbclient import NotebookClient

    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {"PYTHONPATH": str(ROOT), "PATH": programs, "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=LIMIT, resources=resources, coalesce_streams=True)
        client.execute(env=env)
    return notebook


def must_have_failed(path: Path, cell: Any) -> None:
    """Raise AssertionError unless a check ended with an assert that has a message."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    where = f"{path.name}, the check\n{cell.source}\n"
    assert errors, f"{where}passes before the exercise is solved"
    (error,) = errors
    assert error.ename == "AssertionError", f"{where}ends with {error.ename}: {error.evalue}"
    assert error.evalue, f"{where}says nothing"


def shown(notebook: Any) -> list[str]:
    """Return what each cell of code printed, as text."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        parts = [output.get("text", "") for output in cell.outputs]
        parts += [output.get("data", {}).get("text/plain", "") for output in cell.outputs]
        texts.append("".join(parts))
    return texts
