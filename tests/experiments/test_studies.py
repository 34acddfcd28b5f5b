"""Every study composes, runs on a few digits, and has its place on the page."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from cnnexp import load_runs
from cnnexp.app.compose.configs import make_app
from cnnexp.app.compose.sources import CONFIG_NAME
from cnnexp.app.settings.check import check
from experiments import figures, outcomes, tables
from experiments.outcomes import Results
from experiments.summaries import SUMMARIES, first_at
from tests.commandline import succeed

FOLDER = Path(outcomes.__file__).parent
STUDIES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
TINY = ("data=digits", "data.limit=40", "epochs=1", "impl.threads=1")
SMALLER = {name: ["model=cnn"] for name in ("mnist_99", "mnist_best", "mnist_minute")}
"""Their networks need larger images than the digits."""
IN_PROCESS = "hydra/launcher=basic"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A copy of the page, which may be written, with the figures and results beside it."""
    copy = shutil.copy(tables.README, tmp_path / "README.md")
    monkeypatch.setattr(tables, "README", Path(copy))
    monkeypatch.setattr(figures, "FOLDER", tmp_path / "figures")
    monkeypatch.setattr(
        outcomes, "RESULTS", Path(shutil.copytree(outcomes.RESULTS, tmp_path / "r"))
    )
    return Path(copy)


def run(name: str, folder: Path, *words: str) -> None:
    """Run a study on a few digits in this process."""
    if name == "search_cnn":
        pytest.importorskip("optuna")
        words = (*words, "hydra.sweeper.n_trials=2")
    place = f"sweep.dir={folder}" if outcomes.swept(name) else f"hydra.run.dir={folder}/0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a rate that is too large overflows first
        succeed(f"experiments={name}", *TINY, *SMALLER.get(name, []), place, IN_PROCESS, *words)


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.few(2)
def test_a_study_composes_as_it_is_written(name):
    """On the data that it names, which need not be there."""
    if name == "search_cnn":
        pytest.importorskip("optuna")
    config = make_app().compose_config(
        config_name=CONFIG_NAME,
        overrides=[f"experiments={name}"],
        run_mode=RunMode.MULTIRUN,
        with_log_configuration=False,
    )
    assert check(config)["model"]["layers"]


@pytest.mark.long
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_on_a_few_digits(name, tmp_path):
    run(name, tmp_path)
    frame = load_runs(tmp_path)
    assert set(frame["status"]) <= {"finished", "diverged"}
    assert len(frame) == (2 if name == "search_cnn" else jobs(name))


def jobs(name: str) -> int:
    """Return how many runs a study has: all combinations of what it sweeps."""
    if name == "search_cnn":
        return int(OmegaConf.load(FOLDER / "search_cnn.yaml").hydra.sweeper.n_trials)
    count = 1
    for values in outcomes.swept(name).values():
        count *= len(str(values).split(","))
    return count


@pytest.fixture(scope="module")
def a_sweep(tmp_path_factory):
    """A study that is a sweep, run on a few digits; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("sweep")
    run("naive_vs_sg", folder, "data.limit=10")
    return folder


@pytest.mark.long
def test_a_study_that_sweeps(a_sweep):
    """The quick part of what is marked long."""
    assert load_runs(a_sweep)["impl"].tolist() == ["naive", "sg", "im2col", "fast"]


def test_a_study_of_one_run(tmp_path):
    run("original_cnn", tmp_path, "data.limit=10")
    assert len(load_runs(tmp_path)) == 1


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_has_its_section_and_says_what_it_asks(name):
    assert f"\n## {name}\n" in tables.README.read_text()
    first, second = (FOLDER / f"{name}.yaml").read_text().splitlines()[:2]
    assert first == "# @package _global_"
    assert second.startswith("# ")


@pytest.mark.parametrize("name", sorted({*STUDIES, "stride_groups_scaling"}))
def test_a_study_has_results_that_were_measured(name):
    kept = outcomes.load(name)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", kept.facts["date"])
    assert kept.facts["cpu"]
    assert name in kept.facts["command"]
    if name in STUDIES:
        assert kept.epochs["run"].nunique() == jobs(name)


@pytest.fixture
def words_alone(monkeypatch):
    """Draw nothing, which takes seconds."""
    monkeypatch.setattr(tables, "save_figure", lambda results: None)


def test_the_page_says_what_the_results_say(page, words_alone):
    before = page.read_text()
    assert tables.main(["--kept"]) == 0
    assert page.read_text() == before


def test_a_changed_result_changes_the_page(page, words_alone):
    path = outcomes.path_of("seeds")
    path.write_text(re.sub(r"(?m)^(0,.*,)[\d.]+$", r"\g<1>0.5", path.read_text()))
    tables.main(["--kept"])
    assert "| 50.00 % |" in page.read_text()


@pytest.mark.long
def test_every_figure_is_drawn_and_small(page):
    tables.main(["--kept"])
    drawn = {path.stem: path.stat().st_size for path in (page.parent / "figures").iterdir()}
    assert drawn.keys() == figures.FIGURES.keys()
    assert max(drawn.values()) < 150_000
    assert drawn.keys() == {path.stem for path in (FOLDER / "figures").glob("*.png")} - {"landing"}


def test_every_summary_has_its_place():
    text = tables.README.read_text()
    assert all(f"<!-- results: {study} -->" in text for study in SUMMARIES)


# Which runs count ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "study"),
    [
        ("experiments=seeds", "seeds"),
        ("-m experiments=seeds impl=fast sweep.dir=here", "seeds"),
        ("experiments=seeds data=digits", ""),
        ("experiments=seeds data.limit=10", ""),
        ("experiments=naive_vs_sg", "naive_vs_sg"),
        ("experiments=naive_vs_sg impl=fast", ""),
        ("seed=0,1", ""),
    ],
)
def test_only_a_study_as_written_counts(words, study):
    assert outcomes.study_of(["cnnexp", *words.split()]) == study
    assert outcomes.study_of(["python", "-m", "cnnexp", *words.split()]) == study


@pytest.fixture
def tiny_study(a_sweep, tmp_path, monkeypatch):
    """Runs of a study on a few digits, told as if it had been run as written."""
    monkeypatch.setattr(outcomes, "study_of", lambda command: "naive_vs_sg")
    return Path(shutil.copytree(a_sweep, tmp_path / "runs"))


@pytest.mark.long
def test_results_are_those_of_the_runs(tiny_study):
    found = outcomes.collect(tiny_study)["naive_vs_sg"]
    frame = load_runs(tiny_study)
    assert found.last["impl"].tolist() == frame["impl"].tolist()
    assert found.last["test_error"].tolist() == pytest.approx(frame["test_error"].tolist())
    assert found.last["seconds"].tolist() == pytest.approx(frame["seconds"].tolist())
    assert found.facts["data"].startswith("digits, 10 samples")


@pytest.mark.long
def test_results_are_read_back_as_they_were_written(tiny_study, page):
    found = outcomes.collect(tiny_study)["naive_vs_sg"]
    outcomes.save(found)
    again = outcomes.load("naive_vs_sg")
    assert again.facts == found.facts
    assert again.epochs["test_loss"].tolist() == pytest.approx(
        found.epochs["test_loss"].tolist(), rel=1e-4
    )


@pytest.mark.long
def test_a_study_that_is_not_at_its_end_is_passed_over(tiny_study):
    shutil.rmtree(tiny_study / "2")
    assert outcomes.collect(tiny_study) == {}


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert tables.main(["--runs", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_when_a_bound_was_first_reached():
    import pandas as pd

    epochs = pd.DataFrame(
        {"epoch": [1, 2, 3], "seconds": [1.0, 2.0, 4.0], "error": [0.3, 0.1, 0.2]}
    )
    assert first_at(epochs, "error", 0.1) == "after 3.00 s, epoch 2"
    assert first_at(epochs, "error", 0.05) == "not reached"


def test_the_fastest_epoch_stands_for_a_run():
    import pandas as pd

    epochs = pd.DataFrame({"run": [0, 0, 1], "seconds": [3.0, 2.0, 5.0], "epoch": [1, 2, 1]})
    last = Results("seeds", {}, epochs).last
    assert last["seconds"].tolist() == [2.0, 5.0]
    assert last["total"].tolist() == [5.0, 5.0]
    assert last["epoch"].tolist() == [2, 1]


def test_the_settings_of_the_original_are_in_the_yaml():
    """Its split, its batches, plain steps."""
    for name, batch_size in (("original_flat", 6650), ("original_cnn", 133)):
        study = OmegaConf.load(FOLDER / f"{name}.yaml")
        assert (study.batch_size, study.data.split) == (batch_size, 0.95)
        assert study.optimizer.momentum == 0
