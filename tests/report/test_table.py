from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from cnnexp import load_runs
from cnnexp.app.reference.settings import sections
from cnnexp.errors import RunError
from cnnexp.report import table
from cnnexp.report.sentences import ratio_lines, reasons, same_line, short_labels


def frame_of(*rows: dict[str, object]) -> pd.DataFrame:
    """Return a table of runs with these settings; all else is filled in."""
    common = {
        "status": "finished",
        "reason": None,
        "model": "cnn",
        "impl": "sg",
        "data": "digits",
        "optimizer": "sgd",
        "schedule": "cosine",
        "loss": "cross_entropy",
        "augment": "none",
        "epochs": 4,
    }
    return pd.DataFrame([{"run": f"runs/{k}", **common, **row} for k, row in enumerate(rows)])


def test_only_what_differs_is_a_difference() -> None:
    comparison = table.Comparison(
        frame_of({"learning_rate": 0.1, "seed": 0}, {"learning_rate": 0.2, "seed": 0})
    )
    assert comparison.differing == ["learning_rate"]
    assert comparison.same["seed"] == 0


def test_an_option_of_another_choice_is_no_difference_of_its_own() -> None:
    frame = frame_of(
        {"optimizer": "sgd", "optimizer.momentum": 0.9},
        {"optimizer": "adam", "optimizer.beta1": 0.9},
    )
    assert table.Comparison(frame).differing == ["optimizer"]
    assert table.Comparison(frame).varying == ["optimizer", "optimizer.momentum", "optimizer.beta1"]


def test_an_option_that_differs_within_one_choice_is_a_difference() -> None:
    frame = frame_of(
        {"optimizer": "sgd", "optimizer.momentum": 0.9},
        {"optimizer": "sgd", "optimizer.momentum": 0.5},
        {"optimizer": "adam"},
    )
    assert table.Comparison(frame).differing == ["optimizer", "optimizer.momentum"]


def test_null_and_a_value_differ_and_two_nulls_do_not() -> None:
    frame = frame_of({"data.limit": None, "a": None}, {"data.limit": 60, "a": float("nan")})
    assert table.Comparison(frame).differing == ["data.limit"]


def test_lists_are_compared_by_their_contents() -> None:
    frame = frame_of({"plugins": [], "metrics": [1]}, {"plugins": [], "metrics": [2]})
    assert table.Comparison(frame).differing == ["metrics"]


def test_where_a_run_or_its_sweep_lies_is_no_difference(study: Path) -> None:
    comparison = table.Comparison(load_runs(study))
    assert comparison.frame["sweep.dir"].nunique() >= 1
    assert comparison.differing == ["learning_rate", "seed"]


def test_damaged_runs_do_not_make_all_settings_differ(study: Path) -> None:
    comparison = table.Comparison(table.read([study]))
    assert comparison.frame["status"].tolist()[-1] == "damaged"
    assert "epochs" in comparison.same


def test_columns_are_what_differs_then_results_then_times(study: Path) -> None:
    assert table.Comparison(table.read([study])).columns == [
        "run",
        "status",
        "learning_rate",
        "seed",
        "test_error",
        "test_loss",
        "seconds_per_epoch",
        "samples_per_second",
        "seconds",
        "reason",
    ]


def test_epoch_is_shown_if_a_run_is_not_at_its_end() -> None:
    frame = frame_of({"epoch": 4, "test_error": 0.1}, {"epoch": 2, "test_error": 0.3, "seed": 1})
    assert "epoch" in table.Comparison(frame).columns
    assert "epoch" not in table.Comparison(frame.head(1)).columns


def test_runs_are_named_below_the_folder_of_all_of_them() -> None:
    frame = frame_of({}, {})
    frame["run"] = ["outputs/a/0", "outputs/b/x/1"]
    comparison = table.Comparison(frame)
    assert comparison.folder == "outputs"
    assert [comparison.short_name(run) for run in frame["run"]] == ["a/0", "b/x/1"]


def test_what_is_the_same_is_said_in_one_line(study: Path) -> None:
    line = same_line(table.Comparison(table.read([study])))
    assert line.startswith(
        "same in the 7 that can be read: model=cnn impl=fast data=digits optimizer=sgd"
        " schedule=cosine loss=cross_entropy augment=none epochs=2 batch_size=16"
        " dtype=float32 data.limit=60, and "
    )
    assert "\n" not in line and "learning_rate" not in line


def test_ratio_of_times_is_that_of_the_records(two_impls: Path) -> None:
    seconds = {
        impl: json.loads((two_impls / impl / "run.json").read_text())["results"][
            "seconds_per_epoch"
        ]
        for impl in ("naive", "sg")
    }
    (line,) = ratio_lines(table.Comparison(table.read([two_impls])))
    start, _, rest = line.partition("1/")
    number, _, end = rest.partition(" ")
    assert (start, end) == ("sg takes ", "of naive's time per epoch")
    assert float(number.replace(",", "")) == pytest.approx(
        seconds["naive"] / seconds["sg"], rel=0.05
    )


def test_no_ratio_where_something_else_differs_too() -> None:
    frame = frame_of(
        {"impl": "sg", "seconds_per_epoch": 1.0, "epochs": 2},
        {"impl": "naive", "seconds_per_epoch": 9.0},
    )
    assert ratio_lines(table.Comparison(frame)) == []
    assert ratio_lines(table.Comparison(frame.assign(epochs=2))) == [
        "sg takes 1/9.0 of naive's time per epoch"
    ]


@pytest.mark.parametrize("seconds", [(1.0, 2.0), (2.0, 1.0)])
def test_ratios_are_in_the_order_of_the_rows(seconds: tuple[float, float]) -> None:
    frame = frame_of(
        {"impl": "naive", "seconds_per_epoch": 100.0},
        {"impl": "sg", "seconds_per_epoch": seconds[0]},
        {"impl": "fast", "seconds_per_epoch": seconds[1]},
    )
    lines = ratio_lines(table.Comparison(frame))
    assert [line.split(" of ")[0] for line in lines] == [
        f"sg takes 1/{100 / seconds[0]:.0f}",
        f"fast takes 1/{100 / seconds[1]:.0f}",
    ]


def test_reasons_name_the_run_and_what_is_wrong_with_it(study: Path) -> None:
    recorded = json.loads((study / "6" / "run.json").read_text())["reason"]
    diverged, damaged = reasons(table.Comparison(table.read([study])))
    assert diverged == f"6 diverged: {recorded}"
    assert damaged.startswith("7 damaged: run.json: damaged: Unterminated string")


def test_many_reasons_are_counted() -> None:
    frame = frame_of(*({"status": "failed", "reason": f"reason {k}"} for k in range(25)))
    lines = reasons(table.Comparison(frame))
    assert lines[0] == "0 failed: reason 0" and len(lines) == 11
    assert lines[-1].startswith("and 15 more")


def test_labels_say_in_what_runs_differ(two_impls: Path) -> None:
    assert short_labels(table.Comparison(table.read([two_impls]))) == ["naive", "sg"]
    frame = frame_of({"model.layers.0.filters": 8}, {"model.layers.0.filters": 16})
    assert short_labels(table.Comparison(frame)) == ["filters=8", "filters=16"]


def test_equal_labels_get_their_folder() -> None:
    frame = frame_of({"seed": 1}, {"seed": 2}, {"seed": 2})
    assert short_labels(table.Comparison(frame)) == ["seed=1", "seed=2 (1)", "seed=2 (2)"]


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no runs here"):
        table.read([tmp_path])
    with pytest.raises(RunError, match="no such folder"):
        table.read([tmp_path / "absent"])


def test_a_log_that_cannot_be_read_is_told_with_a_target(tmp_path: Path) -> None:
    for name, text in (("0", "epoch,test_error,seconds\n1,0.1,2.0\n"), ("1", ""), ("2", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "epochs.csv").write_text(text)
    (tmp_path / "1" / "epochs.csv").unlink()
    (tmp_path / "2" / "epochs.csv").unlink()
    (tmp_path / "2" / "epochs.csv").mkdir()
    frame = frame_of(*({"run": str(tmp_path / name)} for name in "012"))
    found = table.with_target(frame, "test_error", 0.2)
    assert found[table.TARGET].tolist()[0] == 2.0
    assert found[table.TARGET].isna().tolist() == [False, True, True]
    assert found["reason"].isna().tolist() == [True, True, False]
    assert "epochs.csv: cannot be read" in found["reason"][2]


def test_no_setting_that_changes_results_is_hidden() -> None:
    """Of all settings there are; hidden are those that a run's result does not depend on."""
    keys = {setting.key for section in sections() for setting in section.settings}
    hidden = {key for key in keys if table.Comparison(frame_of({key: 1}, {key: 2})).differing == []}
    assert {"best_weights", "early_stopping.patience", "data.validation", "ema"} <= keys - hidden
    assert {key for key in hidden if not key.startswith(("sweep", "checkpoint"))} == {
        *("name", "tags", "note"),
        "profile",
    }


@pytest.mark.parametrize("values", [(True, False), (False, "validation_loss")])
def test_best_weights_is_a_setting_and_the_best_error_is_a_result(values: tuple[object]) -> None:
    rows = [
        {"best_weights": value, "best_validation_error": k / 8} for k, value in enumerate(values)
    ]
    assert table.Comparison(frame_of(*rows)).differing == ["best_weights"]


def test_metrics_of_ones_choice_are_results() -> None:
    rows = [
        {"test_error": k / 8, "test_top_3_error": k / 9, "train_mae": k, "seconds": 1.0 + k}
        for k in range(2)
    ]
    comparison = table.Comparison(frame_of(*rows))
    assert comparison.differing == []
    assert comparison.columns == ["run", "status", "test_error", "test_top_3_error", "seconds"]
