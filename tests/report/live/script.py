"""The page's JavaScript, run by QuickJS inside a test."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cnnexp.nn.network import Network
from cnnexp.report.live.description import as_text, describe_layers, describe_loss, vector
from cnnexp.report.live.modules import joined

CALLS = """
const NETWORK = {};
function loadNetwork(described, loss, values) {
  NETWORK.layers = layersOf(described, numbersOf(values, "float32"));
  NETWORK.loss = loss;
}
const plainOf = (x) => ({ shape: x.shape, data: Array.from(x.data) });
const plainMap = (map) => Object.fromEntries([...map].map(([path, x]) => [path, plainOf(x)]));
const imageFrom = ({ shape, data }) => tensor(shape, data);
function outputs(image) { return plainMap(forward(NETWORK.layers, imageFrom(image)).outputs); }
function plainBackward({ image, params, results }) {
  return { image: plainOf(image), params: plainMap(params), results: plainMap(results) };
}
function gradientsOfLoss(image, y) {
  const pass = forward(NETWORK.layers, imageFrom(image));
  const { value, gradients } = lossGradients(NETWORK.layers, NETWORK.loss, pass, y);
  return { value, ...plainBackward(gradients) };
}
function gradientsOfLogit(image, y) {
  const pass = forward(NETWORK.layers, imageFrom(image));
  return plainBackward(logitGradients(NETWORK.layers, NETWORK.loss, pass, y));
}
function explanations(image, most) {
  const pass = forward(NETWORK.layers, imageFrom(image));
  return everyLayer(NETWORK.layers).flatMap((layer) => {
    const n = pass.outputs.get(layer.path).data.length;
    const every = Math.max(1, Math.floor(n / most));
    return Array.from({ length: Math.ceil(n / every) }, (_, k) => {
      const found = explain(layer, pass, k * every);
      const known = found.terms.every(
        ({ path, at, value }) => pass.outputs.get(path).data[at] === value
      );
      return { path: layer.path, at: k * every, known, terms: found.terms.length,
        formula: found.formula, steps: found.steps, value: found.value,
        recomputed: recomputed(found) };
    });
  });
}
function occlusionOf(image, y, patch) {
  let map = null;
  for (map of occlusion(NETWORK.layers, imageFrom(image), y, patch));
  return plainOf(map);
}
function drawnImage(ink, shape, drawing, centred) {
  return plainOf(imageOf(imageFrom(ink), shape, drawing, centred));
}
function run(text) {
  const [name, ...words] = JSON.parse(text);
  return JSON.stringify(eval(name)(...words) ?? null);
}
"""
MODULES = ("payload", "attribution", "explain", "methods", "ink", "dom")


class Script:
    """The modules without those that need a browser; arguments and results are plain values."""

    def __init__(self) -> None:
        quickjs = pytest.importorskip(
            "quickjs", reason="QuickJS is not installed (pip install quickjs): JavaScript not run"
        )
        self._context = quickjs.Context()
        self._context.set_memory_limit(512 << 20)
        self._context.eval(joined(*MODULES) + CALLS)

    def call(self, name: str, *words: Any) -> Any:
        """Call a function."""
        return json.loads(self._context.get("run")(json.dumps([name, *words])))

    def load(self, network: Network) -> None:
        """Give it a network."""
        values = as_text(vector(network.layers, network.weights()), "float32")
        layers, loss = describe_layers(network.layers), describe_loss(network.loss)
        self.call("loadNetwork", layers, loss, values)


def plain(image: Any) -> dict[str, Any]:
    """Return an array as a tensor of the page."""
    return {"shape": list(image.shape), "data": np.asarray(image, np.float64).reshape(-1).tolist()}


def array(tensor: dict[str, Any]) -> Any:
    """Return a tensor of the page as an array."""
    return np.array(tensor["data"], np.float64).reshape(tensor["shape"])
