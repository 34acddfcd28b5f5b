"""The default tests with the oldest and the newest versions of what the package depends on.

The oldest versions are the lower bounds of pyproject.toml, on the oldest Python; they stand in
``oldest.txt`` (``--write`` makes it anew). The newest are what pip takes today, on every Python
from 3.11 that is found. Each is tried in a virtual environment of its own::

    python -m experiments.reliability versions --which oldest
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.page import markdown
from experiments.reliability.child import HERE

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "the default tests with the oldest and the newest dependencies, on every Python here"
SHOWN = ("python", "which", "passed", "failed", "skipped", "remark")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OLDEST = Path(__file__).with_name("oldest.txt")
NAMED = ("numpy", "pandas", "scipy", "matplotlib", "scikit-learn", "pillow", "hydra-core")
QUICK_TESTS = ("tests/engine/test_window.py",)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add which versions are tried, and where."""
    parser.add_argument(
        "--which", choices=("oldest", "newest"), nargs="+", default=["oldest", "newest"]
    )
    parser.add_argument("--pythons", choices=PYTHONS, nargs="+", default=list(PYTHONS))
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="of pytest")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep environments, and use them again"
    )
    parser.add_argument("--write", action="store_true", help=f"write {OLDEST.name} first")


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for each environment."""
    if chosen.write:
        OLDEST.write_text(constraints(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        for number in chosen.pythons:
            for which in chosen.which if number == PYTHONS[0] else ("newest",):
                if which not in chosen.which:
                    continue
                row = {"python": number, "which": which}
                if chosen.quick:
                    found = counted(sys.executable, QUICK_TESTS, 1)
                    yield row | {"python": ".".join(map(str, sys.version_info[:2]))} | found
                    return
                folder = (chosen.keep or Path(name)).resolve() / f"{number}-{which}"
                yield row | tried(number, which, folder, chosen.processes)


def tried(number: str, which: str, folder: Path, processes: int) -> dict[str, Any]:
    """Make an environment, and run the default tests in it."""
    base = shutil.which(f"python{number}")
    if base is None or subprocess.run([base, "--version"], capture_output=True).returncode:
        return {"remark": "not here"}
    python = folder / "bin" / "python"
    if not python.exists():
        pins = ["-c", str(OLDEST)] if which == "oldest" else []
        subprocess.run([base, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "-q", *pins, "-e", f"{HERE}[test]"]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(folder)
            lines = done.stderr.strip().splitlines() or ["pip failed"]
            return {"remark": f"cannot be installed: {lines[-1]}"}
    # Old libraries warn of what newer ones below them, or Python, will not have any more.
    quiet = ["-W", "default::DeprecationWarning"] if which == "oldest" else []
    return {"versions": versions(python), **counted(str(python), quiet, processes)}


def versions(python: Path) -> str:
    """Return the versions of the larger packages in an environment."""
    code = f"from importlib.metadata import version\nfor n in {NAMED}: print(n, version(n))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return ", ".join(done.stdout.splitlines())


def counted(python: str, more: Sequence[str], processes: int) -> dict[str, Any]:
    """Run tests, with more words for pytest; return how many passed, failed and were skipped."""
    words = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(processes), *more]
    done = subprocess.run(words, cwd=HERE, capture_output=True, text=True)
    return counts(done.stdout)


def counts(text: str) -> dict[str, Any]:
    r"""Read pytest's last line, and the names of tests that failed.

    Examples
    --------
    >>> counts("FAILED tests/a.py::test_b - x\n1 failed, 3 passed, 2 skipped in 1.5s")
    {'passed': 3, 'failed': 1, 'skipped': 2, 'remark': 'tests/a.py::test_b'}
    """
    lines = text.strip().splitlines() or [""]
    last = lines[-1]

    def count(word: str) -> int:
        found = re.search(rf"(\d+) {word}", last)
        return int(found[1]) if found else 0

    failed = [line.split()[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return {
        "passed": count("passed"),
        "failed": count("failed") + count("error"),
        "skipped": count("skipped"),
        "remark": " ".join(failed) or ("" if count("passed") else f"pytest did not run: {last}"),
    }


def constraints() -> str:
    """Return every lower bound of pyproject.toml as a version that pip must take."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *needed(project["optional-dependencies"], "test")]
    bounds = (re.match(r"([\w-]+)>=([\d.]+)", text) for text in wanted)
    pins = sorted(f"{found[1]}=={found[2]}" for found in bounds if found)
    head = (
        "# The lower bounds of pyproject.toml: python -m experiments.reliability versions --write\n"
    )
    return head + "\n".join(pins) + "\n"


def needed(extras: dict[str, list[str]], extra: str) -> Iterator[str]:
    """Return what an extra installs, with what the extras do that it names.

    Examples
    --------
    >>> list(needed({"a": ["cnnexp[b,c]", "x>=1"], "b": ["y"], "c": ["z>=2"]}, "a"))
    ['y', 'z>=2', 'x>=1']
    """
    for text in extras[extra]:
        own = re.fullmatch(r"cnnexp\[(.*)\]", text)
        if own is None:
            yield text
        for name in own[1].split(",") if own else ():
            yield from needed(extras, name)


def section(frame: pd.DataFrame) -> str:
    """Return the table."""
    names = ("python", "which", "passed", "failed", "skipped", "versions", "remark")
    frame = frame.reindex(columns=list(names)).astype(object).fillna("")
    whole = ["passed", "failed", "skipped"]
    frame[whole] = frame[whole].map(lambda value: value if value == "" else f"{value:.0f}")
    return (
        "## Versions of the dependencies\n\n"
        "The default tests in new environments: with the oldest versions that pyproject.toml "
        "allows, on the oldest Python, and with the newest ones on every Python that is installed. "
        "Tests that compare with PyTorch are skipped there.\n\n"
        + markdown(names, [list(row) for row in frame.itertuples(index=False)])
    )
