"""Which code a run was made with: commits, what was changed since, and the user's modules."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cnnexp
from cnnexp.runs.files import replace_file
from cnnexp.runs.sources import Source

FOLDER, DIFF = "code", "changes.diff"  # in the run folder, to be read and never imported
LARGEST_DIFF = 1 << 20  # bytes of a diff that are kept
CODE = (".py", ".ipynb", ".yaml", ".yml", ".toml", ".cfg")  # endings of files that are code
# A repository may name programs in its settings; none of them is started.
NO_PROGRAMS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
LARGEST_LIST = 1000  # names of new files that are kept
LARGEST_COPY = 1 << 20  # bytes of a module that is kept
LARGEST_KEPT = 1 << 24  # bytes of a file that is read again; two diffs have the most

Repository = dict[str, Any]


def git() -> Repository | None:
    """Return commit, state and folder of the repository that this package is a part of."""
    package = Path(cnnexp.__file__).parent
    try:
        _ask_git(package, "ls-files", "--error-unmatch", "__init__.py")
    except (OSError, subprocess.SubprocessError):
        return None
    return _repository(package)


def project(package: Repository | None) -> Repository | None:
    """Return the same of the working folder; None where that is this package's, or has none."""
    here = Path.cwd()
    places = [folder / ".git" for folder in (here, *here.parents)]
    if not any(os.path.exists(place) for place in places):  # noqa: PTH110 (never an OSError)
        return None
    found = _repository(here)
    return None if package and found and package["folder"] == found["folder"] else found


def _repository(folder: Path) -> Repository | None:
    try:
        commit, _, top = _ask_git(folder, "rev-parse", "HEAD", "--show-toplevel").partition("\n")
        dirty = bool(_ask_git(folder, "status", "--porcelain", "-uno") or _new_files(folder))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": dirty, "folder": top}


def _new_files(folder: Path) -> list[str]:
    """Return the files of code and settings that git does not know; those of runs are no code."""
    found = _ask_git(folder, "ls-files", "--others", "--exclude-standard").splitlines()
    return [name for name in found if name.endswith(CODE) and ".hydra/" not in name]


def _ask_git(folder: Path, *words: str) -> str:
    """Return what git answers; it is kept from writing anything."""
    answer = subprocess.run(
        ["git", "-C", str(folder), *NO_PROGRAMS, *words],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=10,
        check=True,
        env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
    )
    return answer.stdout.strip()


def command() -> list[str]:
    """Return what was typed, as words that can be typed again."""
    path, *words = sys.argv
    if Path(path).name == "__main__.py" and Path(path).parent.name == "cnnexp":
        return ["python", "-m", "cnnexp", *words]
    return [Path(path).name if Path(path).name == "cnnexp" else path, *words]


def user() -> str | None:
    """Return the name of the user, where the system knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def changes(environment: Mapping[str, Any], run: Path) -> str:
    """Return what was changed since the commits that an environment names, outside a run folder."""
    repositories = [found for key in ("git", "project") if (found := environment.get(key))]
    return "".join(_changes(repository, run) for repository in repositories)


def keep(run: Path, changed: str, sources: Iterable[Source]) -> None:
    """Copy the user's modules into a run folder, and what was changed since the commits.

    Parameters
    ----------
    run : Path
        The run folder.
    changed : str
        What `changes` returned.
    sources : iterable of Source
        Of each module.
    """
    files = {DIFF: changed.encode()} if changed else {}
    for source in sources:
        content = Path(source["path"]).read_bytes()
        if len(content) <= LARGEST_COPY:
            files[f"{source['name']}.py"] = content
    for name, content in files.items():
        (run / FOLDER).mkdir(exist_ok=True)
        replace_file(run / FOLDER / name, content)


def _changes(repository: Repository, run: Path) -> str:
    """Return the diff of a repository against its commit, and the names of new files."""
    if not repository["dirty"]:
        return ""
    folder = Path(repository["folder"])
    try:
        diff = _ask_git(folder, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
        new = _new_files(folder)
    except (OSError, subprocess.SubprocessError):
        return ""
    if len(diff) > LARGEST_DIFF:
        diff = f"{diff[:LARGEST_DIFF]}\n# cut off here: it has {len(diff):,} characters"
    own = run.resolve()
    names = [name for name in new if not (folder / name).resolve().is_relative_to(own)]
    lines = [f"# new: {name}" for name in names[:LARGEST_LIST]]
    return "\n".join([f"# {folder}, at commit {repository['commit']}", *lines, diff, ""])
