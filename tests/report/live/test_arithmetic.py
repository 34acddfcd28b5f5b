"""The page's arithmetic against the engine, through a JavaScript engine inside Python."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnexp.data.images import Figure, as_figure
from cnnexp.engine import Window
from cnnexp.nn.layer import LAYERS, Layer, walk
from cnnexp.report.live import description
from cnnexp.report.live.description import as_text, check_layers
from cnnexp.report.live.modules import joined
from tests.report.live.networks import (
    NETWORKS,
    build,
    engine_gradients,
    images,
)
from tests.report.live.script import Script, array, plain

GEOMETRIES = (
    ((5, 5), 2, 1, 0),
    ((4, 7), 3, 2, 1),
    ((6, 6), 3, 3, 0),
    ((5, 4), 2, 3, "same"),
    ((7, 3), 3, 1, "same"),
)


@pytest.fixture(scope="module")
def script() -> Iterator[Script]:
    yield Script()


def test_the_page_knows_every_layer_of_the_table_and_every_loss(script: Script) -> None:
    own = {name for name in LAYERS if LAYERS[name].__module__.startswith("cnnexp.nn.")}
    script._context.eval("const knownLayers = () => [...Object.keys(LAYERS), ...BLOCKS];")
    script._context.eval("const knownLosses = () => Object.keys(LOSSES);")
    known = script.call("knownLayers")
    assert set(known) == set(description.FORWARDS) == own
    assert set(script.call("knownLosses")) == set(description.LOSS_FORWARDS)


def test_the_networks_of_these_tests_have_every_layer() -> None:
    used = {layer.type for name in NETWORKS for layer in walk(build(name).layers)}
    assert used == set(description.FORWARDS)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_gives_what_the_engine_gives(script: Script, name: str) -> None:
    network, X = build(name), images(2)
    script.load(network)
    expected = dict(network.activations(X))
    for k, image in enumerate(X):
        found = script.call("outputs", plain(image))
        assert set(found) == {*expected, "input"}
        for path, A in expected.items():
            np.testing.assert_allclose(array(found[path]), A[k], atol=2e-5, rtol=1e-4, err_msg=path)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_the_loss_and_of_a_logit_are_those_of_the_engine(
    script: Script, name: str
) -> None:
    network, image = build(name), images(1)[0]
    script.load(network)
    value, dX, grads = engine_gradients(network, image, 2)
    found = script.call("gradientsOfLoss", plain(image), 2)
    assert found["value"] == pytest.approx(value, rel=1e-4)
    close(found["image"], dX, "image")
    assert set(found["params"]) == set(grads)
    for path, gradient in grads.items():
        close(found["params"][path], gradient, path)
    found = script.call("gradientsOfLogit", plain(image), 1)
    close(found["image"], network.saliency(image[None], np.array([1]))[0], "logit")


@pytest.mark.parametrize("loss", sorted(description.LOSS_FORWARDS - {"binary_cross_entropy"}))
def test_every_loss_has_the_gradient_of_the_engine(script: Script, loss: str) -> None:
    network, image = build("sigmoids" if "mean" in loss or loss == "huber" else "pooling"), None
    image = images(1)[0]
    network = type(network)(network.layers, loss=loss) if loss != "hinge" else network
    network.build(image.shape)
    script.load(network)
    value, dX, _ = engine_gradients(network, image, 1)
    found = script.call("gradientsOfLoss", plain(image), 1)
    assert found["value"] == pytest.approx(value, rel=1e-4)
    close(found["image"], dX, loss)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_value_is_explained_by_its_terms(script: Script, name: str) -> None:
    network, image = build(name), images(1)[0]
    script.load(network)
    found = script.call("explanations", plain(image), 25)
    assert {one["path"] for one in found} == {layer.path for layer in walk(network.layers)}
    for one in found:
        assert one["known"], one
        assert one["recomputed"] == pytest.approx(one["value"], abs=1e-5, rel=1e-4), one


def test_the_explanation_of_softmax_has_its_arithmetic(script: Script) -> None:
    network, image = build("convolutions"), images(1)[0]
    script.load(network)
    z = dict(network.activations(image[None]))["dense1"][0]
    found = [
        one for one in script.call("explanations", plain(image), 25) if one["path"] == "softmax1"
    ]
    for one in found:
        m, exps = z.max(), np.exp(z - z.max())
        expected = [z[one["at"]], m, exps[one["at"]], exps.sum()]
        assert [number for _, number in one["steps"]] == pytest.approx(expected, rel=1e-4)
        assert one["value"] == pytest.approx(exps[one["at"]] / exps.sum(), rel=1e-4)


def test_the_explanation_of_a_maximum_tells_of_ties(script: Script) -> None:
    network = build("pooling")
    script.load(network)
    image = np.zeros((8, 8, 2), np.float32)
    image[0, 0, 0] = 1
    formulas = {
        one["at"]: one["formula"]
        for one in script.call("explanations", plain(image), 1000)
        if one["path"] == "max_pool1"
    }
    assert formulas[0] == "largest value under the window"
    assert formulas[1].endswith("of 4 equal ones the first is taken")  # the corner, without padding


def test_the_explanations_of_means_and_of_padding_say_so(script: Script) -> None:
    image = images(1)[0]
    script.load(build("pooling"))
    means = [
        one for one in script.call("explanations", plain(image), 1000) if one["path"] == "avg_pool1"
    ]
    for one in means:
        total, size = (number for _, number in one["steps"])
        assert size == 2 * 3 and total / size == pytest.approx(one["value"], abs=1e-6)
        assert one["formula"].endswith("zeros") is (one["terms"] < 6)
    assert {one["terms"] for one in means} == {2, 3, 4, 6}
    script.load(build("convolutions"))
    cut = {
        one["terms"] < 3 * 2: one["formula"]
        for one in script.call("explanations", plain(image), 1000)
        if one["path"] == "conv1"
    }
    assert cut[False] == "sum of pixel · weight, plus bias"
    assert cut[True].endswith("padding adds nothing")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("shown", 0, "0.000"),
        ("shown", -0.1259, "−0.126"),
        ("shown", -3.2e-5, "−3.2e−5"),
        ("shown", 12_345_678, "1.2e7"),
        ("short", 0, "0"),
        ("short", 0.129, ".13"),
        ("short", -1e-4, "−.00"),
        ("short", -12.34, "−12.3"),
        ("percent", 0, "< 0.1 %"),
        ("percent", 1e-5, "< 0.1 %"),
        ("percent", 0.99996, "> 99.9 %"),
        ("percent", 1, "> 99.9 %"),
        ("percent", 0.5, "50.0 %"),
    ],
)
def test_numbers_are_written_for_readers(
    script: Script, name: str, value: float, text: str
) -> None:
    assert script.call(name, value) == text


def test_occlusion_is_what_covering_patches_does(script: Script) -> None:
    network, image = build("pooling"), images(1)[0]
    script.load(network)
    patch = {"size": 3, "step": 2, "value": 0.0}
    found = array(script.call("occlusionOf", plain(image), 1, patch))
    whole = network.predict(image[None])[0, 1]
    sums, counts = np.zeros((8, 8)), np.zeros((8, 8))
    for top in range(-2, 8, 2):
        for left in range(-2, 8, 2):
            here = np.s_[max(top, 0) : max(top + 3, 0), max(left, 0) : max(left + 3, 0)]
            hidden = image.copy()
            hidden[here] = 0
            sums[here] += whole - network.predict(hidden[None])[0, 1]
            counts[here] += 1
    np.testing.assert_allclose(found, sums / counts, atol=1e-5)


@pytest.mark.parametrize(("size", "f", "s", "p"), GEOMETRIES)
def test_stride_groups_and_counts_are_those_of_the_engine(
    script: Script, size: tuple[int, int], f: int, s: int, p: Any
) -> None:
    window = Window.over(size, f, s, p)
    axes = [script.call("makeAxis", n, f, s, p) for n in size]
    found = dict(zip(("rows", "cols"), axes, strict=True))
    assert found == description.describe_window(window)
    groups = script.call("groupPositions", found)
    h, w = np.meshgrid(*map(np.arange, window.out), indexing="ij")
    expected = [
        np.stack([axis[rows.positions, cols.positions].ravel() for axis in (h, w)], 1).tolist()
        for rows, cols in window.groups()
    ]
    assert groups == expected
    sizes, outputs = {"samples": 2, "filters": 3}, window.out[0] * window.out[1]
    methods = ("loops", "shifted", "im2col", "groups")
    counts = {m: script.call("countsOf", m, found, sizes) for m in methods}
    assert counts == {
        "loops": {"iterations": 2 * outputs * 3, "products": 0},
        "shifted": {"iterations": f * f, "products": f * f},
        "im2col": {"iterations": 0, "products": 1},
        "groups": {"iterations": window.group_count, "products": window.group_count},
    }
    most = max(len(group) for group in expected)
    workspaces = [script.call("workspaceOf", m, found, sizes) for m in methods]
    assert workspaces == [f * f, 2 * outputs, 2 * outputs * f * f, 2 * most * f * f]
    for method in counts:
        steps = script.call("stepsOf", method, found, sizes)
        done = {tuple(at) for step in steps if not step["copies"] for at in step["positions"]}
        assert len(done) == outputs
        if method != "im2col":
            assert len(steps) == counts[method]["iterations"]
        assert sum(step["products"] for step in steps) == counts[method]["products"]


def test_an_output_of_the_small_example_is_that_of_the_engine(script: Script) -> None:
    from cnnexp.nn.convolutions import Conv2D
    from cnnexp.nn.network import Network

    network = Network([Conv2D(1, 3, stride=2, padding=1)], dtype="float64").build((4, 7, 1))
    image = np.arange(28.0).reshape(1, 4, 7, 1)
    network.load_weights({"conv1.W": np.arange(9.0).reshape(3, 3, 1, 1), "conv1.b": np.zeros(1)})
    expected = network.activations(image)[0][1][0, ..., 0]
    axes = [script.call("makeAxis", n, 3, 2, 1) for n in (4, 7)]
    window = dict(zip(("rows", "cols"), axes, strict=True))
    for at in np.ndindex(expected.shape):
        found = script.call("outputAt", window, list(range(28)), list(range(9)), list(at))
        assert found == expected[at]
        parts = [
            script.call("outputAt", window, list(range(28)), list(range(9)), list(at), k)
            for k in range(10)  # as many elements of the filter as shifted slices have added
        ]
        under = np.pad(image[0, ..., 0], 1)[2 * at[0] :, 2 * at[1] :][:3, :3].ravel()
        assert script.call("pixelsUnder", window, list(range(28)), list(at)) == under.tolist()
        assert parts == [0, *np.cumsum(under * np.arange(9.0))]


def test_numbers_come_through_base64_in_both_formats(script: Script) -> None:
    values = np.array([0, 1, -2.5, 65504, 6e-8, 1e-4, np.pi, -0.1], np.float32)
    script._context.eval("const numbers = (...words) => Array.from(numbersOf(...words));")
    script._context.eval("const bytes = (text) => Array.from(bytesOf(text));")
    for length in range(1, len(values) + 1):
        part = values[:length]
        for kind in ("float32", "float16"):
            found = script.call("numbers", as_text(part, kind), kind)
            assert found == part.astype(kind).astype(float).tolist()
        raw = bytes(range(length))
        assert script.call("bytes", base64.b64encode(raw).decode()) == list(raw)


def test_a_drawing_is_scaled_and_centred_like_the_images_of_the_data_set(script: Script) -> None:
    from PIL import Image

    ink = np.zeros((112, 112))
    ink[10:60, 5:15] = 1
    ink[50:60, 5:35] = 1
    drawing = {"low": 0.0, "high": 1.0, "share": 20 / 28}
    found = array(script.call("drawnImage", plain(ink), [28, 28, 1], drawing, True))
    picture = Image.fromarray((255 * (1 - ink)).astype(np.uint8))
    expected = as_figure(picture, (28, 28, 1), Figure(share=20 / 28))
    assert abs(found - expected).mean() < 0.02
    assert abs(found - expected).max() < 0.75  # edges are averaged here, and bicubic there
    still = array(script.call("drawnImage", plain(ink), [28, 28, 1], drawing, False))
    np.testing.assert_allclose(still[..., 0], ink.reshape(28, 4, 28, 4).mean(axis=(1, 3)))


def test_a_stroke_leaves_ink_where_it_went(script: Script) -> None:
    script._context.eval(
        "function drawn(from, to, radius) { const ink = noInk([10, 10, 1]);"
        " stroke(ink, from, to, radius); return plainOf(ink); }"
    )
    ink = array(script.call("drawn", {"x": 0.25, "y": 0.5}, {"x": 0.75, "y": 0.5}, 3))
    assert ink.shape == (40, 40)
    assert (ink[19:21, 10:30] == 1).all()
    assert ink[:15].max() == ink[25:].max() == 0


def test_a_layer_that_the_page_cannot_compute_is_refused_by_name() -> None:
    class Odd(Layer):
        type = "odd"

    class Like(Layer):  # a user's layer with the name of one of ours
        type = "relu"

    odd, like = Odd(), Like()
    odd.path, like.path = "odd1", "relu1"
    with pytest.raises(description.OptionError, match=r"odd1 \(odd\), relu1 \(relu\)"):
        check_layers([odd, like])


def test_modules_with_the_same_name_for_two_things_are_refused(monkeypatch: Any) -> None:
    texts = {"a.js": 'import { b } from "./b.js";\nconst c = 1;\n', "b.js": "export const c = 2;\n"}
    monkeypatch.setattr("cnnexp.report.live.modules.source", texts.__getitem__)
    with pytest.raises(ValueError, match="have c"):
        joined("a")


def test_types_of_the_javascript_are_right() -> None:
    import shutil

    tsc = shutil.which("tsc")
    if tsc is None:
        pytest.skip(
            "tsc is not installed (npm install -g typescript): types of JavaScript unchecked"
        )
    folder = Path(description.__file__).parent
    checked = subprocess.run([tsc, "-p", folder], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def close(found: Any, expected: Any, name: str) -> None:
    """Compare a tensor of the page with an array of the engine, relative to its largest value."""
    scale = max(float(abs(expected).max()), 1e-3)
    np.testing.assert_allclose(
        array(found).reshape(expected.shape), expected, atol=2e-5 * scale, rtol=1e-3, err_msg=name
    )
