"""Write the notebooks as students are given them: ``python docs/handout.py FOLDER``.

Without solutions, without outputs (a picture below a cell answers what a class is asked to guess),
and with the pictures of `docs/pictures` inside, so that each notebook can be sent alone.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parent / "notebooks"
PICTURE = re.compile(r"\]\(\.\./pictures/([^)]+\.png)\)")


def handout(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook without solutions and outputs, and with its pictures inside."""
    cells = notebook["cells"]
    cells = [cell for cell in cells if "solution" not in cell["metadata"].get("tags", [])]
    for cell in cells:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        else:
            attach_pictures(cell)
    return notebook | {"cells": cells}


def attach_pictures(cell: dict[str, Any]) -> None:
    """Put the pictures that a cell of text names into the cell."""
    text = "".join(cell["source"])
    for name in PICTURE.findall(text):
        data = base64.b64encode((NOTEBOOKS.parent / "pictures" / name).read_bytes()).decode()
        cell.setdefault("attachments", {})[name] = {"image/png": data}
    cell["source"] = PICTURE.sub(r"](attachment:\1)", text)


def main() -> None:
    """Write all of them."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit("python docs/handout.py FOLDER: name the folder to write to")
    folder = Path(sys.argv[1])
    if folder.resolve() == NOTEBOOKS.resolve():
        raise SystemExit(f"{folder} has the notebooks with solutions: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    for path in paths:
        made = handout(json.loads(path.read_text(encoding="utf-8")))
        text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        (folder / path.name).write_text(text, encoding="utf-8")
    print(f"{len(paths)} notebooks without solutions are in {folder}")


if __name__ == "__main__":
    main()
