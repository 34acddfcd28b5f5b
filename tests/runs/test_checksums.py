"""What a disk or a hand has changed is found when it is read, and said."""

import json
import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cnnexp import load_run
from cnnexp.errors import RunError
from cnnexp.runs import checkpoint, checksums, environment
from cnnexp.runs.files import Prefix, checksum
from cnnexp.runs.folders import LOCK
from cnnexp.runs.histograms import read_histograms
from cnnexp.runs.policy import CheckpointPolicy
from cnnexp.runs.record import read_record
from cnnexp.runs.writing import RunWriter
from experiments.benchmarks.kill_and_resume import differences
from tests.commandline import cnnexp, succeed
from tests.runs.small import as_killed, change_record, record_in, train, write_data


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(environment, "git", lambda: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("checksums")
    return train(root / "run", write_data(root / "data.npz"), "checkpoint.every=2")


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture
def killed(whole, tmp_path, monkeypatch):
    """A run that was killed in its second epoch, after three batches and one checkpoint of it."""

    class Killed(BaseException):
        pass

    done, batch_done = [], RunWriter.batch_done

    def stop(writer, event, training):
        batch_done(writer, event, training)
        done.append(event)
        if len(done) == 9:
            as_killed(writer.folder, tmp_path / "killed")
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "batch_done", stop)
        with pytest.raises(Killed):
            train(tmp_path / "begun", whole.parent / "data.npz", "checkpoint.every=2")
    return tmp_path / "killed"


def flip(path, at=-20, bit=6):
    """Flip one bit, as a disk does."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def test_the_checksums_are_those_of_the_files(run):
    found = record_in(run)["checksums"]
    assert found["weights.pkl"] == checksum((run / "weights.pkl").read_bytes())
    (entry,) = found["checkpoints"]
    assert entry["checkpoint"] == checksum((run / "checkpoint.pkl").read_bytes())
    for name in ("epochs.csv", "batches.csv", "histograms.csv"):
        wanted = Prefix.of((run / name).read_bytes())
        assert found["logs"][name] == entry["logs"][name] == list(wanted)


COMMANDS = [["evaluate"], ["predict", "seven.png"], ["export", "w.npz"], ["inspect"]]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_one_flipped_bit_in_the_weights_is_an_error(words, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (20, 20), 255).save("seven.png")
    flip(run / "weights.pkl")
    name, *more = words
    ended = cnnexp(name, run, *more)
    assert ended.code == 2
    assert ended.err.startswith(f"error: {run / 'weights.pkl'}: is not what the run wrote")
    assert "Put the original back" in ended.err and "--accept-changes" in ended.err
    with pytest.raises(RunError, match="is not what the run wrote"):
        _ = load_run(run).network


def test_what_was_changed_on_purpose_is_read(run, tmp_path):
    weights = pickle.loads((run / "weights.pkl").read_bytes())
    weights["dense1.W"][:] = 0
    (run / "weights.pkl").write_bytes(pickle.dumps(weights))
    assert cnnexp("evaluate", run).code == 2
    figures = json.loads(succeed("evaluate", run, "--accept-changes", "--json"))
    assert figures["loss"] != load_run(run).results["test_loss"]
    assert not load_run(run, accept_changes=True).weights["dense1.W"].any()
    succeed("export", run, tmp_path / "w.npz", "--accept-changes")
    with np.load(tmp_path / "w.npz") as found:
        assert not found["dense1.W"].any()


@pytest.mark.parametrize("name", ["epochs", "batches"])
def test_one_flipped_bit_in_a_log_is_an_error(name, run):
    flip(run / f"{name}.csv", at=-2, bit=0)  # the last digit
    with pytest.raises(RunError, match=rf"{name}\.csv: is not what the run wrote"):
        getattr(load_run(run), name)
    assert len(getattr(load_run(run, accept_changes=True), name))


def test_a_row_that_was_added_or_taken_away_is_found(run):
    for change in (b"9,b,0,1,1 2\n", None):
        content = (run / "histograms.csv").read_bytes()
        (run / "histograms.csv").write_bytes(content + change if change else content[:-40])
        with pytest.raises(RunError, match="is not what the run wrote"):
            read_histograms(run)
        (run / "histograms.csv").write_bytes(content)
    assert read_histograms(run)


def test_rows_after_the_last_checkpoint_are_not_compared(killed):
    assert len(load_run(killed).batches) == 9
    flip(killed / "batches.csv", at=-2, bit=0)
    assert len(load_run(killed).batches) == 9
    flip(killed / "batches.csv", at=40, bit=0)
    with pytest.raises(RunError, match="is not what the run wrote"):
        _ = load_run(killed).batches


def contents(folder):
    """The files, without that of the lock, which some versions of filelock delete."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != LOCK]
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["checkpoint.pkl", "batches.csv", "epochs.csv"])
def test_resume_goes_on_from_nothing_that_was_damaged(name, killed, whole):
    content = (killed / name).read_bytes()
    flip(killed / name, at=len(content) // 3, bit=0)
    before = contents(killed)
    ended = cnnexp("resume", killed)
    assert ended.code == 2
    assert f"{killed / name}: is not what the run wrote" in ended.err
    assert contents(killed) == before
    (killed / name).write_bytes(content)
    succeed("resume", killed)
    assert differences(whole, killed) == []


def test_a_damaged_checkpoint_may_be_deleted_and_the_run_starts_over(killed, whole):
    flip(killed / "checkpoint.pkl")
    assert "or delete it" in cnnexp("resume", killed).err
    (killed / "checkpoint.pkl").unlink()
    succeed("resume", killed)
    assert differences(whole, killed) == []


def test_resume_takes_changes_when_told(killed):
    saved = checkpoint.load(killed)
    saved["training"]["weights"]["dense1.b"][:] += 1
    checkpoint.save(killed, pickle.dumps(saved, protocol=4))
    assert cnnexp("resume", killed).code == 2
    succeed("resume", killed, "--accept-changes")
    load_run(killed).check_files()


def test_a_kill_between_record_and_checkpoint_leaves_a_run_that_can_be_read(killed, whole):
    """The record has the new checkpoint already, and still the old one."""
    found = record_in(killed)["checksums"]
    new = {"checkpoint": "sha256:0", "logs": {"batches.csv": [10**6, "sha256:0"]}}
    change_record(killed, checksums={"checkpoints": [new, *found["checkpoints"]]})
    assert len(load_run(killed).batches) == 9
    assert load_run(killed).weights
    succeed("resume", killed)
    assert differences(whole, killed) == []


def test_runs_without_checksums_are_read(run):
    change_record(run, checksums=None)
    numbers = load_run(run).weights["dense2.b"].tobytes()
    flip(run / "weights.pkl", at=(run / "weights.pkl").read_bytes().index(numbers), bit=0)
    assert cnnexp("evaluate", run).code == 0
    load_run(run).check_files()


def test_weights_to_begin_from_are_compared_too(run, whole):
    flip(run / "weights.pkl")
    ended = cnnexp("data=npz", f"data.file={whole.parent / 'data.npz'}", f"init_from={run}")
    assert ended.code == 2
    assert "init_from: " in ended.err and "is not what the run wrote" in ended.err


def test_a_file_that_was_replaced_between_two_looks_is_read_again(run, monkeypatch):
    """As a checkpoint is, while its run goes on."""
    content = (run / "checkpoint.pkl").read_bytes()
    contents = iter([content[:-1], content])
    (run / "weights.pkl").unlink()
    monkeypatch.setattr(checksums, "read_bytes", lambda *_: next(contents))
    records = iter([replace(read_record(run), heartbeat=f"{k}") for k in range(3)])
    monkeypatch.setattr(checksums, "_record", lambda _: next(records))
    assert checksums.read_checked(run, "checkpoint.pkl") == content


def test_a_checkpoint_is_entered_before_it_is_written(whole, tmp_path, monkeypatch):
    """A kill in between must leave an entry for the old file, and one for the new."""
    entered = []

    def save(folder, pickled):
        listed = record_in(folder)["checksums"]["checkpoints"]
        entered.append(checksum(pickled) in [entry["checkpoint"] for entry in listed])

    monkeypatch.setattr(checkpoint, "save", save)
    train(tmp_path / "begun", whole.parent / "data.npz", "checkpoint.every=2")
    assert entered and all(entered)


def test_a_run_that_goes_on_says_so_before_its_first_batch(killed, monkeypatch):
    """What was recorded after the checkpoint must not be there while the batches are made anew."""
    writer = RunWriter(killed, read_record(killed), CheckpointPolicy())
    writer.rewind(None)
    assert record_in(killed)["results"] == {}
    assert record_in(killed)["checksums"]["checkpoints"] == []


def test_of_several_entries_the_one_of_the_file_counts(tmp_path):
    (tmp_path / checkpoint.FILE).write_bytes(b"new")
    entries = [
        {"checkpoint": checksum(text), "logs": {"epochs.csv": [size, "0"]}}
        for text, size in ((b"old", 1), (b"new", 2))
    ]
    holds = checksums._entry_that_holds
    assert holds(tmp_path, entries) == entries[1]
    assert holds(tmp_path, entries[:1]) == entries[0]  # a single one is not compared
    assert holds(tmp_path, []) is None
    (tmp_path / checkpoint.FILE).unlink()
    assert holds(tmp_path, entries) is holds(tmp_path, entries[:1]) is None
