"""Where the configs lie: inside an installed package, or beside it in a clone."""

from __future__ import annotations

import os
from pathlib import Path

import cnnexp

PACKAGE = Path(cnnexp.__file__).resolve().parent
PLUGINS = PACKAGE / "plugins"


def config_root() -> Path:
    """Return the folder that holds ``conf`` and ``experiments``."""
    for root in (PACKAGE, PACKAGE.parent):
        if (root / "conf" / "config.yaml").is_file():
            return root
    raise FileNotFoundError(f"no conf folder inside or beside {PACKAGE}; is the package whole?")


def near(path: Path) -> str:
    """Return a path as one types it here: relative, if it lies below the working folder."""
    relative = os.path.relpath(path)
    below = relative != os.curdir and not relative.startswith(os.pardir)
    return relative if below else str(path.absolute())
