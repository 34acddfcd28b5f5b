"""ONNX graphs, run by onnxruntime, beside the network they are of."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from cnnexp import LAYERS, Dense, Network
from cnnexp.data.scale import Scale
from cnnexp.errors import OptionError
from cnnexp.exchange import onnx_layers
from cnnexp.exchange.onnx_graph import IR_VERSION, ONNX, OPSET, onnx_model
from cnnexp.nn.layer import walk
from tests.app.test_presets import PARAMETERS, network
from tests.exchange.cases import LAYER_CASES, network_of, randomised, samples, with_an_odd_layer

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is needed to run graphs")


def answers(content: bytes, X: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["output"], {"input": X})[0]


def test_every_layer_has_a_case() -> None:
    types = {layer.type for name in LAYER_CASES for layer in walk(network_of(name).layers)}
    own = {name for name in LAYERS if LAYERS[name].__module__.startswith("cnnexp.")}
    assert types == own == {*onnx_layers.ONNX}


@pytest.mark.parametrize("name", LAYER_CASES)
def test_every_layer_gives_what_the_network_gives(name):
    net, X = network_of(name), samples((9, 7, 4))
    found = answers(onnx_model(net), X)
    assert found.shape == (5, *net.output_shape)
    np.testing.assert_allclose(found, net.predict(X), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("model", PARAMETERS)
@pytest.mark.few(6)
def test_every_preset_gives_what_the_network_gives(model):
    shape, _ = PARAMETERS[model]
    net = randomised(network(model, shape, 1 if model == "regression" else 10))
    X = samples(shape, 4)
    content = onnx_model(net)
    np.testing.assert_allclose(answers(content, X), net.predict(X), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answers(content, X[:1]), net.predict(X[:1]), rtol=1e-4, atol=1e-5)


def test_channels_may_come_first():
    net, X = network_of("conv same"), samples((9, 7, 4))
    found = answers(onnx_model(net, channels_first=True), X.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), net.predict(X), rtol=1e-5, atol=1e-5)


def test_the_scale_of_images_is_in_the_graph():
    net, pixels = network_of("flatten, dense"), samples((9, 7, 4)) * 255
    scale = Scale(1 / 255, 0.13, 255.0)
    found = answers(onnx_model(net, scale=scale), pixels)
    np.testing.assert_allclose(found, net.predict(scale(pixels, "f4")), rtol=1e-5, atol=1e-5)


def test_the_scales_of_columns_and_of_targets_are_in_the_graph():
    net = randomised(Network([Dense(2)], loss="mean_squared_error").build((3,)))
    table = np.array([[1e6, 2.0, 3.0], [1e6 + 1, 5.0, -7.0]], np.float32)
    scale = Scale(np.array([1.0, 0.1, 3.0]), np.array([1e6, 0.0, 1.0]))
    targets = Scale(np.array([0.1, 2.0]), np.array([4.0, 5.0]))
    found = answers(onnx_model(net, scale=scale, target_scale=targets), table)
    expected = targets.undo(net.predict(scale(table, "f4")))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_network_in_float64_becomes_float32():
    net, X = network_of("conv", dtype="float64"), samples((9, 7, 4))
    found = answers(onnx_model(net), X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-5, atol=1e-5)


def test_what_the_file_says_of_itself():
    model = onnx.load_from_string(onnx_model(network_of("conv"), about={"classes": "[]"}))
    assert (model.opset_import[0].version, model.ir_version) == (OPSET, IR_VERSION)
    assert (model.producer_name, model.metadata_props[0].value) == ("cnnexp", "[]")
    sizes = [(d.dim_param or d.dim_value) for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["n", 9, 7, 4]
    assert {"conv1.W", "conv1.b"} == {constant.name for constant in model.graph.initializer}


def test_a_layer_without_a_counterpart_is_named(monkeypatch):
    net = with_an_odd_layer(monkeypatch)
    with pytest.raises(OptionError, match=r"no translation of odd1 \(odd\)\. The weights alone"):
        onnx_model(net)
    monkeypatch.setattr(ONNX, "_things", dict(ONNX._things))
    ONNX.register("odd")(lambda graph, layer, x: graph.add("Relu", x))
    X = samples((3, 3, 1))
    np.testing.assert_allclose(answers(onnx_model(net), X), net.predict(X), atol=1e-5)


def test_without_the_package_it_is_told(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    net = network_of("conv")
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(OptionError, match=r"pip install 'cnnexp\[onnx\]'"):
        onnx_model(net)
