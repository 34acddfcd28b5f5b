"""Searches choose by validation samples, survive failures, and are found done when asked again."""

import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from cnnexp import load_run
from cnnexp.app.main import main
from cnnexp.app.running.planned import objective
from cnnexp.app.sweeps import points as sweep_points
from cnnexp.app.sweeps.foreign import Failed, JobFailed
from cnnexp.app.sweeps.search import GRID, allow_failures, is_search, search_faults
from tests.runs.small import settings, write_data

HAS_OPTUNA = importlib.util.find_spec("optuna") is not None
needs_optuna = pytest.mark.skipif(not HAS_OPTUNA, reason="optuna is not installed")
RISKY = """\
name: risky
layers:
  - {type: flatten}
  - {type: accident}
  - {type: dense, units: 5, activation: relu}
  - {type: dense, activation: softmax}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder that has data, a plugin and a model."""
    sweep_points._read.cache_clear()
    monkeypatch.setattr(sys, "path", [*sys.path])
    write_data(tmp_path / "data.npz")
    shutil.copy(Path(__file__).with_name("accidents.py"), tmp_path)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "risky.yaml").write_text(RISKY)
    return tmp_path


def config(name: str, validation: float | None = 0.1, on_test: bool = False) -> dict:
    return {
        "sweep": {"objective": name, "search_on_test": on_test},
        "data": {"validation": validation},
    }


def test_a_search_on_the_test_samples_is_refused_unless_asked_for():
    (fault,) = search_faults(config("test_error"))
    assert fault == (
        "sweep.objective=test_error: a search on the test samples is refused. The best of many"
        " trials is partly lucky on the samples it was chosen by, so none would be left to tell how"
        " good it is. Search by validation_error with data.validation=0.1, or ask for it with"
        " sweep.search_on_test=true."
    )
    assert search_faults(config("best_test_error"))
    assert search_faults(config("test_error", None, on_test=True)) == []


@pytest.mark.parametrize("validation", [None, 0])
def test_a_search_needs_samples_to_choose_by(validation):
    (fault,) = search_faults(config("validation_error", validation))
    assert fault == (
        "sweep.objective=validation_error: the search needs samples to choose by. Keep some of the"
        " training samples apart: data.validation=0.1."
    )


@pytest.mark.parametrize("name", ["train_loss", "samples_per_second", "validation_loss"])
def test_other_figures_may_be_searched_by(name):
    assert search_faults(config(name)) == []


def record(status: str, **results: float) -> Any:
    return SimpleNamespace(status=status, results=results, config=config("validation_error"))


def test_the_objective_of_a_run():
    assert objective(record("finished", validation_error=0.25)) == 0.25
    assert objective(record("finished", validation_error=0.25, test_error=0.5), "test_error") == 0.5
    assert objective(record("finished")) is None
    assert objective(record("diverged", validation_error=0.25)) == float("inf")


def test_failures_raise_in_a_search():
    with pytest.raises(JobFailed, match="it broke"):
        _ = Failed([], _return_value="it broke").return_value


def test_a_search_goes_on_after_failures_unless_a_limit_was_asked_for():
    def limit(asked: list[str]) -> float:
        cfg = OmegaConf.create({"hydra": {"sweeper": {"max_failure_rate": 0.0}}})
        allow_failures(cfg, asked)
        return cfg.hydra.sweeper.max_failure_rate

    assert limit([]) == 1.0
    assert limit(["hydra.sweeper.max_failure_rate=0"]) == 0.0
    grid = OmegaConf.create({"hydra": {"sweeper": {"_target_": GRID}}})
    allow_failures(grid, [])
    assert grid == {"hydra": {"sweeper": {"_target_": GRID}}}
    assert not is_search(grid)


@pytest.mark.parametrize(
    ("word", "extra"),
    [
        ("hydra/sweeper=optuna", "search"),
        ("hydra/launcher=submitit_slurm", "slurm"),
        ("hydra/launcher=ray", "ray"),
        ("experiments=search_cnn", "search"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(word, extra, capsys):
    package = {"search": "optuna", "slurm": "submitit", "ray": "ray"}[extra]
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    assert main(["-m", word]) == 2
    assert f"It comes with an extra: pip install 'cnnexp[{extra}]'." in capsys.readouterr().err


def test_a_grid_needs_neither_validation_nor_an_objective():
    words = settings(Path("data.npz"), "hydra/launcher=basic", "sweep.dir=S")
    assert main(["-m", *words, "seed=1"]) == 0


def command(*words: str, sampler: str = "random", seed: int | None = 1) -> list[str]:
    """Return the words of a search of small runs."""
    small = [w for w in settings(Path("data.npz")) if not w.startswith("model")]
    return [
        "--config-dir",
        "conf",
        "-m",
        *small,
        "model=risky",
        "plugins=[accidents]",
        "data.validation=6",
        "hydra/launcher=basic",
        "hydra/sweeper=optuna",
        f"hydra/sweeper/sampler={sampler}",
        *([] if seed is None else [f"hydra.sweeper.sampler.seed={seed}"]),
        "hydra.sweeper.n_jobs=1",
        "sweep.dir=S",
        *words,
    ]


def search(*words: str, seed: int | None = 1) -> int:
    """Search by the command line, in this process."""
    return main(command(*words, seed=seed))


def jobs() -> dict[str, str]:
    return {p.parent.name: load_run(p.parent).status for p in sorted(Path("S").glob("*/run.json"))}


@needs_optuna
@pytest.mark.filterwarnings("ignore")
@pytest.mark.long
def test_a_search_started_again_finds_its_trials_done(capsys):
    words = ["learning_rate=interval(0.01,0.5)", "model.layers.2.units=choice(3,4,5)"]
    assert search(*words, "hydra.sweeper.n_trials=3") == 0
    first = {number: load_run(f"S/{number}").record["created"] for number in jobs()}
    assert len(first) == 3
    assert search(*words, "hydra.sweeper.n_trials=4") == 0
    printed = capsys.readouterr().out
    assert sorted(jobs()) == ["0", "1", "2", "3"]
    assert {n: load_run(f"S/{n}").record["created"] for n in first} == first
    best = OmegaConf.load("S/optimization_results.yaml")
    figures = [load_run(f"S/{n}").results["validation_error"] for n in jobs()]
    assert best.best_value == min(figures)
    number = re.search(r"best validation_error: [0-9.]+, job (\d+):", printed)
    assert number is not None


def best_of_the_folder() -> tuple[float, str]:
    """Return the lowest error of validation, and the first job that has it."""
    return min((load_run(f"S/{n}").results["validation_error"], n) for n in jobs())


def told(printed: str) -> tuple[float, str]:
    """Return the best figure and its job as the table tells it."""
    found = re.search(r"best validation_error: ([0-9.]+), job (\d+):", printed)
    assert found is not None
    return float(found[1]), found[2]


@needs_optuna
@pytest.mark.filterwarnings("ignore")
@pytest.mark.long
def test_without_a_seed_a_search_goes_on_where_it_was_and_all_trials_count(capsys):
    words = ["learning_rate=interval(0.001,0.5)", "epochs=1"]
    for trials in (2, 3):
        assert search(*words, f"hydra.sweeper.n_trials={trials}", seed=None) == 0
        printed = capsys.readouterr().out
        assert sorted(jobs()) == [str(k) for k in range(trials)]
        assert f"{trials} of {trials} jobs have a result" in printed
        figure, job = told(printed)
        assert (pytest.approx(figure, abs=1e-4), job) == best_of_the_folder()
        assert OmegaConf.load("S/optimization_results.yaml").best_value == best_of_the_folder()[0]
    words[1] = "epochs=2"  # is another search; what lies in the folder is shown beside it
    assert search(*words, "hydra.sweeper.n_trials=1", seed=None) == 0
    printed = capsys.readouterr().out
    assert printed.count("left alone") == 3
    assert "4 of 4 jobs have a result" in printed
    assert told(printed)[1] == best_of_the_folder()[1]


@needs_optuna
@pytest.mark.filterwarnings("ignore")
@pytest.mark.long
@pytest.mark.parametrize("seed", [1, None])
def test_a_search_with_a_storage_that_was_killed_is_finished_by_the_same_command(seed, capsys):
    import optuna

    kept = ["hydra.sweeper.storage=sqlite:///search.db", "hydra.sweeper.study_name=s"]
    words = [*kept, "learning_rate=interval(0.001,0.5)", "model.layers.1.what=kill"]
    Path("mended").touch()
    assert search(*words, "hydra.sweeper.n_trials=1", seed=seed) == 0
    Path("mended").unlink()
    words.append("hydra.sweeper.n_trials=3")
    killed = [sys.executable, "-m", "cnnexp", *command(*words, seed=seed)]
    assert subprocess.run(killed, check=False, capture_output=True).returncode == -signal.SIGKILL
    assert jobs() == {"0": "finished", "1": "killed"}
    Path("mended").touch()
    created = load_run("S/1").record["created"]
    capsys.readouterr()
    assert search(*words, seed=seed) == 0
    printed = capsys.readouterr().out
    assert jobs() == {"0": "finished", "1": "finished", "2": "finished"}
    record = load_run("S/1").record
    assert (record["created"], len(record["resumed"])) == (created, 1)
    assert "3 of 3 jobs have a result" in printed
    assert told(printed)[1] == best_of_the_folder()[1]
    study = optuna.load_study("s", "sqlite:///search.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert study.best_value == best_of_the_folder()[0]
    assert search(*words, seed=seed) == 0
    assert len(optuna.load_study("s", "sqlite:///search.db").trials) == len(jobs()) == 3


@needs_optuna
@pytest.mark.filterwarnings("ignore")
@pytest.mark.long
def test_failed_and_impossible_trials_do_not_end_a_search(capsys):
    words = [
        "model.layers.1.what=choice(nothing,raise,diverge)",
        "model.layers.2.units=choice(3,4,0)",
        "hydra.sweeper.n_trials=12",
        "hydra.sweeper.storage=sqlite:///search.db",
        "hydra.sweeper.study_name=s",
    ]
    assert search(*words) == 1
    printed = capsys.readouterr().out
    assert set(jobs().values()) == {"finished", "failed", "diverged"}
    assert "not run: " in printed
    assert "units must be at least 1. Got 0." in printed
    assert "failed: RuntimeError: a bolt came loose" in printed
    Path("mended").touch()
    assert search(*words) == 1  # the impossible ones are still that
    assert set(jobs().values()) == {"finished", "diverged"}


@needs_optuna
@pytest.mark.filterwarnings("ignore")
@pytest.mark.long
def test_a_limit_of_failures_is_heeded(capsys):
    words = ["seed=choice(1,2,3)", "model.layers.1.what=raise", "hydra.sweeper.n_trials=3"]
    assert search(*words, "hydra.sweeper.max_failure_rate=0.5") == 1
    assert "the search stopped, because hydra.sweeper.max_failure_rate was passed" in (
        capsys.readouterr().out
    )
    assert jobs() == {"0": "failed"}


@pytest.mark.long
@needs_optuna
@pytest.mark.filterwarnings("ignore")
def test_a_search_of_which_nothing_came_says_so(capsys):
    words = ["seed=choice(1,2,3)", "model.layers.1.what=raise", "hydra.sweeper.n_trials=2"]
    assert search(*words) == 1
    assert re.search(r"0 of \d jobs have a result", capsys.readouterr().out)


@needs_optuna
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep.objective=test_error"], "a search on the test samples is refused"),
        (["data.validation=0"], "data.validation=0.1"),
        (["sweep.objective=validation"], "Did you mean 'validation_l"),
    ],
)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.few(1)
def test_a_search_that_would_mislead_is_refused(words, message, capsys, folder):
    assert search("seed=choice(1,2)", "hydra.sweeper.n_trials=2", *words) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "S").exists()


@pytest.mark.long
@needs_optuna
@pytest.mark.filterwarnings("ignore")
def test_the_preset_searches(capsys):
    words = ["data.limit=60", "epochs=1", "hydra.sweeper.n_trials=2", "hydra/launcher=basic"]
    assert main(["experiments=search_cnn", "sweep.dir=S", *words]) == 0
    assert "2 of 2 jobs have a result" in capsys.readouterr().out
    started = json.loads(Path("S/sweep.json").read_bytes())["started"]
    assert len(started) == 1
