"""Where the configs lie: inside an installed package, or beside it in a clone."""

from __future__ import annotations

import os
from pathlib import Path

import cnnexp
from cnnexp.runs.policy import GROUPS

PACKAGE = Path(cnnexp.__file__).resolve().parent
CONFIGS = ("conf", "experiments")
CHOICES = (*GROUPS, "experiments")  # the groups whose options are files


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


def project_root() -> Path | None:
    """Return the working folder, if it has configs of its own: ``conf`` or ``experiments``.

    In a clone of this package these are the package's.
    """
    here = Path.cwd()
    if here == config_root() or not any((here / name).is_dir() for name in CONFIGS):
        return None
    return here


def config_files(group: str) -> dict[str, Path]:
    """Return the options of a config group with their files, those of the user's project too."""
    roots = [config_root(), *([project] if (project := project_root()) else [])]
    inner = Path() if group == "experiments" else Path("conf")
    found = (path for root in roots for path in sorted((root / inner / group).glob("*.yaml")))
    return dict(sorted({path.stem: path for path in found}.items()))
