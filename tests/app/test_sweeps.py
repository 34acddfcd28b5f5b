"""Nothing that a sweep measured is lost, and nothing that is done is done again."""

import contextlib
import copy
import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

import cnnexp
from cnnexp import load_run
from cnnexp.app.compose.configs import make_app
from cnnexp.app.compose.grid import values_of
from cnnexp.app.main import main
from cnnexp.app.running.experiment import begin
from cnnexp.app.running.resume import resume_held
from cnnexp.app.sweeps import child
from cnnexp.app.sweeps import points as sweep_points
from cnnexp.app.sweeps.composer import SweepComposer
from cnnexp.app.sweeps.multirun import show_table
from cnnexp.app.sweeps.points import make_point
from cnnexp.app.sweeps.processes import describe_end
from cnnexp.app.sweeps.sweep import Sweep
from cnnexp.runs.code import command as command_line
from cnnexp.runs.folders import hold
from cnnexp.runs.record import new_record
from tests.runs.small import change_record, record_in, settings, snapshot, write_data

ROOT = str(Path(cnnexp.__file__).parent.parent)
LAYERS = (
    "model.layers=[{type: flatten}, {type: accident}, {type: dense, units: 5, activation: relu},"
    " {type: dense, activation: softmax}]"
)
IN_PROCESS = "hydra/launcher=basic"


def in_process(*words: str) -> int:
    """Sweep by the command line, without processes."""
    return main([*grid(*words), IN_PROCESS])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder that has data and a plugin."""
    sweep_points._read.cache_clear()  # another test's data lie elsewhere
    monkeypatch.setattr(sys, "path", [*sys.path])
    write_data(tmp_path / "data.npz")
    shutil.copy(Path(__file__).with_name("accidents.py"), tmp_path)
    return tmp_path


def grid(*words: str) -> list[str]:
    """Return the words of a sweep of small runs."""
    small = [w for w in settings(Path("data.npz")) if not w.startswith("model.")]
    return ["-m", *small, LAYERS, "plugins=[accidents]", "sweep.dir=S", "sweep.jobs=1", *words]


class Loader:
    """Composes a job's config as Hydra does, from one that is composed already."""

    def load_sweep_config(self, base, overrides):
        cfg = copy.deepcopy(base)
        for override in overrides:
            key, _, value = override.partition("=")
            if key == "schedule":
                cfg.schedule = {"name": value}
            elif not key.startswith("hydra"):
                OmegaConf.update(cfg, key, OmegaConf.from_dotlist([f"x={value}"]).x)
        return cfg


def in_this_process(jobs):
    """Run jobs in this process; what they raise is a failure of theirs."""
    for job in jobs:
        with hold(job.folder), contextlib.suppress(Exception):
            if (job.folder / "run.json").exists():
                resume_held(job.folder)
            else:
                begin(job.folder, new_record(copy.deepcopy(job.config), {}, job.overrides))


@functools.cache
def base_config() -> DictConfig:
    words = [word for word in grid()[1:] if not word.startswith(("sweep", "data.file"))]
    return make_app().compose_config(
        config_name="config", overrides=words, run_mode=RunMode.RUN, with_log_configuration=False
    )


def sweep(*words: str) -> int:
    """Sweep as the command line does, but for Hydra's composing, which takes most of its time."""
    base = copy.deepcopy(base_config())
    base.data.file = "data.npz"
    parsed = OverridesParser.create().parse_overrides(list(words))
    rerun = next((w.partition("=")[2] for w in words if w.startswith("sweep.rerun")), "failed")
    found = Sweep(Path("S"), rerun, in_this_process, {})
    composer = SweepComposer(Loader(), base)
    values = ([f"{o.get_key_element()}={value}" for value in values_of(o)] for o in parsed)
    found.carry_out([make_point(words, composer) for words in itertools.product(*values)])
    show_table(found)
    return found.exit_code


def statuses(root: str = "S") -> dict[str, str]:
    """Return the status of every job by its number."""
    return {p.parent.name: load_run(p.parent).status for p in sorted(Path(root).glob("*/run.json"))}


def table(text: str) -> dict[str, str]:
    """Return the lines of the last table by the number of the job, with single spaces."""
    lines = text[text.rindex("this time\n") :].splitlines()[1:]
    rows = [re.sub(" +", " ", line.strip()) for line in lines if re.match(r" *\d+ +\S", line)]
    return {row.split()[0]: row for row in rows if " jobs have a result" not in row}


def test_a_widened_grid_runs_only_the_new_points(capsys):
    assert sweep("seed=1,2") == 0
    before = snapshot(Path("S/0")) | {f"1/{k}": v for k, v in snapshot(Path("S/1")).items()}
    capsys.readouterr()
    assert sweep("seed=0,1,2,3") == 0
    printed = capsys.readouterr().out
    assert "4 jobs: 2 new, 2 skipped" in printed
    assert {number: row.split()[-1] for number, row in table(printed).items()} == {
        "0": "skipped",
        "1": "skipped",
        "2": "new",
        "3": "new",
    }
    after = snapshot(Path("S/0")) | {f"1/{k}": v for k, v in snapshot(Path("S/1")).items()}
    assert after == before
    assert record_in(Path("S/2"))["config"]["seed"] == 0


@pytest.mark.long
def test_what_is_run_again_is_what_was_asked_for(capsys, folder):
    what = "model.layers.1.what=nothing,raise,diverge"
    assert sweep(what) == 1
    assert statuses() == {"0": "finished", "1": "failed", "2": "diverged"}
    assert "job 1 failed: RuntimeError: a bolt came loose" in capsys.readouterr().out
    first = {number: record_in(Path("S", number))["created"] for number in "012"}
    kept = (Path("S/1/run.json").read_bytes(), Path("S/1/batches.csv").read_bytes())

    assert sweep(what) == 1  # it fails again
    (folder / "mended").touch()
    assert sweep(what) == 0
    assert statuses() == {"0": "finished", "1": "finished", "2": "diverged"}
    assert (Path("S/1/earlier/0/run.json").read_bytes(),
            Path("S/1/earlier/0/batches.csv").read_bytes()) == kept  # fmt: skip
    assert record_in(Path("S/1/earlier/1"))["status"] == "failed"
    assert len(load_run("S/1").batches) == 12

    assert sweep(what, "sweep.rerun=diverged") == 0
    assert sorted(os.listdir("S/2/earlier")) == ["0"]
    assert not Path("S/0/earlier").exists()

    assert sweep(what, "sweep.rerun=all") == 0
    assert [len(os.listdir(f"S/{k}/earlier")) for k in range(3)] == [1, 3, 2]
    assert record_in(Path("S/0/earlier/0"))["created"] == first["0"]
    assert sorted(p.name for p in Path("S").iterdir() if p.name.isdigit()) == ["0", "1", "2"]


def test_a_diverged_job_is_a_result(capsys):
    assert sweep("model.layers.1.what=nothing,diverge") == 0
    printed = capsys.readouterr().out
    assert "2 of 2 jobs have a result" in printed
    assert re.search(r"job 1 diverged: epoch 2, batch 1: the loss is (nan|inf)", printed)
    assert len(load_run("S/1").batches) == 6
    assert Path("S/1/weights.pkl").exists()


def test_what_was_cut_off_goes_on(capsys):
    assert sweep("seed=1,2") == 0
    whole = snapshot(Path("S/0"))
    record = record_in(Path("S/0"))
    change_record(
        Path("S/0"), status="running", process=record["process"] | {"started": 0}, results={}
    )
    Path("S/0/weights.pkl").unlink()
    change_record(Path("S/1"), status="interrupted")
    capsys.readouterr()
    assert sweep("seed=1,2") == 0
    printed = capsys.readouterr().out
    assert "2 jobs: 2 resumed" in printed
    assert table(printed)["0"].endswith("resumed")
    assert statuses() == {"0": "finished", "1": "finished"}
    assert len(record_in(Path("S/0"))["resumed"]) == 1
    assert snapshot(Path("S/0"))["weights.pkl"] == whole["weights.pkl"]


def test_a_job_that_another_process_is_at_is_left_alone(capsys):
    assert sweep("seed=1,2") == 0
    change_record(Path("S/0"), status="running")
    assert sweep("seed=1,2") == 1
    printed = capsys.readouterr().out
    assert table(printed)["0"].endswith("left alone")
    assert "job 0 running: another process is at it" in printed
    assert record_in(Path("S/0"))["resumed"] == []


def test_a_damaged_record_is_put_aside(capsys):
    assert sweep("seed=1") == 0
    Path("S/0/run.json").write_text('{"format": 1')
    assert sweep("seed=1") == 0
    assert statuses() == {"0": "finished"}
    assert Path("S/0/earlier/0/run.json").read_text() == '{"format": 1'


@pytest.mark.long
def test_a_skipped_job_has_its_recorded_objective(capsys, monkeypatch):
    found = []
    run = Sweep.carry_out
    monkeypatch.setattr(
        Sweep, "carry_out", lambda self, points: run(self, found.append(self) or points)
    )
    words = ["data.validation=6", "model.layers.1.what=nothing,diverge,raise"]
    for _ in range(2):
        sweep(*words)
    sweep(*words, "sweep.objective=train_loss")
    values = [[job.objective() for job in each.jobs] for each in found]
    results = load_run("S/0").results
    assert values[0] == values[1] == [results["validation_error"], float("inf"), None]
    assert values[2][0] == results["train_loss"]


@pytest.mark.long
def test_earlier_jobs_of_another_default_are_named(capsys, monkeypatch):
    """As after an extra is installed: "auto" stands for another implementation."""
    monkeypatch.setenv("CNNEXP_IMPL", "sg")
    assert in_process("seed=0,1") == 0
    capsys.readouterr()
    monkeypatch.setenv("CNNEXP_IMPL", "im2col")
    said = "2 earlier jobs of this sweep used impl=sg, and the default is im2col now: left alone."
    assert in_process("seed=0,1,2") == 0
    assert said in capsys.readouterr().out
    for words in (["seed=0,1"], ["seed=0,1", "impl=sg"], ["seed=0,1", "impl=fast", "epochs=1"]):
        assert in_process(*words) == 0
        assert "earlier job" not in capsys.readouterr().out


def test_equal_points_are_run_once(capsys):
    assert sweep("seed=1,1,2", "checkpoint.every=epoch,3") == 0
    assert list(table(capsys.readouterr().out)) == ["0", "1"]
    assert statuses() == {"0": "finished", "1": "finished"}
    assert record_in(Path("S/0"))["resumed"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["epochs=1,1"], "1 combination is the same job as another one: the same values again\n"),
        (
            ["epochs=1,1,1"],
            "2 combinations are the same job as another one: the same values again\n",
        ),
        (
            ["seed=0,1", "name=a,b"],
            "2 combinations are the same job as another one:"
            " seed=0 name=b as seed=0 name=a; seed=1 name=b as seed=1 name=a\n",
        ),
        (
            ["seed=0,1", "name=a,b,c,d"],
            "6 combinations are the same job as another one: seed=0 name=b as seed=0 name=a; "
            "seed=0 name=c as seed=0 name=a; seed=0 name=d as seed=0 name=a; "
            "seed=1 name=b as seed=1 name=a; seed=1 name=c as seed=1 name=a and 1 more\n",
        ),
        (["seed=0,0,0,1"], "2 combinations are the same job as another one: seed=0 again\n"),
        (["seed=0,1"], ""),
    ],
)
@pytest.mark.long
def test_it_is_said_which_points_are_equal(words, said, capsys):
    main([*grid(*words), IN_PROCESS])
    shown = [line for line in capsys.readouterr().out.splitlines(True) if "same job" in line]
    assert "".join(shown) == said


@pytest.mark.long
def test_batches_of_a_grid_are_one_sweep(capsys):
    assert in_process("seed=1,2,1", "hydra.sweeper.max_batch_size=2") == 0
    assert list(table(capsys.readouterr().out)) == ["0", "1"]


def test_a_job_is_known_by_what_its_folder_holds_now(capsys):
    """A job that was extended by hand is another run: the shorter one is made anew."""
    assert sweep("seed=1", "schedule=constant") == 0
    assert main(["resume", "S/0", "epochs=3"]) == 0
    assert sweep("seed=1", "schedule=constant") == 0
    assert sorted(statuses()) == ["0", "1"]
    capsys.readouterr()
    assert sweep("seed=1", "schedule=constant", "epochs=3,2") == 0
    assert "2 jobs: 2 skipped" in capsys.readouterr().out


def test_more_threads_make_no_other_job_of_it(capsys):
    assert sweep("seed=1") == 0
    change_record(Path("S/0"), status="interrupted")
    assert main(["resume", "S/0", "impl.threads=2"]) == 0
    capsys.readouterr()
    assert sweep("seed=1") == 0
    assert "1 job: 1 skipped" in capsys.readouterr().out


def test_other_data_make_other_jobs(folder):
    assert sweep("seed=1") == 0
    write_data(folder / "data.npz", seed=9)
    sweep_points._read.cache_clear()
    assert sweep("seed=1") == 0
    assert sorted(statuses()) == ["0", "1"]


def test_jobs_are_found_again_without_the_index():
    assert sweep("seed=1,2") == 0
    Path("S/sweep.json").unlink()
    assert sweep("seed=2,3") == 0
    assert sorted(statuses()) == ["0", "1", "2"]


@pytest.mark.long
def test_every_start_is_noted(folder):
    for seeds in ("1", "1,1"):
        assert in_process(f"seed={seeds}") == 0
    started = json.loads(Path("S/sweep.json").read_bytes())["started"]
    assert [start["folder"] for start in started] == [str(folder)] * 2
    assert all(start["command"] == command_line() for start in started)


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.few(1)
def test_a_mistake_in_one_point_is_shown_before_anything_starts(existing, capsys, folder):
    if existing:
        assert in_process("seed=1") == 0
    before = snapshot(folder)
    folders = sorted(folder.rglob("*"))
    capsys.readouterr()
    words = ["seed=1,2", "model.layers.1.what=nothing", "model.layers.2.units=5,0"]
    assert in_process(*words, "sweep.dir=S/T" if not existing else "sweep.dir=S") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: 2 faults in the config:\n  " in captured.err
    assert captured.err.count("units must be at least 1. Got 0.") == 2
    assert "seed=2" in captured.err
    assert snapshot(folder) == before
    assert sorted(folder.rglob("*")) == folders


def of_models(*words: str) -> int:
    """Sweep over models of the digits, without processes."""
    return main(["-m", "epochs=1", "data.limit=60", "sweep.dir=S", IN_PROCESS, *words])


@pytest.mark.long
def test_a_glob_stands_for_what_fits_and_the_rest_is_left_out(capsys):
    assert of_models("model=glob([flat,lenet5,linear])") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model=glob(…) means those that fit; left out:"
    assert lines[1].startswith("  model=lenet5: model.layers.2 (conv): a 5x5 window does not fit")
    assert lines[-1] == "2 of 2 jobs have a result, in S; 1 left out, which do not fit"
    assert [load_run(f"S/{k}").record["choices"]["model"] for k in (0, 1)] == ["flat", "linear"]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["model=flat,lenet5"], "model=lenet5: model.layers.2 (conv)"),
        (["model=glob(lenet5*)"], "model=lenet5_bn: model.layers.4 (conv)"),  # none of them fits
        (["model=glob([flat,lenet5])", "epochs=1,-1"], "epochs=-1 model=flat: epochs must be"),
    ],
)
@pytest.mark.few(1)
def test_what_is_no_choice_of_a_glob_is_refused(words, fault, capsys, folder):
    assert of_models(*words) == 2
    captured = capsys.readouterr()
    assert fault in captured.err and captured.out == ""
    assert not (folder / "S").exists()


def test_data_that_are_not_there_are_missed_before_anything_starts(capsys, folder):
    assert main(["-m", "seed=1,2", "data=npz", "data.file=nowhere.npz", "model=flat"]) == 2
    assert "nowhere.npz: there is no such file" in capsys.readouterr().err
    assert not (folder / "outputs").exists()


REFUSED = [
    (["hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs must be at least 1. Got 0."),
    (["sweep.jobs=0"], "sweep.jobs must be 'auto' or a number of at least 1. Got 0."),
    (["sweep.jobs=many"], "sweep.jobs must be 'auto' or a number of at least 1. Got 'many'."),
    (["hydra.sweep.subdir=x"], "hydra.sweep.subdir: the jobs of a sweep are numbered"),
    (["sweep.dir=R"], "sweep.dir=R: there is a single run in this folder."),
    (["sweep.rerun=some"], "rerun must be one of failed, diverged, all. Got 'some'."),
    (
        ["sweep.objective=test_errror"],
        "no figure of a run is named 'test_errror'. Did you mean 'test_error",
    ),
    (["seed=interval(0,1)"], "seed=interval(0,1): a grid needs single values, and"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
@pytest.mark.few(3)
def test_settings_that_would_not_do_what_they_say_are_refused(words, message, capsys, folder):
    (folder / "R" / ".hydra").mkdir(parents=True)
    assert main(grid("seed=1,2", *words)) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "S").exists()


@pytest.mark.long
def test_what_starts_in_the_same_second_has_folders_of_its_own(monkeypatch, folder):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 31, 12, 0, 0)

    monkeypatch.setattr("hydra.core.utils.datetime", Clock)
    single = [word for word in grid()[1:] if not word.startswith("sweep.dir")]
    for _ in range(3):
        assert main([*single, "epochs=1"]) == 0
        assert main(["-m", *single, "epochs=1", IN_PROCESS]) == 0
    runs = sorted((folder / "outputs" / "2026-01-31").iterdir())
    found = sorted((folder / "outputs" / "sweeps").iterdir())
    assert [run.name for run in runs] == ["12-00-00", "12-00-00_2", "12-00-00_3"]
    assert len(found) == 3
    assert all((run / "run.json").exists() for run in runs)
    assert all((sweep / "0" / "run.json").exists() for sweep in found)
    assert found[0].name == "2026-01-31_12-00-00"


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "words",
    [
        ["--cfg", "job"],
        ["--info", "config"],
        ["--help"],
        ["--hydra-help"],
        ["--version"],
    ],
)
def test_commands_that_only_inform_make_nothing(words, folder, capsys):
    before = sorted(folder.rglob("*"))
    try:
        assert main(words) == 0
    finally:
        assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("code", "asked", "text"),
    [
        (0, False, ""),
        (3, False, "its process ended with exit code 3"),
        (-9, False, "killed by SIGKILL; was it out of memory?"),
        (-11, False, "killed by SIGSEGV"),
        (-15, True, "it was asked to stop"),
        (-200, False, "killed by signal 200"),
    ],
)
def test_how_a_process_ended_in_words(code, asked, text):
    assert describe_end(code, asked) == text


# What follows starts processes.


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "cnnexp", *words]


@pytest.fixture
def elsewhere(monkeypatch):
    """Let other processes find the package."""
    monkeypatch.setenv("PYTHONPATH", ROOT)


@pytest.mark.long
def test_twelve_jobs_of_which_three_have_an_accident(elsewhere, capfd, folder):
    words = grid(
        "model.layers.1.what=by number",
        f"model.layers.1.number={','.join(map(str, range(12)))}",
        "hydra.launcher.n_jobs=2",
        "sweep.isolation=fresh",  # the server of an earlier test prints where that one did
    )
    assert main(words) == 1
    captured = capfd.readouterr()
    found = table(captured.out)
    assert len(found) == 12
    wanted = dict.fromkeys(map(str, range(12)), "finished")
    wanted |= {"3": "failed", "5": "diverged", "8": "killed"}
    assert statuses() == wanted
    assert {number: row.split()[2] for number, row in found.items()} == wanted
    assert "10 of 12 jobs have a result, in S" in captured.out
    assert "job 3 failed: RuntimeError: a bolt came loose" in captured.out
    assert "job 8 killed: killed by SIGKILL; was it out of memory?" in captured.out
    assert "[3] RuntimeError: a bolt came loose" in captured.err
    assert re.search(r"^\[11\] epoch 2/2 ", captured.out, re.MULTILINE)
    assert "Traceback" in Path("S/3/train.log").read_text()
    done = {k: v for k, v in snapshot(folder / "S").items() if k.split("/")[0] not in ("3", "8")}

    (folder / "mended").touch()
    assert main(words) == 0
    printed = capfd.readouterr().out
    assert "12 jobs: 10 skipped, 1 run again, 1 resumed" in printed
    assert "12 of 12 jobs have a result" in printed
    assert table(printed)["8"].endswith("resumed")
    assert len(load_run("S/8").batches) == 12
    assert record_in(Path("S/8"))["resumed"][0]["epoch"] == 1
    assert record_in(Path("S/3/earlier/0"))["status"] == "failed"
    now = snapshot(folder / "S")
    assert {name: now[name] for name in done if "/" in name} == {
        name: content for name, content in done.items() if "/" in name
    }


@pytest.mark.long
def test_a_process_that_ends_before_it_records_anything_is_told(elsewhere, capfd, folder):
    (folder / "fatal.py").write_text(
        "import multiprocessing, os\nif multiprocessing.parent_process() is not None:\n"
        "    os._exit(3)\n"
    )
    words = [w for w in grid("seed=1,2") if not w.startswith(("plugins", "model"))]
    assert main([*words, "model=flat", "plugins=[fatal]"]) == 1
    printed = capfd.readouterr().out
    assert "job 0 not started: its process ended with exit code 3" in printed
    assert "0 of 2 jobs have a result" in printed


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def slow_sweep() -> subprocess.Popen:
    """Start a sweep of two slow jobs, and wait until the first is at it."""
    words = grid("seed=1,2", "model.layers.1.what=slow", "epochs=20")
    child = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(lambda: Path("S/0/epochs.csv").exists() and len(load_run("S/0").epochs) > 1)
    return child


@pytest.mark.long
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_a_signal_ends_a_sweep_and_keeps_what_it_has(number, elsewhere, folder):
    child = slow_sweep()
    child.send_signal(number)
    printed = child.communicate()[0].decode()
    assert child.returncode == 130
    found = table(printed)
    assert found["0"].split()[2] == "interrupted"
    assert found["1"].split(maxsplit=2)[2].startswith("not started")
    assert "job 0 interrupted: a signal asked it to stop" in printed
    assert "0 of 2 jobs have a result" in printed
    done = len(load_run("S/0").batches)
    if number == signal.SIGTERM:
        return
    (folder / "mended").touch()
    again = subprocess.run(command(*grid("seed=1,2", "model.layers.1.what=slow", "epochs=20")))
    assert again.returncode == 0
    assert statuses() == {"0": "finished", "1": "finished"}
    assert record_in(Path("S/0"))["resumed"][0]["epoch"] * 6 <= done
    assert len(load_run("S/0").batches) == 120


@pytest.mark.long
def test_a_second_signal_stops_a_sweep_at_once(elsewhere):
    child = slow_sweep()
    pid = record_in(Path("S/0"))["process"]["pid"]
    os.kill(pid, signal.SIGSTOP)  # a batch that never ends
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)  # a process that is stopped heeds only this one
    printed = child.communicate()[0].decode()
    assert child.returncode == 130
    assert table(printed)["0"].split()[2] == "killed"
    assert load_run("S/0").status == "killed"


@pytest.mark.long
def test_ten_processes_started_at_once_have_ten_folders(elsewhere, folder):
    single = [word for word in grid()[1:] if not word.startswith("sweep.dir")]
    children = [
        subprocess.Popen(command(*words), stdout=subprocess.DEVNULL)
        for _ in range(10)
        for words in ([*single, "epochs=1"], ["-m", *single, "epochs=1"])
    ]
    assert [child.wait() for child in children] == [0] * 20
    runs = [p for p in (folder / "outputs").glob("*/*") if p.parent.name != "sweeps"]
    assert len(runs) == len(list((folder / "outputs" / "sweeps").iterdir())) == 10


def test_an_error_of_the_system_ends_a_job_with_a_message(capsys):
    error = OSError(28, "No space left on device", "sweep/0/run.json")
    child.tell(error, "0")
    assert capsys.readouterr().err == (
        "[0] error: sweep/0/run.json: No space left on device. Make room on the disk.\n"
    )
