"""Combinations that are listed: ``sweep.points``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from cnnexp import load_run
from cnnexp.app.compose.configs import composing, make_app
from cnnexp.app.compose.grid import expand, glob_keys, written
from cnnexp.app.compose.sources import CONFIG_NAME
from cnnexp.app.settings.check import plain
from cnnexp.app.sweeps.composer import SweepComposer
from cnnexp.app.sweeps.job import Point
from cnnexp.app.sweeps.points import faults_of
from cnnexp.errors import ConfigError
from tests.cases import in_one_test
from tests.commandline import cnnexp, succeed

parse = OverridesParser.create().parse_overrides
SMALL = ("model=flat", "epochs=1", "data.limit=40", "sweep.dir=S", "hydra/launcher=basic")


def expanded(points: object, *typed: str, params: dict[str, str] | None = None) -> list[str]:
    """Return the overrides of each job, as one text."""
    hydra = {"sweeper": {"params": params}, "overrides": {"task": list(typed)}}
    cfg = OmegaConf.create({"sweep": {"points": points}, "hydra": hydra})
    return [" ".join(words) for words in expand(cfg, parse)]


def test_lists_sweep_within_their_combination():
    points = [{"impl": "naive", "seed": 1}, {"impl": "sg", "seed": [2, 3], "dtype": ["a", "b"]}, {}]
    assert expanded(points) == [
        "impl=naive seed=1",
        "impl=sg seed=2 dtype=a",
        "impl=sg seed=2 dtype=b",
        "impl=sg seed=3 dtype=a",
        "impl=sg seed=3 dtype=b",
        "",
    ]


def test_other_values_are_taken_with_each_combination():
    params = {"epochs": "1,2"}
    found = expanded([{"seed": 1}, {"seed": 2}], "dtype=a", "sweep.points=[…]", params=params)
    assert found == [f"seed={seed} epochs={epochs} dtype=a" for seed in (1, 2) for epochs in (1, 2)]


def test_what_is_typed_takes_the_place_of_what_a_study_lists():
    assert expanded(None, "seed=3,4", params={"seed": "1,2"}) == ["seed=3", "seed=4"]
    assert expanded(None, "seed=range(2)", "~ema") == ["seed=0 ~ema=null", "seed=1 ~ema=null"]


@in_one_test(
    "value", [None, True, "true", 3, 0.1, 1e-9, "sg", "a b", "it's", "", "1", "x,y", [1, ["a b"]],
              {"type": "conv", "filters": 3}, "${seed}", "\\", "-1", "c:/d"],
)  # fmt: skip
def test_hydra_reads_a_value_as_it_was_written(value):
    """The parser of Hydra is the oracle."""
    assert parse([f"key={written(value)}"])[0].value() == value


@pytest.mark.parametrize(
    ("points", "fault"),
    [
        ("impl", "sweep.points must be a list of settings. Got 'impl'."),
        (
            [],
            "sweep.points: the list is empty, so there is nothing to train. "
            "Give combinations, or null.",
        ),
        ([3], "sweep.points.0 must be settings, as key: value. Got 3."),
        ([{}, {"a b": 1}], "sweep.points.1: 'a b' is not the key of a setting."),
        ([{"seed": []}], "sweep.points.0.seed: its list is empty. Give the values to sweep over."),
        (
            [{"hydra.mode": 1}],
            "sweep.points.0: hydra.mode belongs to the whole sweep, not to one of its points.",
        ),
    ],
)
def test_what_is_no_combination_is_refused(points, fault):
    with pytest.raises(ConfigError) as caught:
        expanded(points)
    assert caught.value.faults == (fault,)


def test_all_faults_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        expanded([{"seed": []}, 3, {"sweep.jobs": 1}])
    assert [fault.split(" ")[0] for fault in caught.value.faults] == [
        "sweep.points.0.seed:",
        "sweep.points.1",
        "sweep.points.2:",
    ]


def test_a_key_stands_in_one_place_alone():
    with pytest.raises(ConfigError, match=r"^seed: is given by sweep.points and beside it"):
        expanded([{"impl": "sg"}, {"seed": 1}], "seed=1,2")


def test_the_keys_of_globs():
    assert glob_keys(parse(["seed=1,2", "model=glob(*)"])) == {"model"}


@pytest.mark.long
def test_a_study_lists_combinations(tmp_path):
    """It needs no -m; the table shows what a job leaves as it is as empty."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text(
        "# @package _global_\n# Which rate for which?\n"
        "sweep: {points: [{optimizer: adam}, {learning_rate: [0.3, 0.1]}]}\n"
    )
    printed = succeed("experiments=mine", *SMALL)
    rows = [line.split() for line in printed.splitlines() if line.endswith(" new")]
    assert [row[:3] for row in rows] == [
        ["0", "adam", "finished"],
        ["1", "0.3", "finished"],
        ["2", "0.1", "finished"],
    ]
    records = [load_run(Path("S", job)).record for job in "012"]
    assert [r["config"]["learning_rate"] for r in records] == [0.001, 0.3, 0.1]
    assert records[0]["config"]["sweep"]["points"] is None
    assert "3 skipped" in succeed("experiments=mine", *SMALL)


@pytest.mark.long
def test_combinations_are_typed():
    printed = succeed("sweep.points=[{seed: 1},{seed: [1, 2]}]", *SMALL)
    assert "2 of 2 jobs have a result" in printed  # two points are the same


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("[{learnin_rate: 1}]", "learnin_rate: no such key. Did you mean 'learning_rate'?"),
        ("[{impl: fst}]", "impl=fst: there is no such option. Did you mean 'fast'?"),
        ("[{seed: 1},{seed: -1}]", "seed=-1: seed must be at least 0. Got -1."),
        ("3", "sweep.points must be a list"),
    ],
)
@pytest.mark.few(1)
def test_a_fault_in_a_combination_is_told_before_anything_starts(points, message):
    ended = cnnexp("-m", f"sweep.points={points}", *SMALL)
    assert ended.code == 2
    assert message in ended.err
    assert not Path("S").exists()


def test_a_fault_that_names_its_point_is_not_told_twice():
    """impl=compiled: impl=compiled needs numba …"""
    needs = "impl=compiled needs numba, which is not installed"
    points = [
        Point(["impl=compiled"], faults=(needs,)),
        Point(["impl=fast"], faults=("epochs: no",)),
    ]
    assert faults_of(points) == [needs, "impl=fast: epochs: no"]


@pytest.mark.parametrize(
    ("typed", "jobs"),
    [
        (["seed=1,2", "epochs=3", "model=flat"], [["seed=1", "epochs=3", "model=flat"]]),
        (["seed=1,2", "+data.x=1", "~note"], [["seed=1", "+data.x=1", "~note=null"]]),
        (["optimizer=sgd,adam"], [["optimizer=sgd"], ["optimizer=adam"]]),
        (["experiments=depth", "seed=1"], [["model=flat", "seed=1", "experiments=depth"]]),
    ],
    ids=["same choices", "a key is added", "other choices", "a study"],
)
@pytest.mark.long
def test_a_job_is_composed_as_hydra_composes_it(typed, jobs):
    """Composed from files once for jobs of the same choices, and each other one from that."""
    app = make_app()
    cfg = app.compose_config(CONFIG_NAME, ["sweep.dir=S", *typed], RunMode.MULTIRUN)
    cfg.hydra.mode, cfg.sweep.points = RunMode.MULTIRUN, None
    composer = SweepComposer(app.config_loader, cfg)
    for words in [*jobs, jobs[0]]:
        words = ["sweep.dir=S", *(word.replace("seed=1", "seed=2") for word in words)]
        found, own = composer.compose(words), app.config_loader.load_sweep_config(cfg, words)
        assert found.settings == plain(own)
        assert found.hydra == OmegaConf.to_container(own.hydra)


PATIENT = "early_stopping={patience: 3}"
DENSE = "model.layers=[{type: flatten}, {type: dense, units: 10, activation: softmax}]"


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "words",
    [
        ["early_stopping.patience=7", PATIENT],
        [PATIENT, "early_stopping.patience=7"],
        ["early_stopping.patience=7", "seed=2", "early_stopping=null"],
        ["optimizer.momentum=0.5", "++optimizer.momentum=0.7"],
        ["++optimizer.momentum=0.7", "optimizer.momentum=0.5"],
        ["optimizer.momentum=0.5", "optimizer={momentum: 0.7}"],
        ["optimizer.momentum=0.5", "optimizer=sgd"],
        ["learning_rate=0.5", "++learning_rate=0.7"],
        ["learning_rate=0.5", "learning_rate=0.7"],
        ["learning_rate=0.5", "+learning_rate=0.7"],
        ["+learning_rate=0.7", "learning_rate=0.5"],
        ["learning_rate=0.5", "~learning_rate"],
        ["seed=3", "learning_rate=0.5", "learning_rate=${seed}"],
        ["model.layers.1.units=12", DENSE],
        [DENSE, "model.layers.1.units=12"],
        ["model.layers.1.units=12", "++model.layers.1.units=13", DENSE],
        ["model.layers.1.units=12", "++model.layers.1.units=13"],
        ["seed=2", "data.limit=5", DENSE, "epochs=3"],
    ],
    ids=" ".join,
)
def test_the_last_word_counts_in_a_sweep_as_in_a_single_run(words):
    """Plain values were put in after all else, so that a whole value behind them was lost."""
    app = make_app()
    cfg = app.compose_config(CONFIG_NAME, ["sweep.dir=S", "model=flat"], RunMode.MULTIRUN)
    cfg.hydra.mode, words = RunMode.MULTIRUN, ["sweep.dir=S", "model=flat", *words]
    composer = SweepComposer(app.config_loader, cfg)

    def by_hydra() -> object:
        with composing(lambda: cfg):
            return plain(app.config_loader.load_sweep_config(cfg, words))

    found = settings_or_refusal(lambda: composer.compose(words).settings)
    assert found == settings_or_refusal(by_hydra)


def settings_or_refusal(compose: Callable[[], object]) -> object:
    """Return settings, or the message with which they are refused."""
    try:
        return compose()
    except ConfigError as error:
        return str(error)


@pytest.mark.long
def test_jobs_of_a_sweep_take_what_stands_last():
    small = [*SMALL, "early_stopping.patience=7", PATIENT]
    succeed("-m", *small, "seed=0,1")
    for number in "01":
        assert load_run(Path("S", number)).config["early_stopping"]["patience"] == 3


@pytest.mark.parametrize("words", [(), ("--cfg", "job")])
def test_a_preset_with_no_combinations_is_told_so(words):
    """As it was printed with --cfg job by an earlier version; it was said to be a sweep."""
    preset = Path("experiments/old.yaml")
    preset.parent.mkdir()
    preset.write_text("# @package _global_\nsweep:\n  points: []\n")
    ended = cnnexp("--config-dir", ".", "experiments=old", "hydra.run.dir=R", *words)
    if words:
        assert ended.code == 0 and "points: []" in ended.out
        return
    assert ended.code == 2
    assert ended.err.startswith("error: sweep.points: the list is empty. One run has none: leave")
