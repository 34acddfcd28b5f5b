"""Reading a state_dict: what fits, and what is refused."""

from __future__ import annotations

import io
import pickle
import sys
import warnings
import zipfile

import numpy as np
import pytest

from cnnexp.errors import OptionError, ShapeError
from cnnexp.exchange import torch_reading
from cnnexp.exchange.torch_code import torch_module
from cnnexp.exchange.torch_reading import read_state, weights_from
from cnnexp.exchange.torch_weights import to_state
from tests.exchange.cases import network_of

torch = pytest.importorskip("torch", reason="needs the extra torch")


def saved(thing) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def tensors(net, change=str) -> dict:
    """Return the state_dict of a network's module; `change` renames its entries."""
    state = to_state(net.weights(), torch_module(net).weights)
    return {change(key): torch.tensor(array) for key, array in state.items()}


def read_into(net, content: bytes) -> dict:
    return weights_from(read_state(content), net.weights(), torch_module(net).weights)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model_state_dict": state, "optimizer": {"lr": 0.1}},
        lambda state: {f"module.{key}": tensor for key, tensor in state.items()},
        lambda state: {f"net.{k}.x": tensor for k, tensor in enumerate(state.values())},
        lambda state: {key: tensor.double() for key, tensor in state.items()},
        lambda state: {key: torch.nn.Parameter(tensor.float()) for key, tensor in state.items()},
        lambda state: {k: t for k, t in state.items() if not k.endswith("num_batches_tracked")},
    ],
    ids=["plain", "checkpoint", "other", "parallel", "by order", "double", "grad", "no count"],
)
def test_weights_come_back_to_the_last_bit(wrap):
    net = network_of("residual")
    state = tensors(net)
    if wrap(state).keys() and next(iter(wrap(state))).startswith("net."):
        state = {k: t for k, t in state.items() if not k.endswith("num_batches_tracked")}
    found = read_into(net, saved(wrap(state)))
    assert list(found) == list(net.weights())
    for path, array in net.weights().items():
        assert found[path].dtype == array.dtype
        np.testing.assert_array_equal(found[path], array)


def test_half_precision_is_read():
    net = network_of("flatten, dense")
    state = {key: tensor.bfloat16() for key, tensor in tensors(net).items()}
    found = read_into(net, saved(state))
    np.testing.assert_allclose(found["dense1.b"], net.weights()["dense1.b"], rtol=0.01)


def test_a_module_of_ones_own_is_read_by_the_order_of_its_layers():
    """The first dense layer's features are sorted from channel by channel to ours."""
    net = network_of("flatten, relu, dropout, dense")
    own = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.ReLU(),
        torch.nn.Linear(9 * 7 * 4, 6),
        torch.nn.Linear(6, 3),
    )
    net.load_weights(read_into(net, saved(own.state_dict())))
    X = np.random.default_rng(0).standard_normal((5, 9, 7, 4)).astype(np.float32)
    expected = own(torch.tensor(X.transpose(0, 3, 1, 2).copy())).detach().numpy()
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("dense1.bias"), r"dense1.bias \(6,\) is missing"),
        (lambda s: s.update(extra=torch.zeros(2)), r"extra \(2,\) is in no layer"),
        (lambda s: s.update({"dense1.bias": torch.zeros(5)}), r"dense1.bias must be \(6,\), and"),
        (lambda s: s["dense1.bias"].fill_(float("nan")), "dense1.bias holds numbers that are not"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    net = network_of("flatten, dense")
    state = tensors(net)
    change(state)
    with pytest.raises(ShapeError, match=message):
        read_into(net, saved(state))


class Harmful:
    def __reduce__(self):
        return (print, ("ran",))


def repacked(content: bytes, compression: int) -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(buffer, "w", compression) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return buffer.getvalue()


def test_nothing_in_a_file_is_run(capsys):
    content = saved({"a": Harmful()})
    with warnings.catch_warnings(), pytest.raises(pickle.UnpicklingError):
        read_state(content)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is not a file of torch.save"),
        (pickle.dumps({"a": 1}), "it is not a file of torch.save"),
        (saved([1, 2]), "it holds no state_dict"),
        (saved({}), "it holds no state_dict"),
        (saved({"a": 1.0}), "it holds no state_dict"),
        (saved({3: torch.zeros(1)}), "it holds no state_dict"),
        (saved({"a": torch.zeros(3).to_sparse()}), "a: it must be a dense tensor"),
        (saved({"a": torch.zeros(3, dtype=torch.complex64)}), "a: it must hold real numbers"),
        (saved({"a": torch.zeros(1).expand(1 << 32)}), "its tensors have more than"),
        (repacked(saved({"a": torch.zeros(9)}), zipfile.ZIP_DEFLATED), "its parts are compressed"),
    ],
)
def test_what_is_no_state_dict_is_refused(content, message):
    with pytest.raises(OptionError, match=message):
        read_state(content)


def test_without_the_package_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(OptionError, match=r"pip install 'cnnexp\[torch\]'"):
        torch_reading.need_torch()
