from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cnnexp import load_runs
from cnnexp.errors import RunError
from cnnexp.runs.finding import find_runs, refuse_folder_of_runs


def test_a_row_has_the_settings_and_the_results_of_its_record(study: Path) -> None:
    frame = load_runs(study)
    assert frame["run"].tolist() == [str(study / str(k)) for k in range(8)]
    for row in frame.head(6).to_dict("records"):
        record = json.loads((Path(row["run"]) / "run.json").read_text())
        config = record["config"]
        assert row["model"] == "cnn" and row["impl"] == "fast"
        assert row["learning_rate"] == config["learning_rate"]
        assert row["model.layers.0.filters"] == config["model"]["layers"][0]["filters"]
        assert row["optimizer.momentum"] == config["optimizer"]["momentum"]
        for figure, value in record["results"].items():
            assert row[figure] == value


def test_several_folders_and_runs_are_read_once_each(study: Path, two_impls: Path) -> None:
    frame = load_runs(two_impls, study / "3", study, study / "." / "3")
    assert frame["impl"].tolist()[:2] == ["naive", "sg"]
    assert len(frame) == 10


def test_without_a_folder_outputs_is_read(
    finished: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="outputs: there is no such folder"):
        load_runs()
    shutil.copytree(finished[0], tmp_path / "outputs" / "a")
    assert load_runs()["run"].tolist() == ["outputs/a"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"format": 1', "Expecting ',' delimiter"),
        (b"\xff\xfe{", "damaged"),
        (b"[]", "expected format 2, found list"),
        (b'{"format": 99, "status": "finished"}', "expected format 2, found 99"),
        (b'{"format": 1, "status": "finished"}', "there is no reason, created"),
        (b'{"format": 1, "status": "finished", "config": []}', "damaged"),
        (b'{"format": 1, "status": "finished", "config": {"model": {"layers": []},'
         b' "impl": 3}, "reason": null,'
         b' "heartbeat": "", "process": {},'
         b' "choices": {}, "results": {}, "created": ""}', "config.impl must be an object"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_a_row_that_says_what_is_wrong(
    content: bytes, reason: str, finished: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(finished[0], tmp_path / "0")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "run.json").write_bytes(content)
    frame = load_runs(tmp_path)
    assert frame["status"].tolist() == ["finished", "damaged"]
    assert reason in frame["reason"][1]
    assert math.isnan(frame["test_error"][1])


def test_a_folder_that_was_only_begun_is_a_row_too(tmp_path: Path) -> None:
    (tmp_path / "0" / ".hydra").mkdir(parents=True)
    frame = load_runs(tmp_path)
    assert frame["status"].tolist() == ["damaged"]
    assert "there is no run.json" in frame["reason"][0]


def test_no_runs_make_an_empty_table(tmp_path: Path) -> None:
    frame = load_runs(tmp_path)
    assert isinstance(frame, pd.DataFrame) and frame.empty


def test_numbered_folders_come_in_the_order_of_their_numbers(
    finished: list[Path], tmp_path: Path
) -> None:
    for name in ("10", "9", "2", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(finished[0] / "run.json", tmp_path / name)
    assert [Path(run).name for run in load_runs(tmp_path)["run"]] == ["b", "2", "9", "10"]


def test_runs_come_in_the_order_of_their_names_at_every_depth(tmp_path: Path) -> None:
    for name in ("10", "9", "a/2", "a/1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
    found = [os.path.relpath(path, tmp_path) for path in find_runs(tmp_path)]
    assert found == ["a/1", "a/2", "9", "10"]


def test_a_folder_that_cannot_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.scandir

    def scandir(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return look(path)

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    assert list(find_runs(tmp_path)) == [str(tmp_path / "closed")]


def test_a_folder_of_runs_is_no_run(tmp_path: Path, finished: list[Path]) -> None:
    with pytest.raises(RunError, match="not a run, but it holds 8, for example"):
        refuse_folder_of_runs(finished[0].parent)
    refuse_folder_of_runs(finished[0])
    refuse_folder_of_runs(tmp_path)
    refuse_folder_of_runs(tmp_path / "absent")


def test_a_folder_within_another_is_read_once(tmp_path: Path) -> None:
    for name in ("9", "10"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    assert len(load_runs(tmp_path)) == 2
    assert len(load_runs(tmp_path, tmp_path / "9")) == 2
    assert len(load_runs(tmp_path / "9", tmp_path / "9", tmp_path / "10")) == 2


def test_runs_that_only_began_are_all_found(tmp_path: Path) -> None:
    for name in ("0", "1", "2"):
        (tmp_path / name / ".hydra").mkdir(parents=True)
    assert len(list(find_runs(tmp_path))) == 3
