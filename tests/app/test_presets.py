"""The presets of ``model=``: their parameters, worked by hand, and that they train."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import cnnexp as package
from cnnexp import LOSSES, Network
from cnnexp.app.locations import config_root
from cnnexp.app.settings.check import check
from cnnexp.nn.layer import Layer, make_layer, walk
from tests.app.test_configs import LARGER, compose, names
from tests.cases import in_one_test
from tests.commandline import cnnexp, succeed

GREY, COLOUR = (28, 28, 1), (32, 32, 3)
FOLDER = config_root() / "conf" / "model"

# Layer by layer, (weights of an output + 1) times the number of outputs.
PARAMETERS = {
    "linear": (GREY, 785 * 10),
    "flat": (GREY, 785 * 100 + 101 * 10),
    "cnn": (GREY, 10 * 32 + (13 * 13 * 32 + 1) * 100 + 101 * 10),
    "deep": (GREY, 10 * 32 + (9 * 32 + 1) * 64 + (12 * 12 * 64 + 1) * 128 + 129 * 10),
    "original_cnn": (GREY, 5 * 32 + (9 * 9 * 32 + 1) * 100 + 101 * 10),
    "lenet5": (GREY, 61_706),  # 156 + 2,416 + 48,120 + 10,164 + 850
    "lenet5_1998": (GREY, 61_706),  # the third convolution sees 5x5 pixels: it is dense
    "vgg": (GREY, 320 + 9_248 + 18_496 + 36_928 + (7 * 7 * 64 + 1) * 128 + 129 * 10),
    "vgg_bn": (
        GREY,
        (320 + 64)
        + (9_248 + 64)
        + (18_496 + 128)
        + (36_928 + 128)
        + (4 * 4 * 64 + 1) * 128
        + 256
        + 129 * 10,
    ),
    "lenet5_bn": (
        GREY,
        (26 * 16 + 32) + (401 * 32 + 64) + (4 * 4 * 32 + 1) * 128 + 256 + 129 * 10,
    ),
    "resnet": (  # blocks of 16, 32 and 64 filters; two scales or shifts for each channel
        GREY,
        (160 + 32)
        + 2 * (145 * 16 + 32)
        + (145 * 32 + 64)
        + (289 * 32 + 64)
        + (17 * 32 + 64)
        + (289 * 64 + 128)
        + (577 * 64 + 128)
        + (33 * 64 + 128)
        + 65 * 10,
    ),
    "mobilenet": (
        GREY,
        (160 + 32) + (10 * 16 + 32) + (17 * 32 + 64) + (10 * 32 + 64) + (33 * 64 + 128) + 650,
    ),
    "all_conv": (GREY, 320 + 9_248 + 18_496 + 36_928 + 65 * 64 + 65 * 10),
    "inception": (
        GREY,
        160 + 17 * 16 + (17 * 8 + 73 * 16) + (17 * 4 + 101 * 8) + 17 * 8 + 49 * 10,
    ),
    "autoencoder": (GREY, 10 * 16 + 145 * 4 + (4 * 9 * 16 + 16) + (16 * 9 + 1)),
    "regression": ((10,), 11 * 64 + 65 * 64 + 65),
    "nielsen": (GREY, 785 * 30 + 31 * 10),
    "nielsen_conv": (GREY, 26 * 20 + 501 * 40 + 641 * 1000 + 1001 * 1000 + 1001 * 10),
    "keras_mnist": (GREY, 34_826),  # as its page says
    "pytorch_mnist": (GREY, 1_199_882),  # 320 + 18,496 + 1,179,776 + 1,290
    "cs231n": (COLOUR, (7 * 7 * 3 + 1) * 32 + (16 * 16 * 32 + 1) * 100 + 101 * 10),
    "tensorflow_cifar": (COLOUR, 122_570),  # as its page says
    "pytorch_cifar": (COLOUR, 76 * 6 + 151 * 16 + 401 * 120 + 121 * 84 + 85 * 10),
}
COUNTED = [
    pytest.param(name, marks=pytest.mark.long if name in ("deep", "nielsen_conv") else ())
    for name in PARAMETERS
]


def network(model: str, shape: tuple[int, ...], outputs: int = 10, **options: Any) -> Network:
    """Return a preset's network for samples of a shape."""
    config = compose(f"model={model}", *(["data=mnist"] if model in LARGER else []))
    loss = LOSSES[config.loss.name]()
    layers = [dict(entry) for entry in package_config(config)["layers"]]
    for entry in layers:
        if entry["type"] == "dense":
            entry.setdefault("units", outputs)
        if entry["type"] == "transposed_conv":
            entry.setdefault("filters", shape[-1])
    made: list[Layer] = [make_layer(entry) for entry in layers]
    return Network(made, loss=loss, **options).build(shape)


def package_config(config: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    found = OmegaConf.to_container(config.model)
    assert isinstance(found, dict)
    return found  # type: ignore[return-value]


def test_every_preset_is_here() -> None:
    assert sorted(PARAMETERS) == names("model")


@pytest.mark.parametrize("model", COUNTED)
@pytest.mark.few(3)
def test_parameters_are_those_worked_by_hand_and_a_mini_batch_is_learnt(model: str) -> None:
    shape, expected = PARAMETERS[model]
    outputs = 1 if model == "regression" else 10
    net = network(model, shape, outputs)
    assert net.parameter_count == expected
    rng = np.random.default_rng(0)
    X = rng.random((8, *shape)).astype(np.float32)
    Y: Any = np.arange(8) % 10
    if model == "autoencoder":
        Y = X
    if model == "regression":
        Y = X[:, :1] - X[:, 1:2]
    before = net.evaluate_figures(X, Y)[1]["loss"]
    rate = 0.02 if any(layer.type == "dropout" for layer in walk(net.layers)) else 0.1
    for _ in range(12):
        net.train(X, Y, learning_rate=rate)
    assert net.evaluate_figures(X, Y)[1]["loss"] < before


@pytest.mark.parametrize("shape", [(8, 8, 1), GREY, COLOUR], ids=["8x8", "28x28", "32x32x3"])
@pytest.mark.parametrize("model", [m for m in PARAMETERS if m not in ("regression", "linear")])
@pytest.mark.few(2)
def test_presets_suit_small_and_larger_images(model: str, shape: tuple[int, ...]) -> None:
    if shape == (8, 8, 1) and model in LARGER:
        ended = cnnexp(f"model={model}", "--cfg", "job"), cnnexp(f"model={model}")
        assert ended[0].code == 0
        assert ended[1].code == 2
        assert "The digits have 8x8 pixels; data=mnist has images of 28x28." in ended[1].err
        return
    net = network(model, shape)
    given = shape if model == "autoencoder" else (10,)
    assert net.predict(np.zeros((2, *shape), np.float32)).shape == (2, *given)


@in_one_test("model", sorted(set(PARAMETERS) - {"cnn", "deep", "flat", "linear"}))
def test_a_preset_that_comes_from_somewhere_says_so(model: str) -> None:
    comment = "".join(re.findall(r"^#.*\n", (FOLDER / f"{model}.yaml").read_text(), re.MULTILINE))
    assert re.search(r"\b(19|20)\d\d\b|https?://|cnn-numpy", comment)
    assert comment.splitlines()[0].endswith((".", ")")) or "." in comment


@pytest.mark.long
def test_an_autoencoder_learns_its_input() -> None:
    """Images of three colours, from a file whose shape is known only when it is read."""
    rng = np.random.default_rng(0)
    smooth = rng.random((40, 3, 3, 3)).repeat(4, axis=1).repeat(4, axis=2)
    np.savez("colours.npz", X=smooth, Y=np.zeros(40, int) + np.arange(40) % 2)
    words = ("model=autoencoder", "data=npz", "data.file=colours.npz", "epochs=3")
    assert "error" not in succeed(*words, "hydra.run.dir=run", "optimizer=adam")
    run = package.load_run("run")
    assert run.config["model"]["layers"][-1]["filters"] == 3
    assert run.record["data"]["classes"] == []
    losses = run.epochs["test_loss"].tolist()
    assert losses[-1] < losses[0]
    test = run.dataset.test
    A = run.network.predict(test.X)
    assert A.shape == test.X.shape
    assert ((A - test.X) ** 2).mean() == pytest.approx(losses[-1], rel=1e-5)
    assert f"loss {losses[-1]:.4f}" in succeed("evaluate", "run")
    assert "all agree" in succeed("gradcheck", *words, "--entries", 2, "--samples", 1)
    assert "pictures in" in succeed("inspect", "run")
    ended = cnnexp("predict", "run", "some.png")
    assert (ended.code, "returns its input, which is no class" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("loss=cross_entropy", "it is for classes, and the targets of model=autoencoder are"),
        ("metrics=[error]", "metrics: error is for classes"),
        ("loss=binary_cross_entropy", "its error is for classes, and the targets of"),
        ("augment.transforms=[{type: shift}]", "it moves pixels, and the targets of"),
        ("model.target=labl", "model.target must be one of label, input. Got 'labl'."),
        (
            "model.layers.3.filters=2",
            "the network is to return its input (model.target=input), which is 8x8x1",
        ),
    ],
)
@pytest.mark.few(2)
def test_what_an_autoencoder_cannot_do_is_said(words: str, message: str) -> None:
    ended = cnnexp("model=autoencoder", words)
    assert ended.code == 2
    assert message in ended.err


def test_a_models_own_loss_may_be_changed() -> None:
    assert check(compose("model=regression"))["loss"]["name"] == "mean_squared_error"
    assert check(compose("model=regression", "loss=huber"))["loss"]["name"] == "huber"
    assert check(compose("model=cnn"))["loss"]["name"] == "cross_entropy"


def test_runs_from_before_targets_have_the_same_fingerprint() -> None:
    from cnnexp.runs.fingerprint import fingerprint

    now = check(compose("schedule=step", "sweep.dir=S"))
    assert (now["model"]["target"], now["schedule"]["warmup_epochs"]) == ("label", 0.0)
    then = now | {
        "model": {k: v for k, v in now["model"].items() if k != "target"},
        "schedule": {k: v for k, v in now["schedule"].items() if k != "warmup_epochs"},
    }
    assert fingerprint(then, "sha256:0") == fingerprint(now, "sha256:0")
    other = now | {"model": now["model"] | {"target": "input"}}
    assert fingerprint(other, "sha256:0") != fingerprint(now, "sha256:0")
