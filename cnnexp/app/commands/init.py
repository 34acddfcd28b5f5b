"""``cnnexp init FOLDER``: a project of one's own, ready to be changed."""

from __future__ import annotations

import shlex
from pathlib import Path

from cnnexp.app.arguments import parser_of
from cnnexp.app.locations import PACKAGE
from cnnexp.app.screen import say, writing
from cnnexp.errors import OptionError

TEMPLATE = PACKAGE / "app" / "project"
SUFFIX = ".txt"  # of files that must not be taken for code of this package
NAMES = {"gitignore": ".gitignore"}

EPILOG = """\
It has a model, a module with a layer and a data set, two studies, tests and a notebook, and a
README.md that says what to type. Commands in this folder find its configs.

example
  python -m cnnexp init digits_project
  cd digits_project
  python -m cnnexp plugins=[my_things] model=two_convs
"""


def main(words: list[str]) -> int:
    """Make a project."""
    parser = parser_of("init", EPILOG)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a new folder, or an empty one")
    given = parser.parse_args(words)
    for name in make_project(given.folder):
        say(f"  {name}")
    say(f"to go on: cd {shlex.quote(str(given.folder))}, and see README.md")
    return 0


def make_project(folder: Path) -> list[str]:
    """Write the files of a project, and return their names.

    Raises
    ------
    OptionError
        If the folder is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder}: is there already, and not empty. Name a new folder.")
    files = {name: path.read_bytes() for name, path in templates().items()}
    for name, content in files.items():
        with writing(folder / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return list(files)


def templates() -> dict[str, Path]:
    """Return the files of a project by their names in it."""
    found = {}
    for path in sorted(path for path in TEMPLATE.rglob("*") if path.is_file()):
        name = path.relative_to(TEMPLATE).as_posix().removesuffix(SUFFIX)
        found[NAMES.get(name, name)] = path
    return found
