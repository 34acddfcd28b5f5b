"""Whatever a reader raises on foreign bytes is one error that names the file."""

import json
import pickle
import shutil

import numpy as np
import pytest

from cnnexp import load_run, load_runs
from cnnexp.errors import CnnexpError, DataError, RunError, foreign
from cnnexp.report import diagnostics
from cnnexp.report.summary import sections
from cnnexp.runs import environment
from cnnexp.runs.histograms import read_histograms
from tests.commandline import cnnexp
from tests.runs.small import change_record, record_in, train, write_data


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "git", lambda: None)
        root = tmp_path_factory.mktemp("foreign")
        run = train(root / "run", write_data(root / "data.npz"), "profile=true")
    change_record(run, checksums=None, status="interrupted")
    return run


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (ValueError("odd"), "a.txt: damaged: odd. Look."),
        (KeyError("x"), "a.txt: damaged: KeyError: 'x'. Look."),
        (RecursionError("maximum"), "a.txt: damaged: it is nested too deeply. Look."),
        (MemoryError(), "a.txt: needs more memory than there is. Look."),
        (
            PermissionError(13, "Not allowed"),
            "a.txt: cannot be read: Not allowed. Check who may read and write there. Look.",
        ),
        (AssertionError(), "a.txt: damaged: AssertionError. Look."),
    ],
)  # fmt: skip
def test_every_exception_becomes_one_message(found, message):
    with pytest.raises(DataError) as caught, foreign("a.txt", "Look.", DataError):
        raise found
    assert str(caught.value) == message


def test_errors_of_the_family_and_absent_files_pass():
    for error in (RunError("as it is"), FileNotFoundError(2, "none")):
        with pytest.raises(type(error)) as caught, foreign("a.txt"):
            raise error
        assert caught.value is error


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"\xff\xfe",
        b"",
        b"9" * 5000,
        b"null",
        b'{"format": 2}',
    ],
    ids=lambda content: content[:8].decode("latin-1"),
)
def test_one_damaged_run_is_a_row_of_a_comparison(content, run, whole):
    (run / "run.json").write_bytes(content)
    ended = cnnexp("compare", whole, run)
    assert ended.code == 0, ended.err
    assert "damaged" in ended.out
    frame = load_runs(whole, run)
    assert sorted(frame["status"]) == ["damaged", "interrupted"]
    for command in ("show", "evaluate", "inspect", "resume"):
        ended = cnnexp(command, run)
        assert ended.code == 2
        assert str(run) in ended.err and ended.err.count("\n") == 1


CHANGES = {
    "deep settings": lambda r: r["config"].update(model={"layers": [], "x": _nested(900)}),
    "no group": lambda r: r["config"].update(data=None),
    "plugins": lambda r: r["config"].update(plugins=3),
    "layers": lambda r: r["config"]["model"].update(layers=[3]),
    "an option": lambda r: r["config"]["model"]["layers"][1].update(units=[1]),
    "an unknown option": lambda r: r["config"]["model"]["layers"][1].update(nope=1),
    "a huge layer": lambda r: r["config"]["model"]["layers"][1].update(units=10**9),
    "a seed": lambda r: r["config"]["data"].update(seed=1.5),
    "a type": lambda r: r["config"].update(dtype="O"),
    "a shape": lambda r: r["network"].update(input_shape=[10**9, 10**9, 10**9]),
    "no shape": lambda r: r["network"].pop("input_shape"),
    "threads": lambda r: r["network"].update(threads="x"),
    "classes": lambda r: r["data"].update(classes=3),
    "results": lambda r: r["results"].update(test_loss="x"),
    "a process": lambda r: (r.update(status="running"), r["process"].update(pid=10**30)),
    "a time": lambda r: (r.update(status="running", heartbeat="x"), r["process"].update(host="x")),
    "checksums": lambda r: r.update(checksums={"logs": 3}),
    "a signature": lambda r: r.update(plugins={"modules": 3}),
}


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.few(3)
@pytest.mark.parametrize("kind", CHANGES)
def test_values_that_no_run_writes_end_in_one_message(kind, run):
    record = record_in(run)
    CHANGES[kind](record)
    (run / "run.json").write_text(json.dumps(record))
    if kind != "a process":
        with pytest.raises(CnnexpError):
            found = load_run(run)
            _ = found.network, found.dataset
    for command in ("show", "evaluate", "resume"):
        ended = cnnexp(command, run)
        assert ended.code in (0, 2), (command, ended.err)
        assert "Traceback" not in ended.err
    assert cnnexp("compare", run).code == 0


SAVED = {
    "no epoch": lambda s: s["training"].pop("epoch"),
    "a negative epoch": lambda s: s["training"].update(epoch=-1),
    "no best": lambda s: s["training"].update(best={"metric": 1}),
    "sums": lambda s: s["training"].update(sums=[1.0]),
    "history": lambda s: s["training"].update(history=[3]),
    "optimizer": lambda s: s["training"].update(optimizer={"velocity": np.zeros(3)}),
    "no optimizer": lambda s: s["training"].update(optimizer={}),
    "weights": lambda s: s["training"]["weights"].update({"dense1.W": np.zeros((2, 2))}),
    "totals": lambda s: s["totals"].update(seconds="x"),
    "layers": lambda s: s["totals"].update(layers={"x": {}}),
    "results": lambda s: s.update(results={"a": []}),
}


@pytest.mark.parametrize("kind", SAVED)
def test_a_checkpoint_that_is_not_of_this_run_is_refused_before_anything_is_written(kind, run):
    saved = pickle.loads((run / "checkpoint.pkl").read_bytes())
    SAVED[kind](saved)
    (run / "checkpoint.pkl").write_bytes(pickle.dumps(saved, protocol=4))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    ended = cnnexp("resume", run)
    assert ended.code == 2
    assert f"{run / 'checkpoint.pkl'}: " in ended.err
    assert "Delete it, and the run starts over" in ended.err or kind == "weights"
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock"} == {
        p: c for p, c in before.items() if p.name != ".lock"
    }


NO_LOGS = {
    "no text": b"\xff\xfe\n",
    "NUL": b"epoch,batch\n1\0,2\n",
    "a long cell": b'epoch\n"' + b"x" * 200_000 + b"\n",
    "more cells": b"epoch,batch\n1,2,3\n",
}
LOGS = ("epochs.csv", "batches.csv", "histograms.csv", "layers.csv")
QUICK = dict(zip(LOGS, NO_LOGS, strict=True))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=() if QUICK[name] == kind else pytest.mark.long)
        for name in LOGS
        for kind in NO_LOGS
    ],
)
def test_damaged_logs_end_in_one_message(name, kind, run):
    (run / name).write_bytes(NO_LOGS[kind])
    for command in ("show", "resume"):
        ended = cnnexp(command, run)
        assert ended.code in (0, 2), ended.err
    found = load_run(run)
    for read in (lambda: found.epochs, lambda: found.batches, lambda: read_histograms(run)):
        try:
            read()
        except CnnexpError as error:
            assert name in str(error)


def test_what_a_stranger_wrote_sends_nothing_to_the_terminal(run, tmp_path):
    hostile = "\x1b]0;title\x07\x1b[2J\u202eevil\r\x9b31m"
    record = record_in(run)
    record["reason"] = record["created"] = record["choices"]["model"] = hostile
    record["data"]["classes"] = [hostile] * 3
    record["config"]["model"]["name"] = record["config"]["metrics"] = hostile
    record["config"]["metrics"] = [hostile]
    record["config"][hostile] = hostile
    record["environment"] |= {"cpu": hostile, "folder": hostile, "command": [hostile]}
    record["environment"]["packages"] = {hostile: hostile}
    (run / "run.json").write_text(json.dumps(record))
    folder = run.rename(tmp_path / "\x1b[2Jrun")
    for words in (
        ["show", folder, "--config"],
        ["show", folder, "--json"],
        ["compare", folder],
        ["compare", folder, "--csv"],
        ["compare", folder, "--md"],
        ["compare", folder, "--json"],
        ["compare", folder, "--columns", "run,reason,model"],
        ["evaluate", folder],
        ["resume", folder],
        ["export", folder, tmp_path / "\x1b[2J.npz"],
    ):
        ended = cnnexp(*words)
        for text in (ended.out, ended.err):
            assert not any(c in text for c in "\x1b\x07\u202e\r\x9b"), words


NO_TABLES = (
    ("per_class.csv", b"part,class,samples,precision,recall,f1\ntest,a,3,0.5,0.5\n"),
    ("per_class.csv", b"part,class,samples,precision\ntest,a,3,0.5\n"),
    ("per_class.csv", b"\xff\n"),
    ("diagnostics.csv", b"epoch,name,gradient_norm\nx,conv1.W,0.5\n"),
    ("diagnostics.csv", b'epoch\n"' + b"x" * 200_000 + b'"\n'),
)


@pytest.mark.parametrize(("name", "content"), NO_TABLES)
def test_what_is_shown_goes_on_after_a_damaged_table_and_names_it(name, content, run):
    (run / name).write_bytes(content)
    found = sections(load_run(run), None, False)
    assert "results" in [section.title for section in found]
    lines = [str(line) for section in found for line in section.lines]
    assert all(str(run / name) in line for line in lines if "cannot be read" in line)


def test_an_epoch_that_no_plot_can_show_is_left_out(run):
    (run / diagnostics.FILE).write_text(f"epoch,name,gradient_norm\n{'9' * 400},conv1.W,0.5\n")
    assert diagnostics.read(run)["gradient_norm"] == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["config"]["model"]["layers"][1].update(type="dgnse"),
        lambda r: r["config"]["model"]["layers"][1].update(activation="x"),
        lambda r: r["config"]["loss"].update(name="x"),
        lambda r: r["config"]["data"].update(split="x"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_the_name_of_the_file(change, run):
    record = record_in(run)
    change(record)
    (run / "run.json").write_text(json.dumps(record))
    ended = cnnexp("evaluate", run)
    assert (ended.code, str(run / "run.json") in ended.err) == (2, True), ended.err


def test_weights_of_another_network_are_refused_with_the_name_of_the_file(run):
    weights = pickle.loads((run / "weights.pkl").read_bytes())
    weights["dense1.b"] = np.zeros(2)
    (run / "weights.pkl").write_bytes(pickle.dumps(weights, protocol=4))
    ended = cnnexp("evaluate", run)
    assert ended.code == 2
    assert f"{run / 'weights.pkl'}: the weights do not fit this network" in ended.err
