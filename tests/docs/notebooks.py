"""Runs notebooks, each in an empty folder and in a kernel of its own.

A lesson has exercises: a cell with the tag ``exercise``, then one with the tag ``check``, then a
cell of text with the tag ``solution``, whose block of Python stands in the place of the exercise.
`run_notebook` runs the check of each exercise twice: as the student finds it, where it must fail,
and with the solution, where it must pass.
"""

from __future__ import annotations

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
        If the check of an exercise passes before it is solved, or ends with another error than
        that of an assert.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    ran = _executed(_with_trials(notebook))
    for cell in ran.cells:
        if has(cell, UNSOLVED):
            _must_have_failed(path, cell)
    trials = (UNSOLVED, SOLVED, "exercise", "check")
    outputs = {cell.id: cell for cell in ran.cells if not any(has(cell, tag) for tag in trials)}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            made = outputs.get(cell.id)
            cell.outputs = made.outputs if made else []
            cell.execution_count = made.execution_count if made else None
    return notebook


def _with_trials(notebook: Any) -> Any:
    """Return a copy in which each exercise is tried as it is found, then solved."""
    tried = copy.deepcopy(notebook)
    for exercise, check, solution in exercises(tried):
        k = tried.cells.index(exercise)
        check.metadata["tags"] = [UNSOLVED, "raises-exception"]
        solved, passed = copy.deepcopy(exercise), copy.deepcopy(check)
        again = copy.deepcopy(exercise)  # later cells must not need the solution
        solved.source = Exercise(exercise, check, solution).code
        for n, cell in enumerate((solved, passed, again)):
            cell.id, cell.metadata["tags"] = f"{exercise.id}-{n}", [SOLVED]
        tried.cells[k + 2 : k + 2] = [solved, passed, again]
    return tried


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


def _must_have_failed(path: Path, cell: Any) -> None:
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
