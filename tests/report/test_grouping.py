from __future__ import annotations

import json
import statistics
from pathlib import Path

import pandas as pd
import pytest

from cnnexp.errors import UnknownName
from cnnexp.report import table
from cnnexp.report.grouping import grouped


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
