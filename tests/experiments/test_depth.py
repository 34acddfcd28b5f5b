"""Defects before and after, coverage, versions of dependencies, audit."""

from __future__ import annotations

import doctest
import importlib
import re

import pytest

from experiments.reliability import __main__, audit, coverage, page, versions
from experiments.reliability.child import HERE, Place
from experiments.reliability.defects import section, verdict
from experiments.reliability.reproduced import found


def tried(part: str, folder, *words: str):
    """Run a part, and return its rows as the page reads them."""
    assert __main__.main([part, "--output", str(folder), *words]) == 0
    return page.results.read(folder / f"{part}.csv")


@pytest.mark.long
def test_some_defects_are_mended(tmp_path) -> None:
    """Those that need one short process each."""
    (tmp_path / "place").mkdir()
    for one in found():
        if one.quick and not one.trained:
            said, right = one.try_it(Place(HERE, tmp_path / str(id(one))))
            assert right, (one.what, said)


@pytest.mark.long
def test_all_defects_are_mended(tmp_path) -> None:
    frame = tried("defects", tmp_path)
    wrong = frame[frame["mended"] == "no"]["what"]
    assert list(wrong) == [what for what in wrong if "10³⁷" in what]
    assert "float32 samples" in section(frame.assign(before="as it was"))


def test_a_reproduction_can_fail(tmp_path) -> None:
    place = Place(HERE, tmp_path)
    assert not place.python("-c", "import sys; sys.exit(2)", where=tmp_path).well
    assert (
        place.python("-c", "1 / 0").said == "exit 1, traceback: ZeroDivisionError: division by zero"
    )
    assert verdict({"before": False, "after": False}) == "no"


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "reason"), [("a = bytearray(5 << 30)", "memory"), ("while True: pass", "20 s")]
)
def test_a_child_is_stopped(tmp_path, code, reason) -> None:
    assert reason in Place(HERE, tmp_path).python("-c", code).stopped


@pytest.mark.parametrize("name", ["defects", "coverage", "versions", "audit"])
def test_the_examples_are_right(name) -> None:
    module = importlib.import_module(f"experiments.reliability.{name}")
    assert doctest.testmod(module)[0] == 0


def test_the_oldest_versions_are_the_bounds_of_the_project() -> None:
    text = versions.OLDEST.read_text(encoding="utf-8")
    assert text == versions.constraints()
    project = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    needed = project.partition("dependencies = [")[2].partition("]")[0]
    for name, bound in re.findall(r'"([\w-]+)>=([\d.]+)', needed):
        assert f"\n{name}=={bound}\n" in text


def test_where_a_python_is_not_here_the_row_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(versions.shutil, "which", lambda _: None)
    assert versions.tried("3.14", "newest", tmp_path / "no", 1) == {"remark": "not here"}


def test_nothing_is_claimed_of_packages_that_no_service_knows(monkeypatch) -> None:
    silent = {"dependencies": [{"name": "a", "skip_reason": "not found"}]}
    (row,) = audit.rows("pypi", silent)
    assert (row["packages"], row["holes"], row["remark"]) == (0, None, "1 skipped: not found")
    monkeypatch.setattr(audit.importlib.util, "find_spec", lambda _: None)
    (row,) = audit.rows("osv", audit.answer("osv", []))
    assert row["holes"] is None and "pip-audit is not installed" in row["remark"]


@pytest.mark.long
@pytest.mark.parametrize("part", ["coverage", "versions", "audit", "defects"])
def test_every_part_runs_and_has_its_section(part, tmp_path) -> None:
    pytest.importorskip("coverage")
    frame = tried(part, tmp_path, "--quick")
    assert len(frame)
    assert __main__.module_of(part).section(frame).startswith("## ")


def test_files_below_the_goal_are_listed() -> None:
    import pandas as pd

    rows = [
        {"package": "nn", **coverage.figures(dict(FULL, covered_lines=96))},
        {"package": "nn", "file": "a.py", **coverage.figures(FULL), "missing": "7"},
    ]
    text = coverage.section(pd.DataFrame(rows))
    assert "| nn | 100 | 0 | 96 | 96.0 |" in text
    assert "| nn | a.py | 100.0 | 7 |" in text


FULL = {"num_statements": 100, "covered_lines": 100, "num_branches": 0, "covered_branches": 0}
