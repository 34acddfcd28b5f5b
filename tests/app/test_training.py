"""Early stopping, averages, accumulation, callbacks and the rest, from the command line."""

import csv
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from cnnexp import load_run
from cnnexp.app.compose.configs import make_app
from cnnexp.app.main import main
from cnnexp.app.running.resume import complete
from cnnexp.app.settings.check import check
from cnnexp.app.settings.check_training import VALIDATION
from cnnexp.errors import ConfigError
from cnnexp.runs.fingerprint import NEWER, fingerprint
from cnnexp.train import CALLBACKS, Callback
from experiments.benchmarks.kill_and_resume import differences
from tests.app.test_resume import Moments
from tests.commandline import cnnexp, succeed
from tests.runs.small import SMALL, change_record, checked, record_in, settings, train, write_data

ALL = (
    "epochs=6",
    "optimizer=adam",
    "learning_rate=0.03",
    "schedule=constant",
    "data.validation=12",
    "early_stopping.patience=2",
    "best_weights=true",
    "ema=0.8",
    "accumulate=2",
    "diagnostics=true",
    "checkpoint.every=2",
)


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data.npz")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(CALLBACKS, "_things", dict(CALLBACKS._things))


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# Killed and resumed ---------------------------------------------------------------------------


@pytest.mark.long
def test_with_everything_it_is_killed_anywhere_and_ends_with_the_same_bits(
    tmp_path, data, monkeypatch
):
    whole = train(tmp_path / "whole", data, *ALL)
    record = record_in(whole)
    assert record["reason"].startswith("stopped early: ")
    assert 1 <= record["results"]["best_epoch"] < record["results"]["epoch"]
    moments = Moments(tmp_path / "run", tmp_path / "moments")
    with monkeypatch.context() as patch:
        moments.watch(patch)
        train(moments.folder, data, *ALL)
    assert len(moments.copies) > 60
    for copy in moments.copies[1::16]:
        assert main(["resume", str(copy)]) == 0
        assert (copy.name, differences(whole, copy)) == (copy.name, [])


def test_one_and_two_workers_give_the_same_bits(tmp_path, data):
    one = train(tmp_path / "one", data, *ALL, "impl.micro_batch=3")
    two = train(tmp_path / "two", data, *ALL, "impl.micro_batch=3", "impl.threads=2")
    found = [fault for fault in differences(one, two) if fault != "results in run.json differ"]
    assert found == []  # the number of threads is part of the fingerprint


def test_an_unfinished_run_has_the_weights_that_it_would_keep(tmp_path, data):
    run = train(tmp_path / "run", data, *ALL)
    kept = load_run(run).weights
    (run / "weights.pkl").unlink()
    for name, array in load_run(run).weights.items():
        assert array.tobytes() == kept[name].tobytes()


# What is chosen, and when the test part is evaluated ------------------------------------------


@pytest.mark.parametrize(
    ("words", "validation", "evaluate"),
    [
        ([], None, "each_epoch"),
        (["early_stopping.patience=2"], VALIDATION, "at_end"),
        (["best_weights=true"], VALIDATION, "at_end"),
        (["best_weights=validation_loss"], VALIDATION, "at_end"),
        (["schedule=reduce_on_plateau"], VALIDATION, "at_end"),
        (["schedule=reduce_on_plateau", "schedule.metric=train_loss"], None, "at_end"),
        (["callbacks=[{type: stop_at, value: 0.1}]"], VALIDATION, "at_end"),
        (["callbacks=[{type: stop_at, value: 0, metric: train_loss}]"], None, "at_end"),
        (["early_stopping.patience=2", "data.validation=9"], 9, "at_end"),
        (["early_stopping.patience=2", "evaluate=each_epoch"], VALIDATION, "each_epoch"),
        (["evaluate=at_end"], None, "at_end"),
        (["early_stopping={patience: 2, metric: validation_loss}"], VALIDATION, "at_end"),
        (["early_stopping=null"], None, "each_epoch"),
    ],
    ids=str,
)
@pytest.mark.few(2)
def test_what_chooses_has_a_validation_part_and_leaves_the_test_part_alone(
    words, validation, evaluate
):
    config = checked(*SMALL, *words)
    assert (config["data"]["validation"], config["evaluate"]) == (validation, evaluate)


@pytest.mark.parametrize("evaluate", ["each_epoch", "at_end"])
def test_the_test_part_is_in_every_row_or_in_the_last_one(evaluate, tmp_path, data):
    run = train(tmp_path / "run", data, "epochs=3", f"evaluate={evaluate}")
    tested = [row["test_loss"] != "" for row in rows(run / "epochs.csv")]
    assert tested == [evaluate == "each_epoch"] * 2 + [True]


@pytest.mark.parametrize("evaluate", ["each_epoch", "at_end"])
def test_recorded_results_are_those_of_the_weights_that_are_kept(evaluate, tmp_path, data):
    words = (*ALL, f"evaluate={evaluate}", "early_stopping.patience=null")
    run = load_run(train(tmp_path / "run", data, *words))
    for part in ("test", "validation"):
        samples = getattr(run.dataset, part)
        _, figures = run.network.evaluate_figures(samples.X, samples.Y)
        assert {k: run.results[f"{part}_{k}"] for k in figures} == figures
    best = run.results["best_epoch"]
    assert run.results["train_loss"] == run.epochs.train_loss[best - 1]
    assert run.results["best_validation_error"] == run.results["validation_error"]
    per_class = [row for row in rows(tmp_path / "run" / "confusion.csv") if row["part"] == "test"]
    right = sum(int(row[row["class"]]) for row in per_class)
    assert 1 - right / run.dataset.test.count == pytest.approx(run.results["test_error"])


def test_it_says_why_it_stopped_and_what_is_kept(data):
    text = succeed(*settings(data), *ALL, "hydra.run.dir=run")
    assert "stopped early: validation_error has not been below " in text
    assert "kept: the weights of epoch " in text
    assert "stopped early: " in succeed("show", "run")


def test_a_run_that_stopped_early_is_not_extended(tmp_path, data):
    train(tmp_path / "run", data, *ALL)
    ended = cnnexp("resume", tmp_path / "run", "epochs=50")
    assert ended.code == 2
    assert "cannot be extended: it stopped early, because validation_error has not" in ended.err


# Compatibility --------------------------------------------------------------------------------


def test_a_run_of_an_earlier_version_resumes_as_it_began(tmp_path, data):
    """Its config has none of the new keys, and it tested after each epoch."""
    words = ("schedule=reduce_on_plateau", "data.validation=9", "evaluate=each_epoch")
    whole = train(tmp_path / "whole", data, *words)
    old = shutil.copytree(whole, tmp_path / "old")
    config = record_in(old)["config"]
    for key in (*NEWER, "diagnostics"):
        del config[key]
    process = record_in(old)["process"]
    change_record(
        old,
        config=config,
        status="running",
        process=process | {"started": process["started"] - 1000},
    )
    (old / "checkpoint.pkl").unlink()
    assert main(["resume", str(old)]) == 0
    assert differences(whole, old) == []
    assert record_in(old)["config"] == record_in(whole)["config"]


def test_new_keys_at_their_defaults_leave_the_fingerprint_as_it_was():
    old = {"epochs": 2, "seed": 0}
    new = {**old, **NEWER, "diagnostics": False}
    assert fingerprint(new, "sha256:0") == fingerprint(old, "sha256:0")
    for alike in ({"diagnostics": True}, {"evaluate": "at_end"}):
        assert fingerprint(new | alike, "sha256:0") == fingerprint(old, "sha256:0")
    for changed in ({"ema": 0.9}, {"accumulate": 2}, {"callbacks": [{"type": "stop_at"}]}):
        assert fingerprint(new | changed, "sha256:0") != fingerprint(old, "sha256:0")


def test_missing_keys_are_completed_with_what_was_done_then(tmp_path, data):
    config = record_in(train(tmp_path / "run", data))["config"]
    for key in NEWER:
        del config[key]
    assert {key: complete(config)[key] for key in NEWER} == {
        **NEWER,
        "early_stopping": None,
    }


# Callbacks ------------------------------------------------------------------------------------

MINE = """
from dataclasses import dataclass
from cnnexp.train import CALLBACKS, Callback

@CALLBACKS.register("mine")
@dataclass
class Mine(Callback):
    after: int = 2
    fail: bool = False

    def epoch_done(self, trainer, figures):
        if self.fail:
            raise ValueError("a cable came loose")
        if len(trainer.state.history) == self.after:
            trainer.stop("it is enough")

@CALLBACKS.register("plain")
class Plain(Callback):
    def end(self, trainer, figures):
        print("the end", sorted(figures))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return "plugins=[mine]"


def test_a_callback_of_ones_own(data, mine):
    words = ["callbacks=[{type: mine, after: 1},plain]", "hydra.run.dir=run"]
    text = succeed(*settings(data), mine, *words)
    assert "the end ['test_error', 'test_loss', 'train_error', 'train_loss']" in text
    assert "stopped early: it is enough" in text
    record = record_in(Path("run"))
    assert record["results"]["epoch"] == 1
    assert record["config"]["callbacks"] == [{"type": "mine", "after": 1}, {"type": "plain"}]


def test_a_callback_that_fails_ends_the_run_and_is_named(data, mine):
    ended = cnnexp(*settings(data), mine, "callbacks=[{type: mine, fail: true}]", "hydra.run.dir=r")
    assert ended.code == 2
    assert "error: callbacks: 'mine' failed in epoch_done, " in ended.err
    assert ended.err.rstrip().endswith("ValueError: a cable came loose")
    record = record_in(Path("r"))
    assert record["status"] == "failed" and "'mine' failed" in record["reason"]
    assert "a cable came loose" in Path("r/train.log").read_text()


class Demanding(Callback):
    def __init__(self, size):
        self.size = size


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ("[3]", "callbacks.0 must be a name, or a name with options"),
        ("[{value: 3}]", "callbacks.0 must be a name, or a name with options"),
        ("[{type: stop_at, value: few}]", "callbacks.0 (stop_at): value must be a number"),
        ("[demanding]", "callbacks.0 (demanding): its class must be a dataclass"),
        ("[{type: stop_at, value: 1, metric: validation_eror}]", "callbacks.0: no figure is named"),
        ("[{type: stop_at, value: 1, metric: test_error}]", "must not be of the test part"),
    ],
)
@pytest.mark.few(3)
def test_mistaken_callbacks_are_told(entries, fault, monkeypatch):
    monkeypatch.setitem(CALLBACKS._things, "demanding", Demanding)
    with pytest.raises(ConfigError) as error:
        checked(*SMALL, f"callbacks={entries}")
    assert fault in str(error.value)


# Files and tables -----------------------------------------------------------------------------


@pytest.mark.long
def test_diagnostics_are_logged_shown_and_drawn(data, tmp_path):
    run = train(tmp_path / "run", data, "diagnostics=true", "model.layers.1.activation=relu")
    logged = rows(run / "diagnostics.csv")
    names = ["all", "dense1.b", "dense2.b", "dense1.W", "dense2.W", "relu1"]
    assert [row["name"] for row in logged] == 2 * names
    assert all(float(row["update_ratio"]) > 0 for row in logged if row["name"] != "relu1")
    assert len(load_run(run).diagnostics) == 12
    text = succeed("show", run, "--plot", "picture.png")
    assert "diagnostics\n" in text and "epoch 1 -> epoch 2" in text
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    plain = train(tmp_path / "plain", data, "model.layers.1.activation=relu")
    assert not (plain / "diagnostics.csv").exists()
    assert differences(run, plain) == ["diagnostics.csv differs"]


def test_classes_are_shown_and_evaluated(data, tmp_path):
    run = train(tmp_path / "run", data)
    assert "classes of the test part\nclass " in succeed("show", run)
    text = succeed("evaluate", run, "--per-class")
    recorded = [row for row in rows(run / "per_class.csv") if row["part"] == "test"]
    assert f"{float(recorded[0]['recall']):.4f}" in text and "macro average" in text
    shown = json.loads(succeed("evaluate", run, "--per-class", "--json"))["per_class"]
    assert [row["precision"] for row in shown] == [float(r["precision"]) for r in recorded]
    succeed("evaluate", run, "--out", tmp_path / "own")
    for name in ("confusion.csv", "per_class.csv", "predictions.csv"):
        recorded = [row for row in rows(run / name) if row["part"] == "test"]
        assert rows(tmp_path / "own" / name) == recorded
    ended = cnnexp("evaluate", run, "--out", run / "run.json")
    assert (ended.code, ended.out) == (2, "") and "is a file" in ended.err


@pytest.mark.long
def test_find_lr_changes_nothing_and_says_where_its_files_are(data, tmp_path):
    train(tmp_path / "run", data)
    before = {p: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    text = succeed("find-lr", *settings(data), "--steps", "40", "--to", "100")
    assert {p: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before
    *_, last = text.splitlines()
    table, picture = last.split(" and ")
    found = rows(tmp_path / table)
    assert 10 <= len(found) <= 40 and list(found[0]) == ["learning_rate", "loss", "smoothed"]
    assert (tmp_path / picture).stat().st_size > 5_000
    assert "suggestion: " in text
    assert succeed("find-lr", *settings(data), "--steps", "40", "--to", "100").count(table) == 0


def test_find_lr_takes_one_implementation_and_a_finite_loss(data):
    ended = cnnexp("find-lr", *settings(data), "impl=sg,fast")
    assert (ended.code, ended.err) == (
        2,
        "error: find-lr takes one implementation. Got impl=sg,fast.\n",
    )
    ended = cnnexp("find-lr", *settings(data), "--from", "1e20", "--to", "1e30")
    assert ended.code == 2 and "Begin with a smaller rate" in ended.err


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "a file of mine"])
@pytest.mark.few(1)
def test_a_mistake_in_the_data_leaves_no_run(there, tmp_path):
    """Nothing was trained; the folder can be named again once the mistake is mended."""
    Path("table.csv").write_text("a,b,y\n1,2,x\n3,nan,z\n")
    run = Path("new", "run") if there == "nothing" else Path("mine")
    if there != "nothing":
        run.mkdir()
    if there == "a file of mine":
        (run / "mine.txt").touch()
    words = ("data=csv", "data.file=table.csv", "model=linear", f"hydra.run.dir={run}")
    ended = cnnexp(*words, "data.target=y")
    assert ended.code == 2 and "table.csv: " in ended.err
    if there == "a file of mine":
        assert {path.name for path in run.iterdir()} > {"mine.txt", "run.json"}
    else:
        left = {path.name for path in tmp_path.rglob("*")}
        assert left == ({"table.csv"} if there == "nothing" else {"table.csv", "mine"})


def test_what_is_trained_is_said_before_anything_is_read(tmp_path, monkeypatch, capsys):
    """And of a table the columns that it learns from: an identifier would be one of them."""
    rows = ["id,a,b,y", *(f"{100 + k},{k % 7},{k % 3},{k % 2}" for k in range(20))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)

    def fail(*args, **settings):
        raise OSError("stopped here")

    monkeypatch.setattr("cnnexp.app.running.experiment.prepare", fail)
    words = ["model=flat", "impl=sg", "hydra.run.dir=R"]
    assert main([*words, "data=csv", "data.file=t.csv"]) == 1
    said = "training flat on csv with impl=sg, in R\nfeatures: id, a, b\n"
    assert capsys.readouterr().out == said


def test_a_signal_before_a_run_begins_is_answered(tmp_path, monkeypatch, capsys):
    def stop(config):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("cnnexp.app.running.single_run.check", stop)
    assert main([f"hydra.run.dir={tmp_path / 'R'}"]) == 130
    said = "interrupted before the run began; there is nothing to resume\n"
    assert capsys.readouterr().err == said
    assert not (tmp_path / "R").exists()


@pytest.mark.parametrize(
    ("model", "loss", "metrics"),
    [
        ("cnn", "mean_squared_error", ["error"]),
        ("cnn", "cross_entropy", []),  # which brings it
        ("autoencoder", "mean_squared_error", []),
    ],
)
def test_the_error_of_a_classifier_is_measured_whatever_its_loss(model, loss, metrics):
    found = check(make_app().settings([f"model={model}", f"loss={loss}"]))
    assert found["metrics"] == metrics


def test_the_error_is_measured_where_the_data_tell_that_there_are_classes(tmp_path, capsys):
    rows = ["a,b,y", *(f"{k % 7},{k % 3},{'uv'[k % 2]}" for k in range(20))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    table = ("data=csv", f"data.file={tmp_path / 't.csv'}", "data.task=classification")
    words = (*table, "model=flat", "loss=huber", "epochs=1", f"hydra.run.dir={tmp_path / 'R'}")
    assert main(list(words)) == 0
    assert {"loss", "error"} <= {*capsys.readouterr().out.split()}
