"""A resumed run is the run that was never stopped, whatever moment it was stopped at."""

import io
import os
import shutil
import signal
from pathlib import Path

import pytest

from cnnexp import load_run
from cnnexp.app import stopping
from cnnexp.app.locations import near
from cnnexp.app.main import main
from cnnexp.runs import files, pickles, recording
from cnnexp.runs.files import CsvLog
from cnnexp.runs.writing import RunWriter
from cnnexp.train import SCHEDULES
from cnnexp.train.schedule import Schedule
from experiments.benchmarks.kill_and_resume import differences
from tests.runs.small import (
    as_killed,
    change_record,
    record_in,
    settings,
    snapshot,
    train,
    write_data,
)

BITS = {
    "sgd": ["batch_size=16", "checkpoint.every=2", "data.validation=6", "profile=true"],
    "adam": ["batch_size=16", "optimizer=adam", "impl.micro_batch=5"],
}


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data.npz")


class Moments:
    """Copies a run folder at every moment at which a kill leaves something else behind."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.copies: list[Path] = []

    def take(self) -> Path:
        copy = as_killed(self.folder, self.root / str(len(self.copies)))
        self.copies.append(copy)
        return copy

    def replace_file(self, path: Path, content: bytes) -> None:
        if path.parent == self.folder:
            copy = self.take()
            (copy / f".{path.name}.1.tmp").write_bytes(content[: len(content) // 2])
        replace_file(path, content)
        if path.parent == self.folder:
            self.take()

    def append(self, log: CsvLog, row: object) -> None:
        copy = self.take()
        with open(copy / log.path.name, "a") as file:
            file.write("1,1,1")
        append(log, row)

    def unlink(self, path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path == self.folder / "weights.pkl":
            self.take()

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root.mkdir()
        for module in (files, pickles):
            monkeypatch.setattr(module, "replace_file", self.replace_file)
        monkeypatch.setattr(CsvLog, "append", lambda log, row: self.append(log, row))
        monkeypatch.setattr(Path, "unlink", lambda path, *a, **k: self.unlink(path, *a, **k))


replace_file, append, unlink = files.replace_file, CsvLog.append, Path.unlink


@pytest.mark.long
@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adam", marks=pytest.mark.long)])
def test_killed_at_any_moment_it_ends_with_the_same_bits(optimizer, tmp_path, data, monkeypatch):
    whole = train(tmp_path / "whole", data, *BITS[optimizer])
    moments = Moments(tmp_path / "run", tmp_path / "moments")
    with monkeypatch.context() as patch:
        moments.watch(patch)
        train(moments.folder, data, *BITS[optimizer])
    assert not (moments.copies[0] / "run.json").exists()  # killed in its very first file
    assert len(moments.copies) > 25
    for copy in moments.copies[1:]:
        assert load_run(copy).status == ("killed" if copy != moments.copies[-1] else "finished")
        assert main(["resume", str(copy)]) == 0
        assert (copy.name, differences(whole, copy)) == (copy.name, [])


@pytest.mark.long
def test_a_resume_may_be_killed_at_any_moment_too(tmp_path, data, monkeypatch):
    whole = train(tmp_path / "whole", data, *BITS["sgd"])
    first = Moments(tmp_path / "run", tmp_path / "first")
    with monkeypatch.context() as patch:
        first.watch(patch)
        train(first.folder, data, *BITS["sgd"])
    middle = first.copies[len(first.copies) // 2]
    second = Moments(middle, tmp_path / "second")
    with monkeypatch.context() as patch:
        second.watch(patch)
        assert main(["resume", str(middle)]) == 0
    assert len(second.copies) > 10
    for copy in second.copies:
        assert main(["resume", str(copy)]) == 0
        assert (copy.name, differences(whole, copy)) == (copy.name, [])


def interrupt_at(monkeypatch, batch: int, *signals: int) -> None:
    """Send signals to this process after so many batches of a run."""
    done, batch_done = [], RunWriter.batch_done

    def send(writer, event, training):
        batch_done(writer, event, training)
        done.append(event)
        if len(done) == batch:
            for number in signals:
                signal.raise_signal(number)

    monkeypatch.setattr(RunWriter, "batch_done", send)


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_ends_a_run_and_keeps_what_was_learnt(number, tmp_path, data, monkeypatch, capsys):
    whole = train(tmp_path / "whole", data)
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 4, number)
        assert main([*settings(data), f"hydra.run.dir={run}"]) == 130
    assert "interrupted; what was learnt is kept" in capsys.readouterr().out
    assert load_run(run).status == "interrupted"
    assert len(load_run(run).batches) == 4
    assert (run / "weights.pkl").exists()
    assert main(["resume", str(run)]) == 0
    assert differences(whole, run) == []
    assert record_in(run)["resumed"][0]["batch"] == 4


def test_a_second_signal_stops_at_once(tmp_path, data, monkeypatch):
    class Exit(BaseException):
        pass

    def leave(code):
        raise Exit(code)

    monkeypatch.setattr(os, "_exit", leave)
    interrupt_at(monkeypatch, 2, signal.SIGINT, signal.SIGTERM)
    with pytest.raises(Exit, match="130"):
        train(tmp_path / "run", data)


def test_an_ignored_signal_stays_ignored(tmp_path, data, monkeypatch):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupt_at(monkeypatch, 2, signal.SIGHUP)
        train(tmp_path / "run", data)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def stopped(tmp_path, data, monkeypatch):
    """Return a run that was killed in its second epoch, and an unbroken one."""

    def make(*more: str) -> tuple[Path, Path]:
        whole = train(tmp_path / "whole", data, *more)
        with monkeypatch.context() as patch:
            interrupt_at(patch, 8, signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                train(tmp_path / "begun", data, *more)
        run = as_killed(tmp_path / "begun", tmp_path / "run")
        change_record(run, status="running")
        return whole, run

    return make


def test_an_extended_run_is_a_longer_run(tmp_path, data, stopped):
    longer = train(tmp_path / "longer", data, "schedule=constant", "epochs=5")
    whole, run = stopped("schedule=constant")
    for folder in (whole, run):
        assert main(["resume", str(folder), "epochs=5"]) == 0
        assert differences(longer, folder) == []
        assert record_in(folder)["config"]["epochs"] == 5


@pytest.mark.long
def test_a_run_may_be_shortened_to_what_is_not_done_yet(tmp_path, data, stopped, capsys):
    three = train(tmp_path / "three", data, "schedule=constant", "epochs=3")
    _, run = stopped("schedule=constant", "epochs=4")
    assert main(["resume", str(run), "epochs=1"]) == 2
    assert capsys.readouterr().err == (
        f"error: {run}: epochs=1 is less than the 1 epochs and 2 batches that are done.\n"
    )
    assert main(["resume", str(run), "epochs=3"]) == 0
    assert differences(three, run) == []


def test_threads_and_checkpoints_may_change(stopped):
    whole, run = stopped("impl.micro_batch=3")
    assert main(["resume", str(run), "impl.threads=2", "checkpoint.every=1"]) == 0
    assert differences(whole, run) == []
    record = record_in(run)
    assert record["network"]["threads"] == 2
    assert record["config"]["checkpoint"]["every"] == 1


REFUSED = [
    (
        ["learning_rate=0.2"],
        "learning_rate: the run has 0.1, and 0.2 would make it another run. Only epochs,"
        " checkpoint.every, impl.threads, trackers may change; for anything else start a new run.",
    ),
    (
        ["optimizer=adam"],
        "optimizer: the run has sgd, and adam would make it another run. Only epochs,"
        " checkpoint.every, impl.threads, trackers may change; for anything else start a new run.",
    ),
    (
        ["model.layers[1].units=6"],
        "model.layers.1.units: the run has 5, and 6 would make it another run. Only epochs,"
        " checkpoint.every, impl.threads, trackers may change; for anything else start a new run.",
    ),
    (
        ["epoch=3"],
        "epoch: no such key. Did you mean 'epochs'? Only epochs, checkpoint.every, impl.threads,"
        " trackers may change; for anything else start a new run.",
    ),
    (["epochs=three"], "epochs must be a whole number. Got 'three'."),
    (["epochs"], "epochs: cannot be read as key=value."),
    (
        ["checkpoint.every=0"],
        "checkpoint.every must be 'epoch' or a number of batches of at least 1. Got 0.",
    ),
    (
        ["epochs=3"],
        "{run}: epochs=3 is refused: the run has schedule=cosine over 2 epochs, and over 3 its"
        " learning rates would have been others from step 2 on. For a run of 3 epochs: python -m"
        " cnnexp rerun {near} epochs=3. To train on from its weights, in a new run: python -m"
        " cnnexp rerun {near} init_from={near}. A run can be extended under schedules that count in"
        " epochs: constant, step, exponential, reduce_on_plateau.",
    ),
]


def test_what_would_make_it_another_run_is_refused(stopped, capsys, tmp_path):
    _, run = stopped()
    capsys.readouterr()
    before = snapshot(run)
    for words, message in REFUSED:
        assert main(["resume", str(run), *words]) == 2
        assert capsys.readouterr().err == f"error: {message.format(run=run, near=near(run))}\n"
    assert main(["resume", str(run), "epochs=x", "seed=1"]) == 2
    assert "2 faults in the config:\n  epochs must" in capsys.readouterr().err
    assert snapshot(run) == before


def test_the_same_value_is_no_change(stopped):
    whole, run = stopped()
    assert main(["resume", str(run), "learning_rate=0.1", "optimizer=sgd", "epochs=2"]) == 0
    assert differences(whole, run) == []


def test_other_data_are_refused_and_the_run_stays_as_it_is(stopped, tmp_path, data, capsys):
    whole, run = stopped()
    before = snapshot(run)
    kept = data.read_bytes()
    write_data(data, seed=1)
    assert main(["resume", str(run)]) == 2
    error = capsys.readouterr().err
    assert "data: not what this run began with, so it cannot go on. Expected sha256:" in error
    data.unlink()
    assert main(["resume", str(run)]) == 2
    assert f"{data}: there is no such file" in capsys.readouterr().err
    assert snapshot(run) == before
    data.write_bytes(kept)
    assert main(["resume", str(run)]) == 0
    assert differences(whole, run) == []


FREE = [
    ["schedule=step", "schedule.every=1", "schedule.fall=0.5"],
    ["schedule=exponential", "schedule.warmup_epochs=3"],
    [
        "schedule=reduce_on_plateau",
        "schedule.metric=train_loss",
        "schedule.patience=0",
        "evaluate=each_epoch",  # at_end, the earlier end has figures of the test part as well
    ],
]


@pytest.mark.few(1)
@pytest.mark.parametrize("schedule", FREE, ids=lambda words: words[0])
def test_a_run_is_extended_under_any_schedule_that_counts_in_epochs(schedule, tmp_path, data):
    longer = train(tmp_path / "longer", data, *schedule, "epochs=4")
    run = train(tmp_path / "run", data, *schedule, "epochs=2")
    assert main(["resume", str(run), "epochs=4"]) == 0
    assert differences(longer, run) == []


@pytest.mark.long
def test_a_schedule_of_ones_own_is_judged_by_its_learning_rates(tmp_path, data, capsys):
    class Own(Schedule):
        """It says nothing of epochs; the last two of them have another rate."""

        def factor(self, moment):
            return 1.0 if moment.epoch <= max(3, moment.epochs - 2) else 0.5

    SCHEDULES.register("own_of_test")(Own)
    try:
        change = {"schedule": {"name": "own_of_test"}}
        longer, run = (
            train(tmp_path / name, data, epochs, change=lambda config: config.update(change))
            for name, epochs in (("longer", "epochs=5"), ("run", "epochs=3"))
        )
        assert main(["resume", str(run), "epochs=5"]) == 0
        assert differences(longer, run) == []
        assert main(["resume", str(run), "epochs=6"]) == 2
        assert "others from step 19 on" in capsys.readouterr().err
    finally:
        del SCHEDULES._things["own_of_test"]


def test_a_finished_run_that_cannot_be_extended_stays_finished(tmp_path, data, capsys):
    run = train(tmp_path / "run", data, "schedule=constant")
    moved = data.rename(tmp_path / "moved.npz")
    assert main(["resume", str(run)]) == 0
    assert main(["resume", str(run), "epochs=3"]) == 2
    moved.rename(data)
    (run / "checkpoint.pkl").unlink()
    assert main(["resume", str(run), "epochs=3"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {run}: cannot be extended: its checkpoint.pkl is gone."
    )
    assert load_run(run).status == "finished"
    assert load_run(run).config["epochs"] == 2


def test_resume_writes_only_into_the_run(stopped, tmp_path, monkeypatch):
    _, run = stopped()
    run = run.rename(tmp_path / "moved")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def others() -> dict[str, bytes]:
        return {k: v for k, v in snapshot(tmp_path).items() if not k.startswith("moved/")}

    before = others()
    assert main(["resume", str(run)]) == 0
    assert others() == before
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("diverged", 3)])
def test_a_run_that_has_ended_says_so(status, code, tmp_path, data, capsys):
    run = train(tmp_path / "run", data)
    change_record(run, status=status)
    before = snapshot(run)
    capsys.readouterr()
    assert main(["resume", str(run)]) == code
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{run} has {status} already; there is nothing to go on with."
    )
    assert snapshot(run) == before


def test_a_run_that_goes_on_is_left_alone(stopped, capsys):
    _, run = stopped()
    change_record(run, status="running", process=record_in(run.parent / "begun")["process"])
    assert main(["resume", str(run)]) == 2
    assert f"this run is still going on, as process {os.getpid()}" in capsys.readouterr().err


def test_what_is_no_run_is_refused_and_left_alone(tmp_path, capsys):
    assert main(["resume", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'nowhere'}: no run here: there is no run.json.\n"
    )
    assert not (tmp_path / "nowhere").exists()


def test_going_on_elsewhere_warns_and_is_recorded(stopped, capsys):
    _, run = stopped()
    found = record_in(run)["environment"]
    change_record(run, environment=found | {"numpy": "1.0", "cpu": "another"})
    assert main(["resume", str(run)]) == 0
    assert "warning: this run began elsewhere" in capsys.readouterr().err
    (entry,) = record_in(run)["resumed"]
    assert entry["differences"][0].startswith("numpy: 1.0 then, ")
    assert entry["differences"][1].startswith("cpu: another then, ")
    assert (entry["epoch"], entry["batch"]) == (1, 2)


def test_an_automatic_micro_batch_is_taken_from_the_record(stopped):
    """The machine that goes on may have another cache, and so choose another size."""
    _, run = stopped()
    assert record_in(run)["config"]["impl"]["micro_batch"] == "auto"
    change_record(run, network=record_in(run)["network"] | {"micro_batch": 3})
    assert main(["resume", str(run)]) == 0
    assert record_in(run)["network"]["micro_batch"] == 3


def test_while_it_goes_on_its_weights_are_those_of_the_checkpoint(stopped, monkeypatch):
    _, run = stopped("checkpoint.every=1")
    old = load_run(run).weights["dense1.W"]
    seen = []
    batch_done = RunWriter.batch_done

    def look(writer, event, training):
        batch_done(writer, event, training)
        seen.append(load_run(run).weights["dense1.W"])

    monkeypatch.setattr(RunWriter, "batch_done", look)
    assert main(["resume", str(run)]) == 0
    assert seen
    assert not any((old == weights).all() for weights in seen)


def test_a_run_that_failed_goes_on_once_the_reason_is_gone(tmp_path, data, monkeypatch, capsys):
    whole = train(tmp_path / "whole", data)
    run = tmp_path / "run"

    def full(writer, event, training):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "epoch_done", full)
        with pytest.raises(OSError, match="No space"):
            train(run, data)
    record = load_run(run).record
    assert record["status"] == "failed"
    assert record["reason"] == "OSError: [Errno 28] No space left on device"
    assert "Traceback" in (run / "train.log").read_text()
    assert main(["resume", str(run)]) == 0
    assert differences(whole, run) == []


def full_disk(path: Path, content: bytes) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_a_full_disk_is_told_with_the_command_that_goes_on(tmp_path, data, monkeypatch, capsys):
    run = tmp_path / "a run"
    words = [*settings(data), f"hydra.run.dir='{run}'"]
    message = (
        f"error: {run}/{{}}: No space left on device. Make room on the disk. Then go on with:"
        " python -m cnnexp resume 'a run'\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(pickles, "replace_file", full_disk)
        assert main(words) == 1
        assert capsys.readouterr().err == message.format("checkpoint.pkl")
        assert main(["resume", str(run)]) == 1
        assert capsys.readouterr().err == message.format("checkpoint.pkl")
    assert main(["resume", str(run)]) == 0
    assert differences(train(tmp_path / "whole", data), run) == []


@pytest.mark.parametrize("command", ["run", "resume"])
def test_lines_that_train_log_does_not_take_end_no_run(
    command, tmp_path, data, stopped, monkeypatch, capsys
):
    class Full(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(28, "No space left on device")

    whole, begun = stopped()
    run = begun if command == "resume" else tmp_path / "new"
    words = ["resume", str(run)]
    if command == "run":
        words = [*settings(data), f"hydra.run.dir={run}"]
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(recording, "open_to_append", lambda path: Full())
        assert main(words) == 0
    error = capsys.readouterr().err
    assert error.startswith(
        f"warning: {run}/train.log: some of its lines may be lost: No space left"
    )
    assert "Traceback" not in error
    assert differences(whole, run) == []


def test_a_closed_pipe_does_not_end_a_run(tmp_path, data, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        train(tmp_path / "run", data)
    assert load_run(tmp_path / "run").status == "finished"


def begun_from(tmp_path: Path, data: Path, *more: str) -> list[str]:
    return settings(data, f"init_from={tmp_path / 'first'}", "seed=1", *more)


def test_a_run_begins_from_the_weights_of_another(tmp_path, data, monkeypatch):
    first = train(tmp_path / "first", data)
    seen = []
    batch_done = RunWriter.batch_done
    words = [*begun_from(tmp_path, data), f"hydra.run.dir={tmp_path / 'run'}"]

    def look(writer, event, training):
        if not seen:
            seen.append(event.figures["loss"])
        batch_done(writer, event, training)

    monkeypatch.setattr(RunWriter, "batch_done", look)
    assert main(words) == 0
    assert seen[0] < load_run(first).batches["loss"][0]  # it has learnt already
    checksum = load_run(first).weights_checksum
    assert record_in(tmp_path / "run")["init_from"] == {"checksum": checksum}


def test_a_run_begins_from_another_that_is_named_by_its_file_of_weights(tmp_path, data):
    first = train(tmp_path / "first", data)
    words = settings(data, f"init_from={first}/weights.pkl", f"hydra.run.dir={tmp_path / 'run'}")
    assert main(words) == 0
    record = record_in(tmp_path / "run")
    assert record["config"]["init_from"] == str(first)
    assert record["init_from"] == {"checksum": load_run(first).weights_checksum}


def test_weights_that_do_not_fit_are_refused_before_anything_is_made(tmp_path, data, capsys):
    first = train(tmp_path / "first", data)
    before = snapshot(tmp_path)
    with_shape = ["data=digits", "model=flat", "model.layers.1.units=5"]
    capsys.readouterr()
    assert main([*with_shape, f"init_from={first}"]) == 2
    assert capsys.readouterr().err == (
        f"error: init_from={first}: the weights do not fit this network:\n"
        "  dense1.W: the network needs shape (64, 5), the weights have (16, 5)\n"
        "  dense2.W: the network needs shape (5, 10), the weights have (5, 3)\n"
        "  dense2.b: the network needs shape (10,), the weights have (3,)\n"
    )
    assert main([*with_shape, f"init_from={tmp_path}"]) == 2
    assert capsys.readouterr().err == (
        f"error: init_from: {tmp_path}: not a run, but it holds 1, for example {first}. To see all"
        f" of them: python -m cnnexp compare {tmp_path}\n"
    )
    assert snapshot(tmp_path) == before


@pytest.mark.long
def test_weights_to_begin_from_need_be_there_only_at_the_beginning(
    tmp_path, data, monkeypatch, capsys
):
    train(tmp_path / "first", data)
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert main([*begun_from(tmp_path, data), f"hydra.run.dir={whole}"]) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, signal.SIGINT)
        assert main([*begun_from(tmp_path, data), f"hydra.run.dir={run}"]) == 130
    early = as_killed(run, tmp_path / "early")
    (early / "checkpoint.pkl").unlink()  # as if it had been killed before there was one
    shutil.rmtree(tmp_path / "first")
    assert main(["resume", str(run)]) == 0
    assert differences(whole, run) == []
    assert main(["resume", str(early)]) == 2
    assert "no run here" in capsys.readouterr().err
    train(tmp_path / "first", data, "seed=7")
    assert main(["resume", str(early)]) == 2
    assert "init_from: not what this run began with" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "first")
    train(tmp_path / "first", data)
    assert main(["resume", str(early)]) == 0
    assert differences(whole, early) == []
