"""What trackers write, read back with the reader of the program that it is written for."""

from __future__ import annotations

import csv
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from cnnexp.app.main import main
from cnnexp.runs import environment
from cnnexp.trackers.mlflow import absolute
from cnnexp.trackers.wandb import has_key
from tests.app.test_resume import Moments
from tests.runs.small import as_killed, record_in, settings, train, write_data

FINAL = ("final_test_error", "final_train_loss", "final_seconds", "final_wall_seconds")
ABOUT = ("name=mine", "tags=[a,b]", "note=worth knowing", "data.validation=12")

pytestmark = pytest.mark.filterwarnings("ignore")  # of packages whose versions we do not choose


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "git", lambda: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data.npz")


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what epochs.csv says: epoch and value of every figure."""
    with (folder / "epochs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        key: [(int(row["epoch"]), float(row[key])) for row in rows if row[key]] for key in rows[0]
    }


def same(found, folder: Path) -> None:
    """Compare figures with epochs.csv; TensorBoard keeps them in single precision."""
    expected = logged(folder)
    assert {"train_loss", "validation_error", "test_loss", "learning_rate", "seconds"} <= {
        *expected
    }
    for name, values in expected.items():
        assert [step for step, _ in found[name]] == [step for step, _ in values], name
        assert [v for _, v in found[name]] == pytest.approx([v for _, v in values], rel=1e-6)


def cut_off(folder: Path, data: Path, monkeypatch, *words: str) -> list[Path]:
    """Make a run, and copies of its folder as a kill after each epoch leaves it."""
    moments = Moments(folder, folder.with_name("moments"))
    with monkeypatch.context() as patch:
        moments.watch(patch)
        train(folder, data, *words)
    return moments.copies


# TensorBoard ----------------------------------------------------------------------------------


def scalars(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    tags = read.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in tags}, read


def test_tensorboard(tmp_path, data):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    folder = train(tmp_path / "run", data, "trackers=[tensorboard]", *ABOUT)
    found, read = scalars(folder)
    same(found, folder)
    results = record_in(folder)["results"]
    assert found["final_test_error"] == [(2, pytest.approx(results["test_error"]))]
    assert {*FINAL} <= {*found}
    texts = {tag: read.Tensors(tag)[0].tensor_proto.string_val[0] for tag in ("note", "status")}
    assert texts == {"note": b"worth knowing", "status": b"finished"}
    data_of = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    start = HParamsPluginData.FromString(data_of).session_start_info
    assert start.group_name == "mine"
    assert start.hparams["model.layers.1.units"].number_value == 5
    assert start.hparams["optimizer"].string_value == "sgd"
    assert "tensorflow" not in sys.modules


def test_tensorboard_shows_no_epoch_twice_after_a_cut(tmp_path, data, monkeypatch):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    words = ["trackers=[tensorboard]", "epochs=3", "data.validation=12"]
    for copy in cut_off(tmp_path / "run", data, monkeypatch, *words)[3::8]:
        assert main(["resume", str(copy)]) == 0
        found, _ = scalars(copy)
        same(found, copy)


# MLflow ---------------------------------------------------------------------------------------


def mlflow_runs(uri: str):
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "cnnexp"]
    return client, client.search_runs([experiment.experiment_id])


def metrics(client, run):
    return {
        name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


@pytest.mark.parametrize("uri", ["sqlite:///kept.db", "kept"])
def test_mlflow(uri, tmp_path, data):
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    words = [f"trackers=[{{type: mlflow, uri: '{uri}'}}]", *ABOUT]
    folder = train(tmp_path / "run", data, *words)
    client, (run,) = mlflow_runs(absolute(uri))
    same(metrics(client, run), folder)
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert run.data.params["model.layers.1.units"] == "5"
    assert run.data.params["optimizer"] == "sgd"
    tags = {"tag.a", "tag.b", "cnnexp.folder", "mlflow.note.content", "cnnexp.status"}
    assert tags <= {*run.data.tags}
    assert run.data.metrics["final_test_error"] == record_in(folder)["results"]["test_error"]
    assert {*FINAL} <= {*run.data.metrics}
    assert not client.list_artifacts(run.info.run_id)


def test_mlflow_goes_on_in_the_same_run(tmp_path, data, monkeypatch):
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    words = ["trackers=[mlflow]", "epochs=3", "data.validation=12"]
    copies = cut_off(tmp_path / "run", data, monkeypatch, *words)
    client, (run,) = mlflow_runs("sqlite:///mlflow.db")
    for copy in copies[-12::5]:
        assert main(["resume", str(copy)]) == 0
        client, runs = mlflow_runs("sqlite:///mlflow.db")
        assert [found.info.run_id for found in runs] == [run.info.run_id]
        found = metrics(client, runs[0])
        assert [step for step, _ in found["train_loss"]] == [1, 2, 3]
        assert runs[0].info.status == "FINISHED"


@pytest.mark.long
def test_jobs_side_by_side_share_one_store(tmp_path, data):
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    words = ["-m", *settings(data), "data.validation=12", "seed=range(8)", "sweep.jobs=4"]
    words += ["trackers=[{type: mlflow, uri: 'sqlite:///all.db'}]", "sweep.dir=s"]
    ended = subprocess.run(
        [sys.executable, "-m", "cnnexp", *words], check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    client, runs = mlflow_runs("sqlite:///all.db")
    assert sorted(run.data.params["seed"] for run in runs) == [str(k) for k in range(8)]
    for run in runs:
        same(metrics(client, run), Path(run.data.tags["cnnexp.folder"]))


def test_a_place_that_cannot_be_written_to_is_a_warning(tmp_path, data, capsys):
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    (tmp_path / "file").touch()
    uri = "sqlite:///file/below/a.db"
    folder = train(tmp_path / "run", data, f"trackers=[{{type: mlflow, uri: '{uri}'}}]")
    assert record_in(folder)["status"] == "finished"
    assert "warning: trackers: 'mlflow' failed in begin: " in capsys.readouterr().err


def test_places_mean_the_same_in_every_folder(tmp_path, monkeypatch):
    assert absolute("sqlite:///a.db") == f"sqlite:///{tmp_path}/a.db"
    assert absolute("runs") == f"{tmp_path}/runs"
    assert absolute(None) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    assert absolute(None) is None


# Weights & Biases -----------------------------------------------------------------------------

BLOCK = 32768  # the file is a log of LevelDB: blocks, records with checksum, length and type


def wandb_records(path: Path):
    """Yield the records of a file of W&B, as its own protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        if kind == 0:
            break
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last part
            yield Record.FromString(parts)
            parts = b""


def wandb_history(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return figures by step; of a step the first, as W&B keeps it."""
    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for record in wandb_records(path):
            for item in record.history.item:
                key = item.key or ".".join(item.nested_key)
                step = record.history.step.num
                found.setdefault(key, {}).setdefault(step, json.loads(item.value_json))
    return {key: sorted(values.items()) for key, values in found.items()}


def test_wandb_offline(tmp_path, data):
    pytest.importorskip("wandb", reason="needs the extra wandb")
    folder = train(tmp_path / "run", data, "trackers=[wandb]", *ABOUT)
    same(wandb_history(folder), folder)
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    records = list(wandb_records(path))
    (run,) = [r.run for r in records if r.WhichOneof("record_type") == "run"]
    assert (run.display_name, [*run.tags], run.notes) == ("mine", ["a", "b"], "worth knowing")
    assert run.project == "cnnexp"
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["model.layers.1.units"] == 5
    summary = {
        item.key or ".".join(item.nested_key): json.loads(item.value_json)
        for r in records
        for item in r.summary.update
    }
    assert summary["status"] == "finished"
    assert {*FINAL} <= {*summary}
    (end,) = [r.exit for r in records if r.WhichOneof("record_type") == "exit"]
    assert end.exit_code == 0


def test_wandb_goes_on_in_the_same_run(tmp_path, data):
    pytest.importorskip("wandb", reason="needs the extra wandb")
    words = ["trackers=[wandb]", "schedule=constant", "data.validation=12"]
    folder = as_killed(train(tmp_path / "run", data, *words), tmp_path / "copy")
    assert main(["resume", str(folder), "epochs=4"]) == 0
    same(wandb_history(folder), folder)
    assert len({path.name for path in folder.glob("wandb/offline-run-*/*.wandb")}) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("machine api.wandb.ai login user password x", True),
        ("machine example.org login user password x", False),
        ("nonsense", False),
    ],
)
def test_a_key_is_found_where_wandb_looks_for_it(text, found, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text(text)
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert has_key() is found
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert has_key()
