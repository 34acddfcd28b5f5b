"""Runs notebooks, each in an empty folder and in a kernel of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
LIMIT = 300  # seconds for a cell, far more than any takes


def run_notebook(path: Path) -> Any:
    """Return the notebook after all of its cells were run; an error in one is raised."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {"PYTHONPATH": str(ROOT), "PATH": programs}
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=LIMIT, resources=resources, coalesce_streams=True)
        client.execute(env=env)
    return notebook


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
