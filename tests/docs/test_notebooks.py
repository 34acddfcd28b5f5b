"""The notebooks run, and print what they are kept with, but for figures."""

from __future__ import annotations

import warnings

import pytest

from tests.docs.notebooks import NOTEBOOKS, run_notebook, shown
from tests.docs.running import words

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_is_kept_with(path):
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the machinery around notebooks
        notebook = run_notebook(path)
    kept = nbformat.read(path, as_version=4)
    assert [words(text) for text in shown(notebook)] == [words(text) for text in shown(kept)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_its_outputs(path):
    kept = nbformat.read(path, as_version=4)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["first_run", "inside_a_cnn", "naive_to_fast"]
