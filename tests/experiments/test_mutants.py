"""The sample of mutants, the choice of their tests, and the score, on small examples."""

from __future__ import annotations

import importlib
import sys

import pandas as pd
import pytest

pytest.importorskip("cosmic_ray")

from experiments.reliability import mutant_patch, mutants, mutations
from experiments.reliability.__main__ import main
from experiments.reliability.mutant_patch import Patches
from experiments.reliability.mutant_trials import Map, _joined

SOURCE = '''"""2 < 3"""
from typing import TYPE_CHECKING

__all__ = ["f" + "g"]
Number = int | float

if TYPE_CHECKING:
    WIDTH = 1 + 1


def f(values: list[int | None], least: int = 7) -> int | None:
    """Say 1 + 1."""
    if least in values:
        values.append(least)
    if not values:
        raise ValueError(f"{least + 1} of 5")
    assert 4  # pragma: no cover
    return values[0]
'''


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "cnnexp" / "engine"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text(SOURCE)
    return tmp_path


def all_mutations(project, seeds=20):
    return [m for seed in range(seeds) for m in mutations.sample(project, "engine", 99, seed)]


def test_what_is_changed_and_what_is_left_out(project):
    """No type, no message, no docstring, nothing for type checkers."""
    found = {(m.before, m.after.replace("  ", " ")) for m in all_mutations(project)}
    head = "def f(values: list[int | None], least: int = 7) -> int | None:"
    assert found == {
        (head, head.replace("7", "8")),
        (head, head.replace("7", "6")),
        ("if least in values:", "if least not in values:"),
        ("if least in values:", "if not least in values:"),
        ("values.append(least)", "pass"),
        ("if not values:", "if values:"),
        ("if not values:", "if not not values:"),
        ("return values[0]", "return values[ 1]"),
        ("return values[0]", "return values[ -1]"),
    }


def test_a_mutation_says_where_it_is(project):
    (one,) = {m for m in all_mutations(project) if m.after == "pass"}
    assert (one.package, one.module, one.function, one.line) == ("engine", "one.py", "f", 14)
    assert one.path == "cnnexp/engine/one.py"
    assert one.spans[0] == (14, 14)
    assert one.code == SOURCE.replace("values.append(least)", "pass")


def test_a_seed_gives_the_same_sample(project):
    samples = [list(mutations.sample(project, "engine", 3, seed)) for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    assert len(samples[0]) == 3


def mutation(*spans, module="one.py"):
    return mutations.Mutation("engine", module, "f", 1, "AddNot", "a", "b", "", spans)


def known(lines, failed=(), **tests):
    facts = {
        name: {"fixtures": fixtures, "seconds": s, "shared": {}}
        for name, (s, *fixtures) in tests.items()
    }
    return Map(facts, list(failed), {"cnnexp/engine/one.py": lines})


def test_the_quickest_tests_of_the_line_come_first():
    one = known({"3": ["slow", "quick"], "4": ["other"]}, slow=(2.0,), quick=(1.0,), other=(0.1,))
    assert one.chosen(mutation((3, 3), (3, 9)), 99, 99) == ["quick", "slow"]
    assert one.chosen(mutation((3, 3), (3, 9)), 2.5, 99) == ["quick"]
    assert one.chosen(mutation((3, 3), (3, 9)), 99, 1) == ["quick"]


def test_a_line_that_no_test_executes_has_the_tests_of_its_surroundings():
    one = known({"1": [], "4": ["test"]}, test=(1.0,))
    assert one.chosen(mutation((1, 1), (1, 4)), 99, 99) == ["test"]
    assert one.chosen(mutation((7, 7)), 99, 99) == []


def test_who_uses_a_fixture_tests_its_lines_and_what_failed_tests_nothing():
    one = known({"3": ["fixture run", "bad"]}, ["bad"], a=(1.0, "run"), b=(1.0,), bad=(0.1, "run"))
    assert one.chosen(mutation((3, 3)), 99, 99) == ["a"]


def test_a_fixture_that_tests_share_is_made_once():
    names = ("t.py::a", "t.py::b", "t.py::c")
    one = known({"3": list(names)}, **dict(zip(names, ((1.0,), (1.5,), (2.0,)), strict=True)))
    for name in names:
        one.tests[name]["shared"] = {"run": 5.0}
    assert one.seconds("t.py::b") == 6.5
    assert one.chosen(mutation((3, 3)), 5 + 1 + 1.5, 99) == ["t.py::a", "t.py::b"]


def test_every_test_function_has_its_turn():
    """The cases of one function do not fill the time of all."""
    cases = {"f[0]": (0.1,), "f[1]": (0.1,), "g": (5.0,), "tests/engine/test_one.py::h": (10.0,)}
    one = known({"3": list(cases)}, **cases)
    expected = ["f[0]", "tests/engine/test_one.py::h", "g", "f[1]"]
    assert one.chosen(mutation((3, 3)), 99, 99) == expected


def test_cases_that_take_no_time_do_not_wait():
    cases = {"f[0]": (0.01,), "f[1]": (0.01,), "g": (5.0,)}
    one = known({"3": list(cases)}, **cases)
    assert one.chosen(mutation((3, 3)), 5.0, 99) == ["f[0]", "f[1]"]


def test_maps_of_several_files_are_one():
    one, two = (
        {"tests": {t: {"fixtures": [], "seconds": s, "shared": {}}}, "failed": [f"bad {t}"],
         "lines": {"a.py": {"1": [t], n: [t]}}}
        for t, s, n in (("x", 1.0, "2"), ("y", 2.0, "3"))
    )  # fmt: skip
    found = _joined([one, two])
    assert found.lines == {"a.py": {"1": ["x", "y"], "2": ["x"], "3": ["y"]}}
    assert found.seconds("y") == 2.0
    assert found.failed == ["bad x", "bad y"]


MODULE = """
import functools

LIMIT = 3

@functools.cache
def twice(x, least=0):
    return max(2 * x, least)

class One:
    size = 4

    @property
    def area(self):
        return self.size * self.size

    def inside(self):
        return [n + 1 for n in range(self.size)]
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "mutated_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    found = importlib.import_module("mutated_module")
    yield found
    del sys.modules["mutated_module"]


def test_a_function_that_is_imported_changes_and_keeps_no_old_result(module, monkeypatch):
    monkeypatch.setattr(mutant_patch, "_is_ours", lambda cache: cache is module.twice)
    assert module.twice(5) == 10
    assert Patches().apply(module.__file__, MODULE.replace("2 * x", "3 * x"))
    assert module.twice(5) == 15


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new", "value"),
    [("self.size * self.size", "self.size + 0", 4), ("n + 1", "n - 1", [-1, 0, 1, 2])],
)
def test_methods_and_what_is_within_them_change(module, old, new, value):
    one = module.One()
    assert Patches().apply(module.__file__, MODULE.replace(old, new))
    assert value in (one.area, one.inside())


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("least=0", "least=1"),
        ("size = 4", "size = 5"),
        ("@functools.cache", ""),
        ("@property", ""),
    ],
)
def test_what_runs_at_import_cannot_be_changed_later(module, old, new):
    assert not Patches().apply(module.__file__, MODULE.replace(old, new))
    assert (module.twice(1), module.One().area) == (2, 16)


def row(outcome, before="a", package="engine"):
    facts = {"module": "one.py", "function": "", "line": 1, "operator": "AddNot", "after": "b | c"}
    return {"package": package, "before": before, "outcome": outcome, "test": "t", **facts}


def test_the_score_does_not_count_equivalent_mutants(monkeypatch):
    """Three of four are killed, and of three that count: 2 by failure, 1 by time, 1 survives."""
    said = {"verdict": "equivalent", "reason": "it is the same"}
    monkeypatch.setattr(mutants, "judged", lambda: {mutants._key(row("", "same")): said})
    rows = [row("killed"), row("killed"), row("timeout"), row("survived"), row("survived", "same")]
    text = mutants.section(pd.DataFrame(rows))
    assert "| engine | 5 | 2 | 1 | 1 | 1 | **75.0%** |" in text
    assert "| engine/one.py, module | `a` → `b \\| c` |  | not judged |" in text
    assert "| engine/one.py, module | `same` → `b \\| c` | equivalent | it is the same |" in text


def test_the_table_shows_what_differs_and_some_of_the_line():
    long = f"{'x' * 40} {{}} {'y' * 40}"
    left, right = "…" + "x" * 19 + " ", " " + "y" * 19 + "…"
    found = mutants._middles(long.format("<"), long.format(">"))
    assert found == (f"{left}<{right}", f"{left}>{right}")
    assert mutants._middles("if a < b:", "if a <= b:") == ("if a < b:", "if a <= b:")
    assert mutants._middles("count += 1", "pass") == ("count += 1", "pass")


VERDICTS = ("equivalent", "equivalent: speed only", "equivalent: memory only", "weakness")


def test_every_judgement_has_a_verdict_and_a_reason():
    for key, said in mutants.judged().items():
        assert said["verdict"] in VERDICTS, key
        assert len(said["reason"]) > 20, key


@pytest.mark.long
def test_the_part_runs(tmp_path):
    assert main(["mutants", "--quick", "--output", str(tmp_path)]) == 0
    frame = pd.read_csv(tmp_path / "mutants.csv")
    assert len(frame) == 3
    assert set(frame["outcome"]) <= {"killed", "timeout", "survived"}
    assert "## Mutation testing" in mutants.section(frame)
