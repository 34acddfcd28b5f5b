"""Networks whose arrays live on a device: a stand-in that lets no array of the host touch them.

The whole training is walked through, so that no operation leaves the array module: a NumPy array
that is made from nothing, or a result that is read without `get`, raises. Where there is a GPU, the
same is tried on it.
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cnnexp import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Network,
    Residual,
    Softmax,
    Tanh,
)
from cnnexp.data import Dataset, Samples
from cnnexp.data.scale import IDENTITY
from cnnexp.engine import IMPLEMENTATIONS, Context
from cnnexp.engine.gpu import CUPY, GPU
from cnnexp.engine.operations import Implementation
from cnnexp.errors import OptionError
from cnnexp.nn.gradient_check import check_gradients
from cnnexp.train import OPTIMIZERS, SCHEDULES, Trainer
from cnnexp.train.events import EpochDone
from tests import standin
from tests.engine.geometries import GEOMETRIES, POOL_GEOMETRIES, gradient, images, weights
from tests.nn import networks
from tests.nn.test_fifty_steps import CASES

ON_HOST = {
    "columns": Implementation("columns", CUPY.operations, base=CUPY.base),
    "im2col": IMPLEMENTATIONS["im2col"],
    "sg": IMPLEMENTATIONS["sg"],
}
CLOSE = {"rtol": 1e-9, "atol": 1e-10}


STAND_IN, GPU_THERE = "stand-in", not CUPY.missing()
DEVICES = [
    STAND_IN,
    pytest.param("gpu", marks=pytest.mark.skipif(not GPU_THERE, reason="there is no GPU")),
]
on_devices = pytest.mark.parametrize("device", DEVICES)


def on_device(base: str = "columns", device: str = STAND_IN) -> Implementation:
    if device == STAND_IN:
        return standin.implementation(ON_HOST[base])
    return replace(CUPY, operations=ON_HOST[base].operations)


def targets_of(loss: Any) -> Any:
    rng = np.random.default_rng(1)
    name = type(loss).__name__
    if name in ("MeanSquaredError", "MeanAbsoluteError", "Huber", "BinaryCrossEntropy"):
        return rng.random((10, 3))
    return rng.integers(0, 3, 10)


@on_devices
@pytest.mark.parametrize("wanted", ["base", pytest.param("naive", marks=pytest.mark.long)])
@pytest.mark.parametrize("base", ON_HOST)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.few(30)
def test_every_layer_and_loss_agrees_with_the_host(case, base, wanted, device):
    layers, loss = CASES[case]
    X, Y = np.random.default_rng(0).standard_normal((10, 6, 6, 2)), targets_of(loss)
    nets = [
        Network(layers(), impl=impl, loss=loss, dtype="float64", micro_batch=4)
        for impl in (on_device(base, device), ON_HOST[base] if wanted == "base" else wanted)
    ]
    for _ in range(2):
        figures = [net.train(X, Y, 0.1) for net in nets]
        np.testing.assert_allclose(figures[0][0], figures[1][0], **CLOSE)
    found, wanted = (net.weights() for net in nets)
    for name, array in wanted.items():
        assert type(found[name]) is np.ndarray
        np.testing.assert_allclose(found[name], array, err_msg=name, **CLOSE)
    np.testing.assert_allclose(nets[0].predict(X), nets[1].predict(X), **CLOSE)
    assert nets[0].evaluate(X, Y)[1] == pytest.approx(nets[1].evaluate(X, Y)[1])


def operation_on(
    impl: Implementation, name: str, A: Any, params: Any, dA: Any, window: Any
) -> list[np.ndarray]:
    """Return the result and all gradients of an operation, as arrays of the host."""
    xp = impl.xp
    operation, _ = impl.find(name)
    context = Context(xp=xp)
    inner = {key: xp.asarray(value) for key, value in params.items()}
    Z, cache = operation.forward(xp.asarray(A), inner, window, context)
    dA_prev, grads = operation.backward(xp.asarray(dA), inner, window, cache, context)
    return [array.get() for array in (Z, dA_prev, *(grads[key] for key in sorted(grads)))]


@on_devices
@pytest.mark.few(60)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("other", ["base", pytest.param("naive", marks=pytest.mark.long)])
@pytest.mark.parametrize("base", ON_HOST)
@pytest.mark.parametrize(
    ("operation", "ties"),
    [("conv", False), ("max_pool", False), ("max_pool", True), ("avg_pool", False)],
)
def test_operations_agree_in_all_geometries(base, operation, ties, other, dtype, device):
    """With the same operation on the host to the last bit, with the four loops but for rounding."""
    host, _ = (ON_HOST[base] if other == "base" else IMPLEMENTATIONS[other]).find(operation)
    close = CLOSE if dtype == np.float64 else {"rtol": 1e-4, "atol": 2e-5}
    if other == "base" and device == STAND_IN:
        close = {"rtol": 0, "atol": 0}
    for g in GEOMETRIES if operation == "conv" else POOL_GEOMETRIES:
        A, n = images(g, dtype, ties), g.n_f if operation == "conv" else g.n_c
        params = (
            dict(zip(("W", "b"), weights(g, dtype), strict=True)) if operation == "conv" else {}
        )
        dA = gradient((g.n_m, *g.window.out, n), dtype)
        Z, cache = host.forward(A, params, g.window, Context())
        dA_prev, grads = host.backward(dA, params, g.window, cache, Context())
        wanted = [Z, dA_prev, *(grads[key] for key in sorted(grads))]
        found = operation_on(on_device(base, device), operation, A, params, dA, g.window)
        for one, right in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, right, err_msg=str(g), **close)


def layers() -> list:
    return [
        Residual(
            [Conv2D(2, 3, padding="same"), Tanh(), BatchNorm()]
        ),  # or the bias has no gradient
        Conv2D(3, 3, activation="relu"),
        MaxPool2D(2),
        Flatten(),
        Dropout(0.3),
        Dense(4),
        Softmax(),
    ]


def trainer(impl: Any, optimizer: str = "sgd", **options: Any) -> Trainer:
    """A training with dropout, batch normalisation, a shortcut, and all that looks at it."""
    X, Y = networks.batch(22)
    train, rest = Samples(X[:16], Y[:16]), Samples(X[16:], Y[16:])
    dataset = Dataset("made", train, rest, rest, tuple("abcd"), "", IDENTITY)
    settings = {"weight_decay": 0.01, "clip_norm": 0.5, "l1": 1e-4, "max_norm": 2.0}
    return Trainer(
        Network(layers(), impl=impl, dtype="float64", micro_batch=4),
        dataset,
        OPTIMIZERS[optimizer](**settings),
        SCHEDULES["cosine"](),
        learning_rate=0.05,
        epochs=2,
        batch_size=7,
        ema=0.5,
        accumulate=2,
        diagnose=True,
        best_weights=True,
        **options,
    )


def trained(run: Trainer) -> tuple[dict[str, np.ndarray], list[EpochDone]]:
    events = [event for event in run.events() if isinstance(event, EpochDone)]
    return run.kept_weights(), events


@on_devices
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_gives_the_numbers_of_the_host(optimizer, device):
    (found, events), (wanted, expected) = (
        trained(trainer(impl, optimizer)) for impl in (on_device(device=device), ON_HOST["columns"])
    )
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, err_msg=name, **CLOSE)
    for one, other in zip(events, expected, strict=True):
        assert one.train == pytest.approx(other.train)
        assert one.test == pytest.approx(other.test)
        for here, there in zip(one.diagnostics, other.diagnostics, strict=True):
            assert here[1:] == pytest.approx(there[1:])


@on_devices
def test_a_snapshot_is_plain_arrays_and_goes_on_bit_for_bit(device):
    impl = on_device(device=device)
    whole, first = trainer(impl, "nadam"), trainer(impl, "nadam")
    wanted, _ = trained(whole)
    events = first.events()
    for _ in range(4):  # into the second epoch, between two mini-batches of a step
        next(events)
    saved = pickle.dumps(first.snapshot())
    assert b"standin" not in saved and b"cupy" not in saved
    second = trainer(impl, "nadam")
    second.restore(pickle.loads(saved))
    found, _ = trained(second)
    assert all((found[name] == wanted[name]).all() for name in wanted)


def test_a_step_reads_back_the_outputs_and_whether_it_is_finite():
    run = trainer(on_device())
    X, Y = networks.batch(12)
    batch = run.network.batch(X, Y)
    optimizer = OPTIMIZERS["sgd"]()
    state = optimizer.initial_state(run.network.named_parameters, run.network.parameters)
    run.network.micro_batch = 12
    standin.reads.clear()
    _, gradient = run.network.batch_gradients(batch)
    assert standin.reads == ["get"]
    named = run.network.named_parameters
    assert optimizer.step(run.network.parameters, gradient, state, 0.1, named)
    assert standin.reads == ["get", "float"]


@on_devices
def test_whoever_looks_into_a_network_gets_arrays_of_the_host(device):
    X, Y = networks.batch(5)
    here, there = (
        Network(layers(), impl=impl, dtype="float64").build(X.shape[1:])
        for impl in ("im2col", on_device(device=device))
    )
    for (name, A), (_, wanted) in zip(there.activations(X), here.activations(X), strict=True):
        np.testing.assert_allclose(A, wanted, err_msg=name, **CLOSE)
    np.testing.assert_allclose(there.saliency(X, Y), here.saliency(X, Y), **CLOSE)
    assert there.summary().splitlines()[3:9] == here.summary().splitlines()[3:9]
    assert all(check.difference < 1e-6 for check in check_gradients(there, there.batch(X, Y), 3))
    profile = there.profile()
    there.train(X, Y, 0.1)
    assert sum(row.cache_bytes for row in profile.rows()) > X.nbytes


def test_weights_go_from_the_device_to_any_implementation(tmp_path, monkeypatch):
    monkeypatch.setitem(IMPLEMENTATIONS._things, "standin", on_device())
    X, Y = networks.batch(5)
    net = Network(layers(), impl="standin", dtype="float64")
    net.train(X, Y, 0.1)
    net.save(tmp_path / "net.npz")
    copies = [Network.load(tmp_path / "net.npz", impl="fast"), pickle.loads(pickle.dumps(net))]
    copies.append(Network.load(tmp_path / "net.npz"))
    for copy in copies:
        np.testing.assert_allclose(copy.predict(X), net.predict(X), **CLOSE)
    assert copies[1].limits == copies[2].limits == net.limits


def test_a_device_has_one_worker():
    net = Network(layers(), impl=on_device(), threads="auto").build((8, 7, 2))
    assert net.threads == 1
    with pytest.raises(OptionError, match=r"threads must be auto or 1 under impl=standin.* Got 2"):
        Network(layers(), impl=on_device(), threads=2)


def test_a_micro_batch_is_a_mini_batch_unless_it_takes_gigabytes():
    def net(filters: int) -> Network:
        end = [GlobalAvgPool2D(), Dense(4), Softmax()]
        return Network([Conv2D(filters, 3), *end], impl=on_device())

    small, large = net(2).build((8, 8, 1)), net(64).build((224, 224, 3))
    assert small.micro_batch == 4096
    assert 16 <= large.micro_batch <= 64


def test_without_cupy_the_error_names_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"needs cupy, .*pip install 'cnnexp\[cupy\]'.*impl=fast"):
        Network(layers(), impl="cupy")


class _NoCuda:
    def __init__(self, count: Any) -> None:
        self.cuda = self.runtime = self
        self._count = count

    def getDeviceCount(self) -> int:  # noqa: N802 - as CuPy has it
        if isinstance(self._count, Exception):
            raise self._count
        return self._count


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "a GPU, and found none. Or"), (OSError("no driver.\nMore."), "one: no driver. Or")],
)
def test_without_a_gpu_the_error_says_what_was_found(monkeypatch, count, said):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(GPU, "xp", property(lambda self: _NoCuda(count)))
    assert said in CUPY.missing()


def test_a_gpu_says_its_name_and_versions(monkeypatch):
    pytest.importorskip("cupy", reason="impl=cupy needs CuPy")
    if CUPY.missing():
        pytest.skip("there is no GPU")
    assert {"device", "cupy", "cuda", "driver"} == CUPY.device.describe().keys()
