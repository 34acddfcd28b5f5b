from __future__ import annotations

import json
import statistics
from pathlib import Path

import pandas as pd
import pytest

from cnnexp.errors import UnknownName
from cnnexp.report import table
from cnnexp.report.grouping import grouped, notes
from tests.report.test_table import frame_of


def test_means_and_deviations_are_those_of_the_records(study: Path, finished: list[Path]) -> None:
    results: dict[float, list[dict[str, float]]] = {}
    for run in finished:
        record = json.loads((run / "run.json").read_text())
        results.setdefault(record["config"]["learning_rate"], []).append(record["results"])
    groups = grouped(table.read([study]), ["learning_rate"]).set_index("learning_rate")
    assert groups.index.tolist() == [0.05, 0.1, 0.2, 1e30]
    for rate, both in results.items():
        assert groups.loc[rate, "n"] == 2
        for figure in ("test_error", "test_loss", "seconds_per_epoch", "samples_per_second"):
            values = [result[figure] for result in both]
            assert groups.loc[rate, figure] == pytest.approx(statistics.mean(values))
            assert groups.loc[rate, f"{figure}_std"] == pytest.approx(statistics.stdev(values))


def test_a_run_that_diverged_is_counted_and_not_averaged(study: Path) -> None:
    groups = grouped(table.read([study]), ["learning_rate"])
    last = groups.iloc[-1]
    assert (last["n"], last["not_finished"]) == (0, 1)
    assert pd.isna(last["test_error"])
    assert groups["n"].sum() == 6


def test_runs_that_reached_a_target_are_counted(study: Path) -> None:
    frame = table.read([study]).assign(seconds_to_target=[1.0, 3.0, 2.0] + [float("nan")] * 5)
    groups = grouped(frame, ["learning_rate"]).set_index("learning_rate")
    assert groups.loc[0.2, ["reached", "seconds_to_target"]].tolist() == [2, 2.0]
    assert groups.loc[0.1, ["reached", "seconds_to_target"]].tolist() == [1, 2.0]
    assert groups.loc[0.05, "reached"] == 0


def test_empty_cells_and_lists_are_groups_too() -> None:
    frame = pd.DataFrame(
        {
            "status": ["finished"] * 4,
            "data.limit": [None, 5, None, 5],
            "plugins": [["a"], ["a"], [], ["a"]],
            "test_error": [1.0, 2.0, 3.0, 4.0],
        }
    )
    groups = grouped(frame, ["data.limit", "plugins"])
    assert groups["n"].tolist() == [2, 1, 1]  # an empty cell comes last
    assert groups["plugins"].tolist() == [["a"], ["a"], []]
    assert groups["test_error"].tolist() == [3.0, 1.0, 3.0]
    assert "not_finished" not in groups


def test_an_unknown_column_is_named(study: Path) -> None:
    with pytest.raises(UnknownName, match=r"--group-by: .*Did you mean 'learning_rate'"):
        grouped(table.read([study]), ["learning_rates"])


def notes_of(*rows: dict[str, object], keys: tuple[str, ...] = ("impl",)) -> list[str]:
    frame = frame_of(*({"seed": 0, "test_error": 0.1, **row} for row in rows))
    return notes(table.Comparison(frame), keys, grouped(frame, keys))


def test_what_differs_within_groups_is_said() -> None:
    rows = [
        {"impl": impl, "seed": seed, "data.validation": part, "sweep.dir": f"{seed}"}
        for impl, part in (("sg", 0.1), ("naive", 0.1), ("naive", 0.2))
        for seed in range(3)
    ]
    assert notes_of(*rows) == ["averaged over: seed (3 values), data.validation (2 values)"]
    assert notes_of(*rows, keys=("impl", "data.validation")) == ["averaged over: seed (3 values)"]
    assert notes_of(*rows, keys=("impl", "seed", "data.validation")) == []


def test_what_differs_between_groups_alone_is_not_said() -> None:
    assert notes_of({"impl": "sg", "epochs": 2}, {"impl": "fast", "epochs": 3}) == []


def test_a_run_that_is_not_averaged_is_not_said() -> None:
    assert notes_of({"seed": 0}, {"seed": 1, "status": "diverged"}) == []


def test_runs_that_repeat_another_one_are_counted() -> None:
    words = "another one: the same settings and the same seed"
    assert notes_of({}, {}, {"profile": True, "sweep.dir": "b"}) == [f"2 runs repeat {words}"]
    assert notes_of({}, {}, {"seed": 1}) == [
        "averaged over: seed (2 values)",
        f"1 run repeats {words}",
    ]
    assert notes_of({"impl": "sg"}, {"impl": "fast"}) == []


def test_figures_of_some_runs_of_a_group_are_said() -> None:
    rows = [{"seed": seed, "validation_error": 0.1 if seed < 3 else None} for seed in range(6)]
    assert notes_of(*rows) == [
        "averaged over: seed (6 values)",
        "means of fewer than n runs: validation_error (3 of 6 runs)",
    ]
    frame = frame_of(*({"seed": k, "validation_loss": [None, 0.1][k]} for k in range(2)))
    shown = grouped(frame, ["impl"])[["impl", "n"]]
    assert notes(table.Comparison(frame), ["impl"], shown) == ["averaged over: seed (2 values)"]
    each = [
        {"impl": impl, "validation_error": 0.1 if impl == "sg" else None} for impl in ("sg", "a")
    ]
    assert notes_of(*each) == []  # a group in which no run has it has no mean


def test_metrics_of_ones_choice_are_averaged() -> None:
    frame = frame_of(*({"seed": k, "test_top_3_error": float(k)} for k in range(3)))
    groups = grouped(frame, ["impl"])
    assert groups.loc[0, ["test_top_3_error", "test_top_3_error_std"]].tolist() == [1.0, 1.0]
