"""``gradcheck`` and ``check-layer``: what they print, find, and refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnexp import LAYERS
from cnnexp.nn.losses import LOSSES
from tests.commandline import cnnexp, succeed

MODULE = """
from dataclasses import dataclass

import numpy as np

from cnnexp import LAYERS, Layer, Pointwise


@LAYERS.register("cubed")
@dataclass
class Cubed(Pointwise):
    factor: float = 3.0

    def apply(self, Z, out):
        np.copyto(out, Z**3)

    def gradient(self, dA, kept, out):
        np.multiply(dA, self.factor * kept**2, out=out)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a layer, which is right with a factor of 3."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(LAYERS, "_things", dict(LAYERS._things))
    (tmp_path / "my_cube.py").write_text(MODULE)
    monkeypatch.delitem(__import__("sys").modules, "my_cube", raising=False)
    return tmp_path


def test_all_gradients_of_a_network_agree(own: Path) -> None:
    shown = succeed("gradcheck", "impl=sg,fast", "--entries", 5, "--samples", 3)
    assert shown.count("all agree: the largest relative difference is") == 2
    assert "impl=sg, 3 samples, float64" in shown
    rows = [line.split() for line in shown.splitlines() if line.startswith("conv1.W")]
    assert [row[1:3] for row in rows] == [["3x3x1x32", "5"]] * 2
    assert not [path for path in own.iterdir() if path.name == "outputs"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.few(3)
def test_under_every_loss(loss: str) -> None:
    words = ["model=linear", "--entries", "4", f"loss={loss}"]
    if loss == "binary_cross_entropy":
        words.append("model.layers.1.activation=sigmoid")
    assert "all agree" in succeed("gradcheck", *words)


def test_a_wrong_gradient_is_found(own: Path) -> None:
    words = ("plugins=[my_cube]", "model=flat", "--entries", 4)
    assert "all agree" in succeed("gradcheck", *words, "model.layers.1.activation=cubed")
    layers = "model.layers=[{type: flatten}, {type: dense, units: 5},"
    layers += " {type: cubed, factor: 2}, {type: dense, activation: softmax}]"
    ended = cnnexp("gradcheck", *words, layers)
    assert ended.code == 1
    assert "gradients differ" in ended.out
    wrong = [line.split()[0] for line in ended.out.splitlines() if line.endswith("WRONG")]
    assert wrong == ["dense1.b", "dense1.W"]


def test_a_layer_of_ones_own(own: Path) -> None:
    shown = succeed("check-layer", "my_cube.Cubed")
    assert shown.startswith("Cubed, samples of 6x5x4, impl=fast")
    assert shown.endswith("all rules are kept\n")
    ended = cnnexp("check-layer", "my_cube.Cubed", "factor=2", "--impl", "sg", "--shape", "7")
    assert ended.code == 1
    assert ended.out.startswith("Cubed, samples of 7, impl=sg")
    assert "FAILS  gradients equal differences of the loss" in ended.out
    assert ended.out.endswith("1 of 12 rules are broken\n")


def test_a_layer_of_the_table() -> None:
    assert "samples of 6x5x4" in succeed("check-layer", "max_pool", "kernel_size=2")
    assert "samples of 8" in succeed("check-layer", "dense", "units=3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("gradcheck --samples 0", "--samples must be at least 1. Got 0."),
        ("gradcheck lerning_rate=3", "lerning_rate: no such key. Did you mean 'learning_rate'?"),
        ("check-layer max_pol", "no layer is named 'max_pol'. Did you mean 'max_pool'?"),
        (
            "check-layer Scale",
            "no layer is named 'Scale'. Did you mean 'upsample'? One of your own is named with its"
            " module: MODULE.Scale. Known: relu,",
        ),
        ("check-layer my_cube.Cubd", "my_cube has no layer 'Cubd'. Did you mean 'Cubed'?"),
        ("check-layer nowhere.Cube", "plugins: cannot import 'nowhere'"),
        (
            "check-layer my_cube.Cubed factr=3",
            "cubed: factr: no such option. Did you mean",
        ),
        ("check-layer my_cube.Cubed --shape 3,x", "--shape must be rows,columns,channels, or one"),
        ("check-layer max_pool", "max_pool has options that must be given"),
        ("check-layer group_norm groups=3", "--shape is needed: groups must divide the 4 channels"),
    ],
)
def test_mistakes_get_one_message(words: str, message: str, own: Path) -> None:
    ended = cnnexp(*words.split())
    assert ended.code == 2
    assert ended.err.startswith(f"error: {message}")


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "layers",
    [
        # biases of 0 after a ReLU that gives 0: exactly at a kink
        "[{type: conv, filters: 3, kernel_size: 3, initializer: -0.1, activation: relu},"
        " {type: conv, filters: 2, kernel_size: 3, activation: relu}, {type: flatten},"
        " {type: dense, activation: softmax}]",
        # a bias that batch normalisation takes off again: its gradient is 0
        "[{type: conv, filters: 3, kernel_size: 3}, {type: batch_norm}, {type: relu},"
        " {type: dropout, rate: 0.3}, {type: flatten}, {type: dense, activation: softmax}]",
        # a max-pool over equal pixels
        "[{type: upsample, factor: 2}, {type: max_pool, kernel_size: 3, stride: 1},"
        " {type: conv, filters: 2, kernel_size: 3}, {type: flatten},"
        " {type: dense, activation: softmax}]",
    ],
    ids=["kinks", "batch_norm and dropout", "ties"],
)
def test_right_gradients_pass_where_differences_are_delicate(layers: str) -> None:
    assert "all agree" in succeed("gradcheck", f"model.layers={layers}", "--entries", 6)
