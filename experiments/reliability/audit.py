"""Known holes in the dependencies: ``pip-audit`` asks PyPI and OSV about what is installed.

Where a service cannot be reached the row says so, and nothing is claimed. Needs
``pip install cnnexp[reliability]``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.page import markdown
from experiments.reliability.child import short

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "known holes in the versions of the dependencies that are installed"
SHOWN = ("service", "packages", "holes", "remark")
SERVICES = ("pypi", "osv")
SECONDS = 120  # for one service


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add which service is asked."""
    parser.add_argument("--services", choices=SERVICES, nargs="+", default=list(SERVICES))


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for each service, and one for each package with a hole."""
    wanted = installed()
    for service in chosen.services[: 1 if chosen.quick else None]:
        yield from rows(service, answer(service, wanted[: 1 if chosen.quick else None]))


def installed() -> list[str]:
    """Return what the package needs, and what that needs in turn, with versions."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    names = ["cnnexp"]
    while names:
        name = names.pop()
        for text in metadata.requires(name) or []:
            need = Requirement(text)
            if need.name.lower() not in found and (
                need.marker is None or need.marker.evaluate({"extra": ""})
            ):
                found[need.name.lower()] = metadata.version(need.name)
                names.append(need.name)
    return sorted(f"{name}=={version}" for name, version in found.items())


def answer(service: str, wanted: list[str]) -> Mapping[str, Any] | str:
    """Ask a service; return its answer, or why there is none."""
    if importlib.util.find_spec("pip_audit") is None:
        return "skipped: pip-audit is not installed (pip install cnnexp[reliability])"
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "installed.txt"
        file.write_text("\n".join(wanted) + "\n")
        words = ["--no-deps", "--disable-pip", "-r", str(file), "-s", service, "-f", "json"]
        words += ["--progress-spinner", "off", "--timeout", "10"]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pip_audit", *words],
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"skipped: no answer within {SECONDS} s"
    try:
        found: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["pip-audit said nothing"]
        return f"skipped: {short(lines[-1])}"
    return found


def rows(service: str, found: Mapping[str, Any] | str) -> Iterator[dict[str, Any]]:
    """Return the rows of one answer; a package that the service does not know is not counted.

    Examples
    --------
    >>> hole = {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
    >>> for row in rows("osv", {"dependencies": [hole, {"name": "b", "skip_reason": "no data"}]}):
    ...     print(row)
    {'service': 'osv', 'packages': 1, 'holes': 1, 'remark': '1 skipped: no data'}
    {'service': 'osv', 'remark': 'a 1: X-1, corrected in 2'}
    """
    if isinstance(found, str):
        yield {"service": service, "packages": 0, "holes": None, "remark": found}
        return
    known = [one for one in found["dependencies"] if "skip_reason" not in one]
    left = [one["skip_reason"] for one in found["dependencies"] if "skip_reason" in one]
    holes = [(one, hole) for one in known for hole in one["vulns"]]
    remark = f"{len(left)} skipped: {short(left[0])}" if left else ""
    count = len(holes) if known else None  # nothing is claimed where nothing was known
    yield {"service": service, "packages": len(known), "holes": count, "remark": remark}
    for one, hole in holes:
        fixed = ", ".join(hole["fix_versions"]) or "no version"
        remark = f"{one['name']} {one['version']}: {hole['id']}, corrected in {fixed}"
        yield {"service": service, "remark": remark}


def section(frame: pd.DataFrame) -> str:
    """Return the table."""
    whole = ["packages", "holes"]
    cells = frame[list(SHOWN)].copy().astype(object).fillna("")
    cells[whole] = cells[whole].map(lambda value: value if value == "" else f"{value:.0f}")
    return (
        "## Audit of the dependencies\n\n"
        "What advisories say of the installed versions of all packages that are needed, directly "
        "or not. A service that could not be reached is said to be skipped.\n\n"
        + markdown(SHOWN, [list(row) for row in cells.itertuples(index=False)])
    )
