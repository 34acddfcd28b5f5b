from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from cnnexp.errors import OptionError
from cnnexp.report.histories import parse_target, read_history, seconds_to

LOG = "epoch,test_error,validation_error,seconds\n1,0.5,,2.0\n2,0.2,,3.0\n3,0.1,,4.0\n"


def write(folder: Path, text: str) -> Path:
    (folder / "epochs.csv").write_text(text)
    return folder


def test_columns_and_the_time_elapsed(tmp_path: Path) -> None:
    history = read_history(write(tmp_path, LOG))
    assert history["test_error"] == [0.5, 0.2, 0.1]
    assert history["elapsed"] == [2.0, 5.0, 9.0]
    assert all(math.isnan(value) for value in history["validation_error"])


@pytest.mark.parametrize("rest", ["4,0.0", "4,0.05,,4.", "4,0.05,,", "\n", "4,x,,1.0\n", "4,0.1\n"])
def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path, rest: str) -> None:
    assert read_history(write(tmp_path, LOG + rest))["epoch"] == [1, 2, 3]


def test_no_log_and_an_empty_one_are_empty_histories(tmp_path: Path) -> None:
    assert read_history(tmp_path) == {}
    assert read_history(write(tmp_path, "")) == {}


def test_bytes_that_are_no_text_do_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "epochs.csv").write_bytes(LOG.encode() + b"\xff\xfe\x00\n")
    assert read_history(tmp_path)["epoch"] == [1, 2, 3]


def test_seconds_until_a_target_is_first_reached(tmp_path: Path) -> None:
    history = read_history(write(tmp_path, LOG))
    assert seconds_to(history, "test_error", 0.2) == 5.0
    assert math.isnan(seconds_to(history, "test_error", 0.05))
    assert math.isnan(seconds_to(history, "validation_error", 1.0))
    assert math.isnan(seconds_to({}, "test_error", 1.0))


def test_seconds_to_a_target_agree_with_the_log_of_a_run(finished: list[Path]) -> None:
    for run in finished:
        with (run / "epochs.csv").open() as file:
            rows = list(csv.DictReader(file))
        target = float(rows[1]["test_loss"])
        first = next(k for k, row in enumerate(rows) if float(row["test_loss"]) <= target)
        expected = sum(float(row["seconds"]) for row in rows[: first + 1])
        assert seconds_to(read_history(run), "test_loss", target) == pytest.approx(expected)


def test_targets_are_read_and_checked() -> None:
    assert parse_target("loss=1e-2") == ("test_loss", 0.01)
    assert parse_target("validation_error=0.5") == ("validation_error", 0.5)
    with pytest.raises(OptionError, match="Did you mean 'test_error'"):
        parse_target("tset_error=1")
    for text in ("error", "error=", "error=low"):
        with pytest.raises(OptionError, match="a metric and a number"):
            parse_target(text)
