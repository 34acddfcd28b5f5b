"""Write the outputs on pages again: ``python -m tests.docs.rewrite docs/comparing.md …``.

Every block that can be run is run, and what it prints takes the place of what the page shows; read
what has changed before you keep it. Outputs with a line of ``...`` are left as they are. Notebooks
are run and kept with their outputs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from tests.docs import running
from tests.docs.notebooks import run_notebook
from tests.docs.pages import Block, blocks, commands


def rewrite(page: Path) -> None:
    """Run a page in an empty folder and put the outputs of today into it."""
    content = page.read_text(encoding="utf-8")
    os.environ |= {"MPLBACKEND": "agg", "COLUMNS": "120"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        sys.path.append("")
        for block, texts in running.run_page(blocks(page), long=True):
            content = _with_outputs(content, block, texts)
    page.write_text(content, encoding="utf-8")


def _with_outputs(content: str, block: Block, texts: list[str]) -> str:
    """Return a page with what a block printed."""
    if block.language == "python":
        shown = [block.output] if block.output is not None else []
    else:
        shown = [output for _, output in commands(block)] if block.language == "console" else []
    for before, now in zip(shown, texts, strict=False):
        if before and "\n...\n" not in f"\n{before}":
            lines = [line.rstrip() for line in now.rstrip("\n").split("\n")]
            content = content.replace(before, "\n".join(lines) + "\n", 1)
    return content


def rewrite_notebook(path: Path) -> None:
    """Run a notebook in an empty folder and keep its outputs."""
    import nbformat

    notebook = run_notebook(path)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day, which differ at each run
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    nbformat.write(notebook, path)


def keep_going(*_: object, **__: object) -> None:
    """Stand in for the comparison: here the page is what is wrong."""


if __name__ == "__main__":
    running.compare = keep_going
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        (rewrite_notebook if path.suffix == ".ipynb" else rewrite)(path)
