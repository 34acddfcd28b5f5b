"""``docs/reliability.md``, made from the CSV files: no figure there is typed by hand."""

from __future__ import annotations

from pathlib import Path

from cnnexp.runs.files import replace_file
from experiments import release
from experiments.benchmarks import results
from experiments.benchmarks.page import where
from experiments.reliability import NAMES
from experiments.reliability.__main__ import module_of

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
HEAD = """# Reliability

How we tried to break the engine, its files and its commands, and what we found. Every section ends
with the machine, the commit, and the command that tries it again; a `+` after a commit means that
there were uncommitted changes. `python -m experiments.reliability page` makes this page from the
files of `experiments/results/reliability`.
"""


def write(folder: Path) -> None:
    """Write the page from the files in a folder."""
    replace_file(PAGE, release.with_marks(made(folder)).encode())
    print(f"wrote {PAGE.name}")


def made(folder: Path) -> str:
    """Return the page without its marks; a part that was not tried is left out."""
    files = " ".join(f"reliability/{name}.csv" for name in NAMES)
    parts = [HEAD, f"<!-- provenance: {files} -->\n<!-- end of provenance -->\n"]
    for name in NAMES:
        path = folder / f"{name}.csv"
        if path.exists():
            frame = results.read(path)
            commands = "\n".join(dict.fromkeys(frame["command"]))
            section = module_of(name).section(frame)
            parts.append(f"{section.rstrip()}\n\n{where(frame)}\n```\n{commands}\n```\n")
    return "\n".join(parts)
