"""The pictures of a run: what is in them, and that they can be read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, load_run
from cnnexp.data import Samples
from cnnexp.errors import ShapeError
from cnnexp.report.inside import (
    filters,
    gallery,
    maps,
    mistakes,
    plates,
    saliency,
    weights,
)
from cnnexp.report.inside.plates import SIGNED, Specimen
from cnnexp.report.plots import style
from cnnexp.runs.histograms import Histogram
from tests.conftest import make_run

CLASSES = [str(k) for k in range(4)]


@pytest.fixture
def figures(monkeypatch):
    """Every figure that is drawn."""
    drawn = []

    def keep(figure):
        drawn.append(figure)
        return png(figure)

    png = plates.png_of
    for module in (filters, maps, mistakes, saliency, weights):
        monkeypatch.setattr(module, "png_of", keep)
    with style():
        yield drawn


def network(channels: int = 1) -> Network:
    layers = [
        Conv2D(12, 3, activation="relu"),
        MaxPool2D(2),
        Conv2D(5, 2, activation="tanh"),
        Flatten(),
        Dense(6, activation="relu"),
        Dense(4, activation="softmax"),
    ]
    return Network(layers).build((9, 8, channels))


def images(count: int = 3, channels: int = 1):
    return np.random.default_rng(4).random((count, 9, 8, channels))


def words_in(figure) -> str:
    found = figure.findobj(Text)
    return " | ".join(artist.get_text() for artist in found)


def signed_images(figure):
    return [im for axes in figure.axes for im in axes.images if im.get_cmap().name == SIGNED]


def check_readable(figure) -> None:
    """One scale a figure, and no words outside of it or upon each other in a title."""
    assert len({im.get_clim() for im in signed_images(figure)}) <= 1
    assert all(low == -high for low, high in {im.get_clim() for im in signed_images(figure)})
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for text in figure.findobj(Text):
        box = text.get_window_extent(renderer)
        if text.get_text() and text.get_visible() and box.width:
            assert box.x0 >= -2 and box.x1 <= figure.bbox.x1 + 2, text.get_text()
    titles = [axes.title for axes in figure.axes if axes.title.get_text()]
    boxes = [title.get_window_extent(renderer) for title in titles]
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[k + 1 :]), titles[k].get_text()


def test_filters_are_drawn_as_they_are(figures):
    net = network()
    first, second = filters.filter_plates(net)
    assert first.title == "The 12 filters of conv1, 3x3 weights each"
    W = net.layers[0].params["W"]
    for k, image in enumerate(signed_images(figures[0])[:12]):
        np.testing.assert_array_equal(image.get_array(), W[:, :, 0, k])
    assert second.title == "Filters of conv2: 5, each with 12 channels of 2x2 weights"
    shown = signed_images(figures[1])
    np.testing.assert_array_equal(shown[13].get_array(), net.layers[3].params["W"][:, :, 1, 1])
    for figure in figures:
        check_readable(figure)


@pytest.mark.long
def test_filters_of_colours_have_a_row_a_channel(figures):
    net = network(channels=3)
    plate = filters.filter_plates(net)[0]
    assert plate.caption.startswith("A row is a channel, a column a filter")
    W = net.layers[0].params["W"]
    np.testing.assert_array_equal(signed_images(figures[0])[13].get_array(), W[:, :, 1, 1])
    check_readable(figures[0])


@pytest.mark.long
def test_without_convolutions_the_first_dense_layer_is_drawn_as_images(figures):
    net = Network([Flatten(), Dense(50, activation="relu"), Dense(4, activation="softmax")])
    (plate,) = filters.filter_plates(net.build((9, 8, 1)))
    assert plate.name == "filters_dense1"
    assert "first 40 of 50" in plate.caption
    unit = signed_images(figures[0])[7].get_array()
    np.testing.assert_array_equal(unit, net.layers[1].params["W"][:, 7].reshape(9, 8))
    check_readable(figures[0])


def test_a_network_without_images_has_no_filters():
    assert filters.filter_plates(Network([Dense(4, activation="softmax")]).build((7,))) == []


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.few(1)
def test_maps_are_the_activations(channels, figures):
    net = network(channels)
    X = images(1, channels)
    found = maps.map_plates(net, Specimen("seven.png", X[0]), CLASSES)
    assert [plate.name for plate in found] == ["maps_conv1", "maps_conv2", "maps_end"]
    assert found[0].title == "Seven.png: feature maps after conv1, relu1 and max_pool1"
    named = dict(net.activations(X))
    chosen = maps.strongest(named["max_pool1"][0], maps.MOST_MAPS)
    filters, *shown = np.split(np.array(signed_images(figures[0]), object), [len(chosen)])
    W = net.layers[0].params["W"].mean(axis=2)
    for image, k in zip(filters, chosen, strict=True):  # scaled, but the same pattern
        array = image.get_array()
        np.testing.assert_allclose(array / array.max(), W[:, :, k] / W[:, :, k].max(), rtol=1e-5)
    shown = shown[0][: 3 * len(chosen)]
    for row, name in enumerate(("conv1", "relu1", "max_pool1")):
        for column, k in enumerate(chosen):
            image = shown[row * len(chosen) + column].get_array()
            np.testing.assert_array_equal(image, named[name][0, :, :, k])
    for figure in figures:
        check_readable(figure)


def test_the_verdict_is_said():
    A = np.array([0.1, 0.7, 0.2, 0.0])
    X = images(1)[0]
    assert maps._verdict(A, Specimen("a", X), CLASSES) == "taken for 1, 70.0 %"
    assert maps._verdict(A, Specimen("a", X, 1), CLASSES) == "taken for 1, 70.0 %, which is right"
    assert maps._verdict(A, Specimen("a", X, 2), CLASSES) == "taken for 1, 70.0 %; it is 2"


def test_strongest_channels_keep_their_order():
    A = np.zeros((2, 2, 4))
    A[0, 1] = [1, -5, 0, 3]
    assert maps.strongest(A, 2) == [1, 3]
    assert maps.strongest(A, 9) == [0, 1, 2, 3]


@pytest.mark.long
def test_saliency_shows_the_gradients_of_the_two_likeliest_classes(figures):
    net, X = network(), images(3)
    saliency.saliency_plate(net, [Specimen(f"no. {k}", x) for k, x in enumerate(X)], CLASSES)
    ranked = np.argsort(-net.predict(X), axis=1)
    shown = signed_images(figures[0])
    expected = [net.saliency(X, ranked[:, place])[k, :, :, 0] for k in range(3) for place in (0, 1)]
    found = [image.get_array() for image in shown[:6]]
    for gradient in expected:
        assert any(np.array_equal(gradient, image) for image in found)
    assert (
        "Max pooling hands" in saliency.saliency_plate(net, [Specimen("a", X[0])], CLASSES).caption
    )
    check_readable(figures[0])


def test_confusion_counts():
    labels, said = np.array([0, 0, 1, 2, 2]), np.array([0, 2, 1, 2, 1])
    expected = [[1, 0, 1], [0, 1, 0], [0, 1, 1]]
    np.testing.assert_array_equal(mistakes.confusion_of(labels, said, 3), expected)


def test_confusion_agrees_with_scikit_learn():
    from sklearn.metrics import confusion_matrix

    labels, said = np.random.default_rng(1).integers(0, 7, (2, 500))
    np.testing.assert_array_equal(
        mistakes.confusion_of(labels, said, 7), confusion_matrix(labels, said)
    )


def test_colours_of_the_confusion_are_shares_of_mistakes(figures):
    A = np.eye(3)[[0, 2, 1, 2, 1]]
    plate = mistakes.confusion_plate(A, np.array([0, 0, 1, 2, 2]), ["cat", "doghouse", "bird"])
    assert plate.title == "What is taken for what: 2 of 5 test samples are wrong"
    shown = figures[0].axes[0].images[0].get_array()
    assert shown[0, 2] == 50 and shown[2, 1] == 50 and shown[1, 2] == 0
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown)).diagonal().all()
    assert "true class" in words_in(figures[0]) and "per cent" in words_in(figures[0])
    check_readable(figures[0])


def test_the_most_confident_mistakes_come_first(figures):
    A = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.99, 0.01]])
    labels = np.array([1, 1, 0, 1])
    assert mistakes.confident_mistakes(A, labels, 5) == [3, 0, 2]
    assert mistakes.confident_mistakes(A, labels, 1) == [3]
    assert mistakes.mistakes_plate(images(4), A, labels, ["no", "yes"]) is not None
    words = words_in(figures[0])
    assert words.index("yes, said no\n99.0 %") < words.index("yes, said no\n90.0 %")
    assert mistakes.mistakes_plate(images(4), A, np.array([0, 1, 1, 0]), ["no", "yes"]) is None
    check_readable(figures[0])


def test_a_histogram_is_shared_out_to_other_intervals():
    histogram = Histogram(1, "a.W", 0.0, 4.0, [1, 1, 2, 4])
    found = weights.shares(histogram, np.array([-1.0, 0.0, 1.0, 2.5, 4.0, 9.0]))
    np.testing.assert_allclose(found, [0, 1 / 8, 2 / 8, 5 / 8, 0])


def test_at_most_so_many_epochs_the_first_and_the_last_among_them():
    found = [Histogram(epoch, "a.W", 0, 1, [1]) for epoch in range(31)]
    assert [h.epoch for h in weights.some(found, 4)] == [0, 10, 20, 30]
    assert weights.some(found[:3], 10) == found[:3]


def test_hills_are_drawn_one_an_epoch(figures):
    rng = np.random.default_rng(2)
    found = {}
    for name, size in (("conv1.W", 90), ("dense1.W", 5000), ("dense1.b", 7)):
        found[name] = [
            Histogram(k, name, -1.0 - k, 1.0 + k, rng.multinomial(size, [1 / 200] * 200).tolist())
            for k in range(13)
        ]
    plate = weights.histogram_plate(found)
    assert plate is not None
    panels = figures[0].axes
    assert [axes.get_title(loc="left") for axes in panels] == ["conv1", "dense1"]
    assert len(panels[0].collections) == weights.MOST_EPOCHS
    assert [label.get_text() for label in panels[0].get_yticklabels()][-1] == "12"
    assert weights.histogram_plate({}) is None


def test_percentages():
    assert [plates.percent(p) for p in (1.0, 0.5, 0.0001)] == ["> 99.9 %", "50.0 %", "< 0.1 %"]


@pytest.mark.long
def test_all_pictures_of_a_run_and_a_page_in_one_file(digits_run: Path, tmp_path: Path) -> None:
    run = load_run(digits_run)
    found = gallery.plates_of(run)
    names = [plate.name for plate in found]
    assert names == [
        "curves",
        "histograms",
        "filters_conv1",
        "maps1_conv1",
        "maps1_end",
        "maps2_conv1",
        "maps2_end",
        "saliency",
        "confusion",
        "mistakes",
    ]
    page = gallery.save_gallery(tmp_path / "new" / "folder", run, found)
    written = sorted(path.name for path in page.parent.iterdir())
    assert written == sorted(["index.html", *(f"{name}.png" for name in names)])
    text = page.read_text()
    assert text.count("data:image/png;base64,") == len(names)
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    for plate in found:
        assert plate.png.startswith(b"\x89PNG") and len(plate.png) < 400_000
        assert plate.caption.endswith(".")
    assert f"test error {100 * run.results['test_error']:.2f} %" in text


def test_specimens_are_right_ones_of_some_classes_and_the_worst_mistake():
    labels = np.array([2, 0, 0, 1, 2, 1])
    A = np.eye(3)[[2, 1, 0, 1, 2, 0]]
    found = gallery.specimens_of(Samples(images(6), labels), A, ["a", "b", "c"])
    assert [specimen.name[12:] for specimen in found] == ["2", "3", "0", "1"]
    assert [specimen.label for specimen in found] == [0, 1, 2, 0]
    none_right = gallery.specimens_of(
        Samples(images(6), labels), np.eye(3)[(labels + 1) % 3], "abc"
    )
    assert [specimen.name for specimen in none_right] == ["test sample 0"]


def test_only_so_many_images_can_be_looked_at(digits_run: Path) -> None:
    X = load_run(digits_run).dataset.test.X
    with pytest.raises(ShapeError, match=r"at most 6 images can be looked at\. Got 7"):
        gallery.plates_of(load_run(digits_run), [Specimen("a", X[0])] * 7)


@pytest.mark.long
def test_a_run_without_histograms_and_convolutions(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "model=flat", "epochs=1")
    (run / "histograms.csv").unlink()
    names = [plate.name for plate in gallery.plates_of(load_run(run))]
    assert "histograms" not in names and "filters_dense1" in names
