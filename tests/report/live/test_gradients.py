"""The page's gradients in a real browser, for every preset that classifies images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnexp
from cnnexp.report.live.page import live_page
from tests.conftest import make_run
from tests.report.live.browser import opened
from tests.report.live.networks import engine_gradients
from tests.report.live.test_browser import PRESETS, images  # noqa: F401 - a fixture

pytestmark = pytest.mark.long

COUNT = 10  # images for each of more than twenty presets
SOME = 200  # numbers of each parameter's gradient, besides its norm
EXPOSED = "window).cnnexp = { store, images }"
GRADIENTS = """([values, y, some]) => {
  const {store} = cnnexp;
  store.setImage({shape: store.payload.shape, data: Float32Array.from(values)});
  const {value, gradients} = lossGradients(store.layers, store.payload.loss, store.pass, y);
  const params = [...gradients.params].map(([path, {data}]) => {
    let squares = 0;
    for (const one of data) squares += one * one;
    return [path, Math.sqrt(squares), Array.from(data.slice(0, some))];
  });
  return {value, image: Array.from(gradients.image.data), params};
}"""


@pytest.mark.parametrize("model", PRESETS)
def test_gradients_of_every_preset_are_those_of_the_engine(
    tmp_path: Path,
    model: str,
    images: Path,  # noqa: F811
) -> None:
    settings = (f"model={model}", "data=npz", f"data.file={images}", "data.limit=300")
    run = cnnexp.load_run(make_run(tmp_path / "run", *settings, "epochs=1", "learning_rate=0.01"))
    text = live_page(run)
    assert EXPOSED in text
    path = tmp_path / "page.html"
    path.write_text(text.replace(EXPOSED, f"{EXPOSED}; window.lossGradients = lossGradients"))
    with opened(path) as page:
        for k, image in enumerate(without_ties(run.dataset.test.X[:COUNT])):
            y = k % 10
            found = page.evaluate(GRADIENTS, [image.reshape(-1).tolist(), y, SOME])
            compare(found, engine_gradients(run.network, image, y))


def without_ties(X: Any) -> Any:
    """Return images in which no two windows are alike: rounding chooses among equal maxima."""
    noise = np.random.default_rng(0).uniform(0, 0.2, np.shape(X))
    return (np.asarray(X) + noise).astype(np.float32)


def compare(found: dict[str, Any], expected: tuple[float, Any, dict[str, Any]]) -> None:
    """Compare a loss, the gradient of the image, and those of all parameters."""
    value, dX, grads = expected
    assert found["value"] == pytest.approx(value, rel=1e-3, abs=1e-5)
    close(found["image"], dX.reshape(-1), "image")
    assert {path for path, _, _ in found["params"]} == set(grads)
    for path, norm, some in found["params"]:
        gradient = grads[path].reshape(-1)
        assert norm == pytest.approx(np.linalg.norm(gradient), rel=2e-3, abs=1e-5), path
        close(some, gradient[:SOME], path, float(abs(gradient).max()))


def close(found: list[float], expected: Any, name: str, largest: float = 0.0) -> None:
    """Compare numbers, relative to the largest; float32 takes a probability near 1 from 1."""
    scale = max(largest, float(abs(expected).max()), 1e-6)
    np.testing.assert_allclose(found, expected, atol=2e-3 * scale + 2e-6, err_msg=name)
