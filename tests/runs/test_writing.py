"""A writer of run folders by itself: what it keeps, adds up and takes back."""

import csv
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from cnnexp.errors import RunError
from cnnexp.runs import checkpoint, kept_weights, writing
from cnnexp.runs.files import CsvLog
from cnnexp.runs.policy import CheckpointPolicy
from cnnexp.runs.record import new_record, write_record
from cnnexp.runs.writing import RunWriter
from cnnexp.train import EpochDone

ENVIRONMENT = {"numpy": "0"}


def record(**changes):
    return dataclasses.replace(new_record({"epochs": 2}, {}, [], ENVIRONMENT), **changes)


@pytest.fixture
def write(tmp_path):
    """Make a writer, and let it end."""
    made = []

    def make(policy=None, **changes):
        made.append(RunWriter(tmp_path, record(**changes), policy or CheckpointPolicy()))
        return made[-1]

    yield make
    for writer in made:
        writer.finish("finished")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def recorded(folder):
    return json.loads((folder / "run.json").read_text())


def test_what_a_killed_process_left_is_removed(write, tmp_path):
    (tmp_path / ".weights.pkl.5.tmp").write_bytes(b"half")
    write()
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_what_was_used_before_is_added(write):
    before = {"wall_seconds": 100.0, "cpu_seconds": 50.0, "peak_memory_bytes": 1 << 50}
    used = write(usage=before).usage()
    assert 100 <= used["wall_seconds"] < 120
    assert 50 <= used["cpu_seconds"] < 70
    assert used["peak_memory_bytes"] == 1 << 50
    assert used["wall_seconds"] == round(used["wall_seconds"], 3)
    assert write(usage={}).usage()["wall_seconds"] < 20


def test_figures_of_epochs_add_up(write):
    writer = write()
    writer.open_logs(["loss"], validation=False)
    writer.totals |= {"seconds": 4.0, "samples": 80}
    done = EpochDone(1, {"loss": 2.0}, {"loss": 3.0}, None, 0.1, 4.0, 0.5, 20.0, {"test_loss": 3.0})
    state = {"epoch": 1, "batch": 0, "weights": {}, "average": None, "best": None}
    writer.epoch_done(done, lambda: state)
    results = writer.record.results
    assert results["samples_per_second"] == 20.0
    assert (results["seconds_per_epoch"], results["eval_seconds"]) == (4.0, 0.5)
    assert results["test_loss"] == 3.0
    assert recorded(writer.folder)["results"] == results


@pytest.mark.parametrize("validation", [False, True])
def test_a_validation_part_has_columns(validation, write, tmp_path):
    write().open_logs(["loss", "error"], validation)
    (names,) = csv.reader((tmp_path / writing.EPOCHS).read_text().splitlines())
    assert [name for name in names if name.startswith("validation_")] == (
        ["validation_loss", "validation_error"] if validation else []
    )


def test_rows_after_a_checkpoint_are_taken_back(write, tmp_path):
    """Epoch 2 is under way: its first batch was saved, and the second was not."""
    logs = {
        writing.EPOCHS: ("epoch", [(1,), (2,)], [("1",)]),
        writing.BATCHES: (
            "epoch,batch",
            [(1, 1), (1, 2), (2, 1), (2, 2)],
            [("1", "1"), ("1", "2"), ("2", "1")],
        ),
        writing.DIAGNOSTICS: ("epoch,name", [(1, "a"), (2, "a")], [("1", "a")]),
        writing.HISTOGRAMS: ("epoch,parameter", [(0, "b"), (1, "b"), (2, "b")],
                             [("0", "b"), ("1", "b")]),
    }  # fmt: skip
    for name, (head, lines, _) in logs.items():
        text = "".join(f"{','.join(map(str, line))}\r\n" for line in lines)
        (tmp_path / name).write_text(f"{head}\r\n{text}", newline="")
    (tmp_path / writing.WEIGHTS).write_bytes(b"of an earlier end")
    (tmp_path / "checkpoint.pkl").write_bytes(b"")
    training = {"epoch": 1, "batch": 1}
    saved = {"training": training, "totals": {"seconds": 1.0}, "results": {"epoch": 1}}
    writer = write()
    writer.rewind(saved)
    assert {name: [tuple(row.values()) for row in rows(tmp_path / name)] for name in logs} == {
        name: kept for name, (_, _, kept) in logs.items()
    }
    assert not (tmp_path / writing.WEIGHTS).exists()
    assert writer.totals == {"seconds": 1.0}
    assert recorded(tmp_path)["results"] == {"epoch": 1}


def test_the_end_is_recorded_with_checksums(write, tmp_path):
    writer = write()
    writer.open_logs(["loss"], validation=False)
    writer.save_weights({})
    writer.finish("finished", "a reason")
    found = recorded(tmp_path)
    assert (found["status"], found["reason"]) == ("finished", "a reason")
    assert found["checksums"]["weights.pkl"].startswith("sha256:")
    assert set(found["checksums"]["logs"]) == {
        writing.EPOCHS, writing.BATCHES, writing.HISTOGRAMS
    }  # fmt: skip


def test_how_weights_are_spread_is_logged_and_the_first_are_kept(write, tmp_path):
    writer = write(policy=CheckpointPolicy(keep="all"))
    writer.open_logs(["loss"], validation=False)
    for epoch in (0, 1):
        writer.weights_at(epoch, {"a.W": np.array([1.0, 2.0]), "a.b": np.array([np.nan])})
    logged = rows(tmp_path / writing.HISTOGRAMS)
    assert [(row["epoch"], row["parameter"]) for row in logged] == [
        ("0", "a.W"), ("0", "a.b"), ("1", "a.W"), ("1", "a.b")
    ]  # fmt: skip
    assert (logged[1]["low"], logged[1]["high"]) == ("0.0", "1.0")
    assert kept_weights.epochs_of(tmp_path) == [0]  # the others are kept at the end of an epoch


def test_logs_are_closed_at_the_end(write):
    writer = write()
    writer.open_logs(["loss"], validation=False)
    writer.finish("finished")
    with pytest.raises(ValueError, match="closed"):
        writer._logs["epochs"].append([1])


def test_a_checkpoint_comes_after_its_rows(write, monkeypatch):
    synchronised = []
    writer = write()
    writer.open_logs(["loss"], validation=False)
    monkeypatch.setattr(CsvLog, "sync", lambda log: synchronised.append(log.path.name))
    monkeypatch.setattr(checkpoint, "save", lambda folder, pickled: synchronised.append("saved"))
    writer.checkpoint({"epoch": 1, "batch": 0})
    assert set(synchronised[:-1]) == {writing.EPOCHS, writing.BATCHES, writing.HISTOGRAMS}
    assert synchronised[-1] == "saved"


def test_a_checkpoint_is_written_when_it_is_due(write, monkeypatch):
    writer, saved = write(policy=CheckpointPolicy(every=2)), []
    writer.open_logs(["loss"], validation=False)
    monkeypatch.setattr(writer, "checkpoint", saved.append)
    for batch in (1, 2, 3, 4):
        event = SimpleNamespace(
            epoch=1,
            batch=batch,
            samples=8,
            figures={"loss": 1.0},
            learning_rate=0.1,
            seconds=0.5,
        )
        writer.batch_done(event, lambda batch=batch: batch)
    assert saved == [2, 4]
    assert (writer.totals["seconds"], writer.totals["samples"]) == (2.0, 32)


def test_every_batch_is_a_row(write, tmp_path):
    writer = write()
    writer.open_logs(["loss"], validation=False)
    for batch in (1, 2):
        figures = {"loss": 0.5 * batch}
        event = SimpleNamespace(
            epoch=1,
            batch=batch,
            samples=8 * batch,
            figures=figures,
            learning_rate=0.1,
            seconds=0.25,
        )
        writer.batch_done(event, training=dict)
    logged = rows(tmp_path / writing.BATCHES)
    assert [(row["batch"], row["samples"], row["loss"]) for row in logged] == [
        ("1", "8", "0.5"), ("2", "16", "1.0")
    ]  # fmt: skip
    assert writer.totals["seconds"] == 0.5


def test_json_gets_no_figure_that_is_not_finite(write, tmp_path):
    found = {"a": 0.5, "b": float("nan"), "c": float("-inf"), "d": 3}
    write_record(tmp_path, record(results=found))
    assert recorded(tmp_path)["results"] == {"a": 0.5, "b": None, "c": None, "d": 3}


def test_weights_of_epochs_are_not_written_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / kept_weights.FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="link"):
        kept_weights.save(tmp_path, 1, {"a.W": np.zeros(2)})
    assert not list((tmp_path / "elsewhere").iterdir())
