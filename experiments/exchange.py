"""How far exported networks are from ours: ``python -m experiments.exchange``.

Every preset of ``conf/model`` gets random weights, scales and running statistics, and the same
samples: ours, its ONNX graph under onnxruntime, and its PyTorch module, all in float32. The table
says the largest difference of any output, as a fraction of the largest output, and what an import
of the exported weights changes. A softmax at the end is left out: it would hide differences. It
writes ``experiments/results/exchange.csv``, and needs ``pip install 'cnnexp[onnx,torch]'`` and
``onnxruntime``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import OmegaConf

from cnnexp import Network
from cnnexp.app.compose.configs import make_app
from cnnexp.app.locations import config_root
from cnnexp.exchange.onnx_graph import onnx_model
from cnnexp.exchange.torch_code import torch_module
from cnnexp.exchange.torch_reading import read_state, weights_from
from cnnexp.exchange.torch_weights import to_state
from cnnexp.nn.layer import make_layer
from experiments.benchmarks.machine import describe
from experiments.benchmarks.results import FOLDER, refuse_changes, table, write

RESULTS = FOLDER / "exchange.csv"
SAMPLES, CLASSES = 64, 10
SHAPE, COLOUR, FEATURES = (28, 28, 1), (32, 32, 3), (3,)
SHAPES = {"pytorch_cifar": COLOUR, "tensorflow_cifar": COLOUR, "regression": FEATURES}
COLUMNS = ("model", "parameters", "onnx", "pytorch", "imported")

Array = npt.NDArray[Any]


def main() -> None:
    """Measure all presets, and write and print the table."""
    refuse_changes(FOLDER)
    rows = list(measured())
    machine = describe()
    write(RESULTS, [row | machine for row in rows])
    print(table(rows, COLUMNS))


def measured() -> Iterator[dict[str, Any]]:
    """Yield a row for every preset."""
    for path in sorted((config_root() / "conf" / "model").glob("*.yaml")):
        network = preset(path.stem)
        yield {"model": path.stem, "parameters": network.parameter_count} | differences(network)


def preset(name: str) -> Network:
    """Return the network of a preset with random parameters and statistics."""
    shape = SHAPES.get(name, SHAPE)
    config = make_app().settings([f"model={name}", "data=mnist"])
    layers: Any = OmegaConf.to_container(config.model.layers)
    for options in layers:
        if options["type"] == "dense":
            options.setdefault("units", 1 if name == "regression" else CLASSES)
        if options["type"] == "transposed_conv":
            options.setdefault("filters", shape[-1])
    if layers[-1].get("activation") == "softmax":
        del layers[-1]["activation"]
    made = [make_layer(options) for options in layers if options["type"] != "softmax"]
    network = Network(made, loss="mean_squared_error")
    network.build(shape)
    rng = np.random.default_rng(0)
    weights = network.weights()
    for key, array in weights.items():
        if not key.endswith(".W"):  # as drawn, scales are 1 and biases 0
            weights[key] = (0.5 + rng.random(array.shape)).astype(array.dtype)
    return network.load_weights(weights)


def differences(network: Network) -> dict[str, float]:
    """Return the largest difference of outputs, relatively, and of weights imported again."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((SAMPLES, *network.input_shape)).astype(np.float32)
    ours = network.predict(X)
    state, theirs = of_torch(network, X)
    entries = torch_module(network).weights
    again = weights_from(read_state(state), network.weights(), entries)
    changes = [np.abs(again[key] - array).max() for key, array in network.weights().items()]
    largest = np.abs(ours).max()
    return {
        "onnx": float(np.abs(of_onnx(network, X) - ours).max() / largest),
        "pytorch": float(np.abs(theirs - ours).max() / largest),
        "imported": float(max(changes)),
    }


def of_onnx(network: Network, X: Array) -> Array:
    """Return what onnxruntime gives."""
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_model(network), providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {"input": X})[0]
    return found


def of_torch(network: Network, X: Array) -> tuple[bytes, Array]:
    """Return a ``state_dict`` as it is saved, and what the module gives that loads it."""
    import torch

    source, entries = torch_module(network)
    state = to_state(network.weights(), entries)
    saved = io.BytesIO()
    torch.save({key: torch.from_numpy(array) for key, array in state.items()}, saved)
    names: dict[str, Any] = {}
    exec(source, names)
    module = names["Model"]()
    module.load_state_dict(torch.load(io.BytesIO(saved.getvalue()), weights_only=True))
    first = np.ascontiguousarray(np.moveaxis(X, -1, 1) if X.ndim > 2 else X)
    with torch.no_grad():
        found = module.eval()(torch.from_numpy(first)).numpy()
    return saved.getvalue(), np.moveaxis(found, 1, -1) if found.ndim > 2 else found


if __name__ == "__main__":
    main()
