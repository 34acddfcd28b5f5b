"""Networks are copied, pickled and saved whole, and come back as they were."""

from __future__ import annotations

import copy
import json
import os
import pickle
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest

from cnnexp import (
    LAYERS,
    AvgPool2D,
    BatchNorm,
    Concat,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    MeanSquaredError,
    Network,
    Residual,
    Softmax,
)
from cnnexp.engine import Limits
from cnnexp.errors import DataError, OptionError, ShapeError, UnknownName
from cnnexp.nn.layer import make_layer
from cnnexp.nn.saving import OPTIONS, layer_options, unbuilt
from tests.nn.networks import IMPLEMENTATIONS


def layers():
    """Layers of many kinds, with names, activations, state and branches."""
    inside = [Conv2D(4, 3, padding="same", activation="relu"), BatchNorm()]
    branches = [Conv2D(2, 1, activation="relu"), AvgPool2D(3, 1, padding="same")]
    first = Conv2D(4, (3, 2), stride=(1, 2), padding=((1, 0), 1), activation="leaky_relu")
    first.given_name = "first"
    body = [Residual(inside), Concat(branches), MaxPool2D(2), Flatten(), Dropout(0.3)]
    return [first, *body, Dense(7, activation="tanh"), Dense(3, activation="softmax")]


def samples(count=11, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, 8, 9, 1)), rng.integers(0, 3, count)


def trained(**options):
    net = Network(layers(), seed=3, micro_batch=4, **options)
    X, Y = samples()
    for _ in range(3):
        net.train(X, Y, 0.1)
    return net


def same(one, other):
    """Say whether two networks have the same weights, and learn the same next."""
    assert one.weights().keys() == other.weights().keys()
    for path, array in one.weights().items():
        np.testing.assert_array_equal(array, other.weights()[path])
    X, Y = samples(seed=1)
    assert one.train(X, Y, 0.1) == other.train(X, Y, 0.1)  # dropout draws by the step's number
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


def by_file(net, path):
    net.save(path / "net.npz")
    return Network.load(path / "net.npz")


WAYS = {
    "copy": lambda net, path: copy.copy(net),
    "deepcopy": lambda net, path: copy.deepcopy(net),
    "pickle": lambda net, path: pickle.loads(pickle.dumps(net)),
    "file": by_file,
}


@pytest.mark.parametrize("impl", [i for i in IMPLEMENTATIONS if i != "naive"])
@pytest.mark.parametrize("way", WAYS)
def test_it_comes_back_with_the_same_bits(way, impl, tmp_path):
    net = trained(impl=impl, metrics=["top_3_error"], loss=CrossEntropy(label_smoothing=0.1))
    other = WAYS[way](net, tmp_path)
    assert [layer.path for layer in other.layers] == [layer.path for layer in net.layers]
    assert (other.figures, other.loss) == (net.figures, net.loss)
    assert (other.implementation, other.dtype) == (net.implementation, net.dtype)
    same(net, other)


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_shares_nothing(way, tmp_path):
    net = trained()
    before = net.weights()
    other = WAYS[way](net, tmp_path)
    other.parameters[...] = 0
    for layer in other.layers:
        for array in layer.state.values():
            array[...] = 0
    for path, array in net.weights().items():
        np.testing.assert_array_equal(array, before[path])


@pytest.mark.parametrize("way", ["copy", "deepcopy", "pickle"])
def test_a_network_that_is_not_built_stays_so(way, tmp_path):
    other = WAYS[way](Network(layers(), seed=5), tmp_path)
    assert not other.built
    same(other.build((8, 9, 1)), Network(layers(), seed=5).build((8, 9, 1)))


def test_workers_are_made_anew(tmp_path):
    net = trained(threads=2)
    other = pickle.loads(pickle.dumps(net))
    assert other.threads == 2
    same(net, other)
    net.close()
    other.close()


def test_limits_of_this_machine_are_not_kept_and_others_are():
    assert pickle.loads(pickle.dumps(trained())).limits == Limits()
    tiny = Limits(cache=4096)
    assert pickle.loads(pickle.dumps(trained(limits=tiny))).limits == tiny


def test_a_file_is_numpys_own_and_holds_no_pickle(tmp_path):
    net = trained()
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["first.W"], net.weights()["first.W"])
    with zipfile.ZipFile(tmp_path / "net.npz") as archive:
        options = json.loads(archive.read(OPTIONS))
    assert options["layers"][0]["name"] == "first"
    assert options["arguments"]["loss"]["name"] == "cross_entropy"


def test_options_may_be_others_when_it_is_loaded(tmp_path):
    net = trained()
    net.save(tmp_path / "net.npz")
    other = Network.load(tmp_path / "net.npz", impl="im2col", dtype="float64", threads=2)
    X, _ = samples()
    np.testing.assert_allclose(other.predict(X), net.predict(X), rtol=2e-5, atol=1e-6)
    other.close()


def test_real_values_and_features(tmp_path):
    net = Network([Dense(5, activation="relu"), Dense(2)], loss=MeanSquaredError())
    net.train(np.ones((4, 3)), np.ones((4, 2)), 0.1)
    other = by_file(net, tmp_path)
    np.testing.assert_array_equal(other.predict(np.ones((2, 3))), net.predict(np.ones((2, 3))))


@pytest.mark.parametrize("layer", layers(), ids=lambda layer: layer.type)
def test_options_of_a_layer_make_it_again(layer):
    options = json.loads(json.dumps(layer_options(unbuilt(layer))))
    assert layer_options(make_layer(options)) == options


# What cannot be saved, and files that cannot be read ---------------------------------------------


@dataclass
class Unnamed(Layer):
    def forward(self, A_prev, context):
        return A_prev, None

    def backward(self, cache, dA, context):
        return dA, {}


def test_a_layer_without_a_name_is_pickled_but_not_saved(tmp_path):
    net = Network([Unnamed(), Flatten(), Dense(2), Softmax()]).build((3, 3, 1))
    same_layer = pickle.loads(pickle.dumps(net)).layers[0]
    assert isinstance(same_layer, Unnamed)
    with pytest.raises(OptionError, match=r"the layer .* has no name, so it cannot be saved"):
        net.save(tmp_path / "net.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_parameters_cannot_be_saved(tmp_path):
    with pytest.raises(ShapeError, match="no parameters yet"):
        Network(layers()).save(tmp_path / "net.npz")


def changed(path, change):
    """Write a saved network with other options."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    options = json.loads(files.pop(OPTIONS))
    change(options)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (files | {OPTIONS: json.dumps(options)}).items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda o: o.update(format=9), DataError, "expected format 1, found 9"),
        (lambda o: o.pop("arguments"), DataError, "net.npz"),
        (lambda o: o["layers"][0].update(type="conf"), UnknownName, "Did you mean 'conv'"),
        (lambda o: o["layers"][0].update(filters=-1), OptionError, "filters must be"),
        (lambda o: o["layers"].pop(), OptionError, "the last layer must be softmax"),
        (lambda o: o.update(input_shape=[9, 9, 1]), ShapeError, "W"),
    ],
)
def test_options_that_no_network_has(change, error, message, tmp_path):
    trained().save(tmp_path / "net.npz")
    changed(tmp_path / "net.npz", change)
    with pytest.raises(error, match=message):
        Network.load(tmp_path / "net.npz").evaluate(*samples())


def test_files_that_are_no_network(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.zeros(3))
    with pytest.raises(DataError, match=r"weights\.npz: no network: there is no network\.json"):
        Network.load(tmp_path / "weights.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match=r"text\.npz"):
        Network.load(tmp_path / "text.npz")
    with pytest.raises(FileNotFoundError if os.name == "nt" else (DataError, FileNotFoundError)):
        Network.load(tmp_path / "absent.npz")


def test_registered_layers_are_saved_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(LAYERS, "_things", dict(LAYERS._things))
    LAYERS.register("same_again")(Unnamed)
    net = Network([Unnamed(), Flatten(), Dense(2), Softmax()]).build((3, 3, 1))
    assert by_file(net, tmp_path).layers[0].type == "same_again"
    Unnamed.type = ""


def test_a_large_file_is_read_and_one_that_unpacks_to_much_is_not(tmp_path, monkeypatch):
    """What `save` writes has its arrays as they are, so its size bounds them."""
    monkeypatch.setattr("cnnexp.nn.saving.MOST_UNPACKED", 1000)
    net = Network([Flatten(), Dense(50), Softmax()]).build((8, 8, 1))
    net.save(tmp_path / "net.npz")
    assert (tmp_path / "net.npz").stat().st_size > 1000
    assert Network.load(tmp_path / "net.npz").parameter_count == net.parameter_count
    with zipfile.ZipFile(tmp_path / "net.npz") as file:
        contents = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(tmp_path / "packed.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)
        file.writestr("zeros.npy", bytes(10**6))
    with pytest.raises(DataError, match=r"its arrays are packed, and would take 1,0.* bytes"):
        Network.load(tmp_path / "packed.npz")
