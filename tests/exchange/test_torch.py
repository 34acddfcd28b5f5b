"""PyTorch modules with the weights of a network, beside the network."""

from __future__ import annotations

import numpy as np
import pytest

from cnnexp import LAYERS, Conv2D, Dense, Flatten, Network, ReLU, Softmax
from cnnexp.errors import OptionError
from cnnexp.exchange import torch_layers
from cnnexp.exchange.torch_code import torch_module
from cnnexp.exchange.torch_weights import expected_shapes, to_state
from tests.app.test_presets import PARAMETERS, network
from tests.exchange.cases import LAYER_CASES, network_of, randomised, samples, with_an_odd_layer

torch = pytest.importorskip("torch", reason="needs the extra torch")


def made(net: Network):
    """Return the module that the source makes, with the network's weights, for inference."""
    source, entries = torch_module(net)
    names: dict = {}
    exec(compile(source, "model.py", "exec"), names)
    module = names["Model"]().to(torch.float64 if net.dtype == np.float64 else torch.float32)
    state = to_state(net.weights(), entries)
    assert list(module.state_dict()) == list(state)
    module.load_state_dict({key: torch.tensor(array) for key, array in state.items()})
    return module.eval()


def answers(module, X: np.ndarray) -> np.ndarray:
    """Return what a module gives for samples whose channels are last, in that form."""
    first = np.moveaxis(X, -1, 1) if X.ndim > 2 else X
    with torch.no_grad():
        found = module(torch.tensor(np.ascontiguousarray(first))).numpy()
    return np.moveaxis(found, 1, -1) if found.ndim > 2 else found


def test_every_layer_has_a_counterpart() -> None:
    own = {name for name in LAYERS if LAYERS[name].__module__.startswith("cnnexp.")}
    assert {*torch_layers.TORCH, "flatten"} == own


@pytest.mark.parametrize("name", LAYER_CASES)
def test_every_layer_gives_what_the_network_gives(name):
    net, X = network_of(name, dtype="float64"), samples((9, 7, 4)).astype(np.float64)
    found = answers(made(net), X)
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", PARAMETERS)
@pytest.mark.few(5)
def test_every_preset_gives_what_the_network_gives(model):
    shape, _ = PARAMETERS[model]
    net = randomised(network(model, shape, 1 if model == "regression" else 10))
    X = samples(shape, 4)
    np.testing.assert_allclose(answers(made(net), X), net.predict(X), rtol=1e-4, atol=1e-5)


def test_batch_normalisation_trains_as_ours():
    """Its running statistics are moved by the same rule."""
    net, X = network_of("batch_norm of a row", dtype="float64"), samples((9, 7, 4), 12)
    module = made(net).train()
    module(torch.tensor(np.moveaxis(X.astype(np.float64), -1, 1)))
    net.gradients(X, np.zeros((12, 8)))
    net.take_state()
    entries = torch_module(net).weights
    state, theirs = to_state(net.weights(), entries), module.state_dict()
    for key in ("batch_norm1.running_mean", "batch_norm1.running_var"):
        np.testing.assert_allclose(theirs[key].numpy(), state[key], rtol=1e-12)


def test_logits_are_what_the_softmax_takes():
    net = randomised(Network([Flatten(), Dense(3), Softmax()]).build((2, 2, 2)))
    module, X = made(net), samples((2, 2, 2))
    logits = module.logits(torch.tensor(np.moveaxis(X, -1, 1).copy()))
    found = torch.softmax(logits, 1).detach().numpy()
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-5)


@pytest.mark.parametrize("name", ["class", "forward", "train", "1st", "a b", "logits", "_hidden"])
def test_names_of_layers_become_names_of_attributes(name):
    layers = [Conv2D(2, 2), ReLU(), Flatten(), Dense(2)]
    layers[0].given_name = name
    net = randomised(Network(layers, loss="mean_squared_error").build((3, 3, 1)))
    X = samples((3, 3, 1))
    np.testing.assert_allclose(answers(made(net), X), net.predict(X), rtol=1e-5)


@pytest.mark.parametrize("name", LAYER_CASES)
@pytest.mark.few(9)
def test_weights_come_back_as_they_were(name):
    net = network_of(name)
    entries = torch_module(net).weights
    state = to_state(net.weights(), entries)
    shapes = expected_shapes(net.weights(), entries)
    assert {key: array.shape for key, array in state.items() if key in shapes} == shapes
    for entry in entries:
        if entry.path:
            back = entry.from_torch(state[entry.key])
            np.testing.assert_array_equal(back, net.weights()[entry.path])


def test_a_layer_without_a_counterpart_is_named(monkeypatch):
    net = with_an_odd_layer(monkeypatch)
    with pytest.raises(OptionError, match=r"no translation of odd1 \(odd\)"):
        torch_module(net)
