"""One module of one's own with a thing of every kind, used from an empty folder."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

import cnnexp as package
from cnnexp import LAYERS
from cnnexp.app.compose.configs import make_app
from cnnexp.data import SOURCES
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.nn.losses import LOSSES, METRICS
from cnnexp.train import OPTIMIZERS, SCHEDULES
from tests.commandline import cnnexp, succeed

MODULE = '''
from dataclasses import dataclass, replace

import numpy as np

from cnnexp import LAYERS, LOSSES, METRICS, Layer, Loss
from cnnexp.data.sources import SOURCES, Raw, Source
from cnnexp.engine import IMPLEMENTATIONS, Operation
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.train import OPTIMIZERS, SCHEDULES, Schedule
from cnnexp.train.optimizers import SGD


def square_forward(A_prev, params, geometry, context):
    return A_prev * A_prev, A_prev


def square_backward(dA, params, geometry, cache, context):
    return 2 * dA * cache, {}


SQUARE = Operation(square_forward, square_backward)
for name in list(IMPLEMENTATIONS):  # a new operation, for implementations that are there
    IMPLEMENTATIONS[name].add("square", SQUARE)


@LAYERS.register("square")
@dataclass
class Square(Layer):
    """The square of every value."""

    operation = "square"
    is_activation = True


@LOSSES.register("fourth_power")
@dataclass(frozen=True)
class FourthPower(Loss):
    """The mean fourth power of the distance.

    Parameters
    ----------
    factor : float
        Of the loss.
    """

    factor: float = 1.0

    def check_targets(self, Y, output_shape, dtype):
        return np.eye(output_shape[0], dtype=dtype)[Y] if Y.ndim == 1 else Y.astype(dtype)

    def forward(self, Z, targets):
        d = Z - targets
        return self.factor * float((d**4).mean(axis=1).sum()), d

    def backward(self, cache, scale):
        return (4 * self.factor * scale / cache.shape[1] * cache**3).astype(cache.dtype)


@METRICS.register("largest_output")
def largest_output(outputs, targets):
    """Return the sum of the largest outputs."""
    return float(outputs.max(axis=1).sum())


@OPTIMIZERS.register("slow_sgd")
@dataclass(frozen=True)
class SlowSGD(SGD):
    """Gradient descent with less momentum."""

    momentum: float = 0.5


@SCHEDULES.register("halves")
@dataclass(frozen=True)
class Halves(Schedule):
    """Half of the rate in every second epoch.

    Parameters
    ----------
    low : float
        The factor of even epochs.
    """

    depends_on_epochs = False
    low: float = 0.5

    def factor(self, moment):
        return 1.0 if moment.epoch % 2 else self.low


@INITIALIZERS.register("tiny")
def tiny(shape, fan_in, fan_out, generator):
    """Normal with standard deviation 0.001."""
    return generator.normal(0, 0.001, shape)


@SOURCES.register("stripes")
@dataclass
class Stripes(Source):
    """Horizontal and vertical stripes.

    Parameters
    ----------
    count : int
        Images.
    """

    count: int = 60
    default_split = 0.8

    def load(self):
        Y = np.arange(self.count) % 2
        X = np.zeros((self.count, 8, 8, 1), np.float32)
        X[Y == 0, ::2] = 1
        X[Y == 1, :, ::2] = 1
        return Raw(X, Y, 1.0, ("across", "down"), f"stripes:{self.count}")
'''
TABLES = (
    LAYERS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES, INITIALIZERS, SOURCES, IMPLEMENTATIONS
)  # fmt: skip
PLUGIN = "plugins=[my_things]"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the module; what it registers is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in IMPLEMENTATIONS:
        operations = dict(IMPLEMENTATIONS[name].operations)
        monkeypatch.setitem(vars(IMPLEMENTATIONS[name]), "operations", operations)
    for table in TABLES:
        monkeypatch.setattr(table, "_things", dict(table._things))
    make_app()  # so that Hydra's own configs are in its store, to stay there
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", copy.deepcopy(store.repo))
    (tmp_path / "my_things.py").write_text(MODULE)
    monkeypatch.delitem(__import__("sys").modules, "my_things", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ("model.layers.3.activation=square", "model.layers.3.activation", "square"),
        ("model.layers.3.initializer=tiny", "model.layers.3.initializer", "tiny"),
        ("metrics=[largest_output]", "metrics", ["largest_output"]),
        ("optimizer=slow_sgd optimizer.nesterov=false", "optimizer.momentum", 0.5),
        ("schedule=halves schedule.low=0.25", "schedule.low", 0.25),
        ("loss=fourth_power loss.factor=2 model=regression", "loss.factor", 2.0),
        ("data=stripes data.count=40", "data.count", 40),
    ],
    ids=["layer", "initializer", "metric", "optimizer", "schedule", "loss", "data"],
)
@pytest.mark.few(3)
def test_a_thing_of_every_kind_trains(words: str, key: str, value: object, own: Path) -> None:
    run = ("epochs=1", "data.limit=40", "hydra.run.dir=run")
    succeed(PLUGIN, *words.split(), *run)
    config: object = package.load_run("run").config
    for part in key.split("."):
        config = config[int(part)] if isinstance(config, list) else config[part]  # type: ignore[index]
    assert config == value
    assert "loss" in succeed("evaluate", "run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "optimizer=slow_sgd optimizer.momntum=1",
            "optimizer=slow_sgd has no such option. Did you mean 'momentum'?",
        ),
        ("schedule=halves schedule.low=much", "schedule.low must be a number. Got 'much'."),
        ("schedule=halfs", "schedule=halfs: there is no such option. Did you mean 'halves'?"),
        ("metrics=[largest_ouput]", "no metric is named 'largest_ouput'. Did you mean"),
    ],
)
def test_their_options_are_checked_as_those_of_any(words: str, message: str, own: Path) -> None:
    ended = cnnexp(PLUGIN, *words.split())
    assert ended.code == 2
    assert message in ended.err


def test_names_of_ones_own_are_told_to_need_plugins(own: Path) -> None:
    need = "One of your own needs plugins=[MODULE]."
    unknown = ("loss=log_cosh", "model.layers.3.type=scaled", "metrics=[log_cosh]")
    assert all(need in cnnexp(words).err for words in unknown)
    assert need not in cnnexp("loss=cross_entropi").err  # a typo
    for words in unknown:
        ended = cnnexp(PLUGIN, words)
        assert (ended.code, need in ended.err) == (2, False)


@pytest.mark.long
def test_a_new_operation_runs_under_every_implementation(own: Path) -> None:
    for impl in ("naive", "fast"):
        shown = succeed("check-layer", "my_things.Square", "--impl", impl)
        assert shown.endswith("all rules are kept\n")


def test_lists_and_help_know_them(own: Path) -> None:
    assert "Half of the rate" in succeed("list", "schedules", PLUGIN)
    assert "The factor of even epochs." in succeed("help", PLUGIN, "schedule.low")
