"""The notebooks run, and print what they are kept with, but for figures."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import warnings

import pytest

from tests.docs.notebooks import (
    LESSONS,
    NOTEBOOKS,
    Exercise,
    exercises,
    has,
    must_have_failed,
    run_notebook,
    shown,
)
from tests.docs.pages import ROOT
from tests.docs.running import words

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
LINK = re.compile(r"\]\((?!http)([^)#]+)")


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_is_kept_with(path):
    """Exercises too: their checks fail as they are found, and pass with the solutions."""
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the machinery around notebooks
        notebook = run_notebook(path)
    assert [words(text) for text in shown(notebook)] == [words(text) for text in shown(read(path))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_its_outputs(path):
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    ran = [cell for cell in code if not (has(cell, "exercise") or has(cell, "check"))]
    assert all(cell.execution_count for cell in ran)
    assert not any(cell.outputs for cell in code if cell not in ran)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_links_of_a_notebook_lead_somewhere(path):
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    for target in LINK.findall("\n".join(texts)):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_a_goal_and_exercises_with_hidden_solutions(path):
    notebook = read(path)
    assert "**Goal:**" in notebook.cells[0].source
    assert "minutes" in notebook.cells[0].source
    found = exercises(notebook)
    assert 2 <= len(found) <= 4
    for _, check, solution in found:
        assert has(check, "check") and "assert" in check.source
        assert has(solution, "solution")
    assert sum(has(cell, "solution") for cell in notebook.cells) == len(found)
    for one in found:
        assert one.exercise.source != one.code
        compile(one.code, str(path), "exec")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (None, "passes before the exercise is solved"),
        (("NameError", "name 'x' is not defined"), "ends with NameError"),
        (("AssertionError", ""), "says nothing"),
    ],
)
def test_a_check_that_does_not_help_is_found_out(error, fault):
    cell = nbformat.v4.new_code_cell("assert x > 1")
    if error:
        output = nbformat.v4.new_output("error", ename=error[0], evalue=error[1], traceback=[])
        cell.outputs = [output]
    with pytest.raises(AssertionError, match=fault):
        must_have_failed(LESSONS[0], cell)


def test_half_solved_is_filled_in_from_the_top():
    cells = [nbformat.v4.new_code_cell("def f():\n    a = ...\n    b = ...\n    c = 1")]
    cells += [nbformat.v4.new_code_cell("assert f"), nbformat.v4.new_markdown_cell("")]
    solution = "def f():\n    a = 2\n    b = a\n    c = 1"
    cells[
        2
    ].source = f"<details>\n<summary>Solution</summary>\n\n```python\n{solution}\n```\n\n</details>"
    assert Exercise(*cells).half_solved == [solution.replace("b = a", "b = ...")]


def test_a_teacher_hands_out_notebooks_without_solutions_and_outputs(tmp_path):
    """By the command of the lesson plan; a lesson takes its pictures along."""
    command = "python docs/handout.py handout"
    assert command in (ROOT / "docs" / "course" / "teacher.md").read_text(encoding="utf-8")
    target = tmp_path / "handout"
    program = [sys.executable, str(ROOT / "docs" / "handout.py"), str(target)]
    said = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    assert sorted(path.name for path in target.iterdir()) == [path.name for path in NOTEBOOKS]
    assert f"{len(NOTEBOOKS)} notebooks" in said
    for path in NOTEBOOKS:
        handout, kept = read(target / path.name), read(path)
        nbformat.validate(handout)
        assert len(handout.cells) == len(kept.cells) - len(exercises(kept))
        assert not any(has(cell, "solution") or cell.get("outputs") for cell in handout.cells)
        assert not any("](../pictures/" in cell.source for cell in handout.cells)
    lesson = read(target / "4_backward_pass.ipynb")
    pictures = {
        name: found for cell in lesson.cells for name, found in cell.get("attachments", {}).items()
    }
    assert set(pictures) == {"backprop_pool.png", "backprop_conv.png"}
    file = ROOT / "docs" / "pictures" / "backprop_pool.png"
    assert base64.b64decode(pictures[file.name]["image/png"]) == file.read_bytes()


def test_there_are_notebooks():
    names = [path.stem for path in NOTEBOOKS]
    assert [int(path.stem[0]) for path in LESSONS] == list(range(1, 8))
    assert set(names) - {path.stem for path in LESSONS} == {"first_run"}


@pytest.mark.parametrize("page", ["course.md", "course/teacher.md"])
def test_the_pages_of_the_course_name_every_lesson(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for path in LESSONS:
        assert path.name in text
