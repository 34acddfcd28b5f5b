"""Every benchmark runs, and its rows say where they were taken."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd
import pytest

from experiments.benchmarks import NAMES, contenders, machine, page, processes, results
from experiments.benchmarks.__main__ import main, module_of

LONG = (
    "phases",
    "layer_pass",
    "speed",
    "augmentation",
    "batch_norm",
    "growth",
    "kill_and_resume",
    "steps",
    "sweeps",
)
QUICK = ("data_path", "memory")


def quick(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Run a benchmark on little, without PyTorch, and return the rows of its file."""
    for module in (machine, module_of(name)):
        if hasattr(module, "has_torch"):
            monkeypatch.setattr(module, "has_torch", lambda: False)
    assert main([name, "--quick", "--output", str(folder)]) == 0
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]
)
def test_a_benchmark_runs_and_says_where(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = quick(name, tmp_path, monkeypatch)
    assert rows
    for row in rows:
        assert set(machine.COLUMNS) <= row.keys()
        assert row["cpu"] and row["numpy"] and re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])
    shown = set(module_of(name).SHOWN) - {"ratio"}
    assert shown <= rows[0].keys()


@pytest.mark.long
def test_run_folders_reads_all_it_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = quick("run_folders", tmp_path, monkeypatch)
    assert row["runs"] == row["rows"] == "120"


def test_iterations_of_loops_grow_and_those_of_stride_groups_do_not() -> None:
    count = module_of("layer_pass").counted
    small, large = ("conv", 8, 1, 3, 1, 4), ("conv", 16, 1, 3, 1, 8)
    assert count("naive", small, 1) == 6 * 6 * 4
    assert count("naive", large, 2) == 2 * 14 * 14 * 8
    assert count("sg", small, 1) == count("sg", large, 2) == 9


def test_turns_are_taken_one_after_the_other() -> None:
    calls: list[str] = []

    def timer(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    figures = processes.in_turns({name: lambda name=name: timer(name) for name in "ab"}, 2)
    assert "".join(calls) == "ababab"
    assert figures == {"a": [3.0, 5.0], "b": [4.0, 6.0]}  # the first turn does not count


def test_a_worker_has_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(processes.CORETYPE, "Haswell")
    monkeypatch.delenv("MALLOC_TOP_PAD_", raising=False)
    with processes.Worker({processes.CORETYPE: None}) as worker:
        found = worker.call(machine.describe)
    assert found["openblas_coretype"] is None
    assert found["malloc"] == "raised"
    assert machine.describe()["openblas_coretype"] == "Haswell"
    assert machine.describe()["malloc"] == "default"


def test_results_are_read_back(tmp_path: Path) -> None:
    rows = [{"cpu": "some", "net": "a"}, {"cpu": "some", "net": "b", "ratio": 0.123456789}]
    results.write(tmp_path / "x.csv", rows)
    assert (tmp_path / "x.csv").read_text() == "net,ratio,cpu\na,,some\nb,0.12346,some\n"
    assert list(results.read(tmp_path / "x.csv")["net"]) == ["a", "b"]


def test_a_commit_is_never_a_number(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("seconds,commit\n1,398185e643\n2,1234567890\n", encoding="utf-8")
    assert results.read(path)["commit"].tolist() == ["398185e643", "1234567890"]


def test_help_names_all_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {name}\b", text, re.M) for name in (*NAMES, "all", "table"))


def test_the_pages_are_what_the_files_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    committed = {name: getattr(page, name).read_text() for name in ("PAGE", "FRONT")}
    for name, text in committed.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(page, name, tmp_path / name)
    page.write(results.FOLDER)
    assert {name: (tmp_path / name).read_text() for name in committed} == committed


def test_ratios_above_one_are_bold_and_counted() -> None:
    keys = {"by": "fast", "net": "cnn", "batch": 128, "blas_architecture": "Haswell"}
    rows = [
        keys | {"pass": "training", "threads": 1, "ratio": 0.5},
        keys | {"pass": "training", "threads": 2, "ratio": 1.25},
        keys | {"pass": "training", "threads": 1, "ratio": 2, "blas_architecture": "other"},
        keys | {"by": "sg", "pass": "training", "threads": 1, "ratio": 3},
    ]
    text = page.against_pytorch(pd.DataFrame(rows))
    assert "| cnn | 0.50 | **1.25** |  |" in text
    assert "in 2 of 3 with `impl=fast`." in text


def test_the_quickest_of_three_is_named() -> None:
    keys = {"pass": "training", "net": "cnn", "batch": 128, "threads": 1, "best_peer": "first"}
    keys |= {"blas_architecture": "one", "ratio_low": 0.5, "ratio_high": 1.5}
    rows = [
        keys | {"by": "first", "ratio": 1.0, "seconds_per_epoch": 8.0},
        keys | {"by": "compiled", "ratio": 0.75},
        keys | {"by": "fast", "ratio": 1.25},
    ]
    text = contenders.comparison("training")(pd.DataFrame(rows))
    ratios = "**0.75** (0.50-1.50) | **1.25** (0.50-1.50)".replace("-", "–")
    assert f"| cnn | 128 | one | 1 | 8.00 | first | {ratios} | compiled |" in text
    text = contenders.comparison("training")(pd.DataFrame(rows[::2]))
    assert "| PyTorch |" in text


def test_goals_are_read_from_the_rows() -> None:
    keys = {"net": "flat", "threads": 2, "blas_architecture": "one"}
    rows = [
        keys | {"pass": "training", "by": "compiled", "batch": 128, "ratio": 0.4},
        keys | {"pass": "inference", "by": "fast", "batch": 10_000, "ratio": 2.1},
        keys | {"pass": "training", "by": "fast", "batch": 32, "ratio": 9},
    ]
    text = page.goals(pd.DataFrame(rows))
    assert "| training | flat | compiled | 2 | 0.80 | 0.40 | -50% |" in text
    assert "| inference | flat | fast | 2 | 1.05 | 2.10 | +100% |" in text
    assert text.count("flat") == 2


def test_a_page_without_a_place_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    monkeypatch.setattr(page, "PAGE", tmp_path / "README.md")
    with pytest.raises(SystemExit, match="no place"):
        page.write(tmp_path)


def test_ratios_of_peers_are_medians_of_the_quotients_of_turns() -> None:
    """The quotient of the medians is 2: the turns of the two are not sorted alike."""
    peers = module_of("peers")
    eager, other = peers.Job("flat", "channels_last"), peers.Job("flat", "jax")
    rows = list(peers.rows_of({eager: [1.0, 2.0, 4.0], other: [4.0, 6.0, 2.0]}))
    assert [row["ratio"] for row in rows] == [1.0, 3.0]
    assert {row["best_peer"] for row in rows} == {"channels_last"}
