"""Augmentations: against SciPy, against numbers worked by hand, and what all of them must keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from cnnexp.data.augmentation import AUGMENTATIONS, Augmentation, Augmenter, Pixels
from cnnexp.data.augmentation.base import Draws
from cnnexp.data.augmentation.geometric import composed, smoother, warp
from cnnexp.errors import OptionError, ShapeError
from tests.cases import in_one_test

SHAPES = [(8, 8, 1), (7, 10, 3), (1, 5, 2)]
PIXELS = Pixels(background=-0.5, span=3.0)


def images(shape, count=6, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(dtype)


def numbers(count, draws, seed=1):
    return np.random.default_rng(seed).random((count, draws))


def applied(name, X, U=None, scaled=PIXELS, **options):
    transform = AUGMENTATIONS[name](**options)
    if U is None:
        U = numbers(len(X), transform.draws(X.shape[1:]))
    return transform.apply(X, np.asarray(U, float), scaled)


def augmenter(names, shape, seed=0, pixels=PIXELS):
    return Augmenter([AUGMENTATIONS[name]() for name in names], shape, pixels, seed)


# Each against an independent account of it --------------------------------------------------------


def test_a_shift_by_one_pixel_moves_a_lit_pixel_down_and_to_the_right():
    X = np.zeros((1, 4, 5, 1), "float32")
    X[0, 1, 2] = 1
    moved = applied("shift", X, [[1.0, 1.0]], Pixels(), pixels=1)  # 1: the end of the range
    assert moved[0, 2, 3] == 1
    assert moved.sum() == 1


def test_a_shift_by_half_a_pixel_is_halfway_between_two():
    X = np.zeros((1, 1, 4, 1), "float32")
    X[0, 0, 1] = 1
    moved = applied("shift", X, [[0.5, 1.0]], Pixels(), pixels=0.5)
    assert moved.ravel().tolist() == [0, 0.5, 0.5, 0]


def test_background_comes_in_from_outside():
    moved = applied("shift", np.ones((1, 3, 3, 1)), [[1.0, 0.5]], Pixels(-0.25, 1), pixels=2)
    assert moved[0, :, 0, 0].tolist() == [-0.25, -0.25, 1]


@pytest.mark.parametrize("shape", [(6, 6, 1), (7, 7, 3)])
def test_a_quarter_turn_is_that_of_numpy(shape):
    X = images(shape)
    turned = applied("rotate", X, np.ones((len(X), 1)), degrees=90)
    np.testing.assert_allclose(turned, np.rot90(X, axes=(1, 2)), atol=1e-5)


def test_a_factor_of_two_enlarges_the_middle():
    X = np.zeros((1, 6, 6, 1))
    X[0, 2:4, 2:4] = 1
    larger = applied("scale", X, [[1.0, 1.0]], Pixels(), factor=2)
    assert larger[0, 1:5, 1:5].min() == pytest.approx(0.75**2)
    assert larger.sum() == pytest.approx(4 * X.sum())


def test_rows_and_columns_may_have_factors_of_their_own():
    X = images((8, 8, 1))
    U = np.tile([0.5, 1.0], (len(X), 1))  # a factor of 1, and of 2
    np.testing.assert_array_equal(applied("scale", X, U, factor=2), X)
    np.testing.assert_allclose(
        applied("scale", X, U, factor=2, separate=True)[:, :, 3:5],
        0.75 * X[:, :, 3:5] + 0.25 * X[:, :, 4:2:-1],  # columns at a quarter of a pixel
        atol=1e-5,
    )


def test_a_shear_of_45_degrees_moves_a_row_as_far_as_it_is_from_the_middle():
    X = images((5, 9, 1))
    sheared = applied("shear", X, np.ones((len(X), 1)), degrees=45)
    for row, distance in enumerate([2, 1, 0, -1, -2]):
        expected = np.full((len(X), 9, 1), PIXELS.background, "float32")
        to, origin = slice(max(distance, 0), 9 + min(distance, 0)), max(-distance, 0)
        expected[:, to] = X[:, row, origin : origin + 9 - abs(distance)]
        np.testing.assert_allclose(sheared[:, row], expected, atol=1e-5)


@in_one_test(
    ("name", "options"),
    [
        ("shift", {"pixels": 0}),
        ("rotate", {"degrees": 0}),
        ("scale", {"factor": 1}),
        ("shear", {"degrees": 0}),
        ("elastic", {"pixels": 0}),
        ("noise", {"deviation": 0}),
        ("erase", {"probability": 0}),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_asked_changes_nothing(name, options, shape):
    X = images(shape)
    np.testing.assert_array_equal(applied(name, X, **options), X)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(9, 12, 1), (8, 7, 3)])
@pytest.mark.parametrize("name", ["shift", "rotate", "scale", "shear"])
def test_affine_maps_are_those_of_scipy(name, shape, dtype):
    X = images(shape, 4, dtype)
    transform = AUGMENTATIONS[name]()
    U = numbers(4, transform.draws(shape))
    centre = (np.array(shape[:2]) - 1) / 2
    moves, moved = transform.move(U, shape), transform.apply(X, U, PIXELS)
    for image, move, found in zip(X, moves, moved, strict=True):
        A, b = move[:, :2], move[:, 2]
        for channel in range(shape[2]):
            expected = ndimage.affine_transform(
                image[..., channel],
                A,
                centre + b - A @ centre,
                order=1,
                mode="grid-constant",
                cval=PIXELS.background,
            )
            np.testing.assert_allclose(found[..., channel], expected, atol=3e-5)


@pytest.mark.parametrize("names", [("elastic",), ("rotate", "elastic"), ("elastic", "scale")])
def test_elastic_deformations_are_those_of_scipy(names):
    shape = (10, 9, 2)
    X = images(shape, 3, "float64")
    transforms = [AUGMENTATIONS[name]() for name in names]
    moves = [t.move(numbers(3, t.draws(shape)), shape) for t in transforms]
    found = warp(X, moves, 0.25)
    rows, columns = np.mgrid[:10, :9].astype(float)
    for k in range(3):
        places = np.stack([rows - 4.5, columns - 4.0])
        for move in reversed(moves):
            if move.ndim == 4:
                places = places + move[k]
            else:
                places = np.einsum("ij,jrc->irc", move[k, :, :2], places)
                places += move[k, :, 2, None, None]
        places += np.array([4.5, 4.0])[:, None, None]
        for channel in range(2):
            expected = ndimage.map_coordinates(
                X[k, ..., channel], places, order=1, mode="grid-constant", cval=0.25
            )
            np.testing.assert_allclose(found[k, ..., channel], expected, atol=1e-6)


def test_displacements_have_the_deviation_that_was_asked_for_at_the_edges_too():
    elastic = AUGMENTATIONS["elastic"](pixels=1.5, smoothness=3)
    field = elastic.move(numbers(4000, 2 * 12 * 10), (12, 10, 1))
    assert field.shape == (4000, 2, 12, 10)
    np.testing.assert_allclose(field.std(axis=0), 1.5, rtol=0.06)
    np.testing.assert_allclose(field.mean(axis=0), 0, atol=0.12)
    neighbours = np.corrcoef(field[:, 0, 5, 5], field[:, 0, 5, 6])[0, 1]
    assert neighbours == pytest.approx(math.exp(-1 / (4 * 9)), abs=0.01)


@pytest.mark.parametrize("deviation", [0.3, 1, 2.5, 6])
def test_smoothing_is_scipys_gaussian_bit_for_bit(deviation):
    expected = ndimage.gaussian_filter1d(np.eye(28), deviation, axis=0, mode="constant")
    expected /= np.sqrt(np.square(expected).sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(smoother(28, deviation), expected.astype(np.float32))


def test_smoothing_is_by_a_gaussian():
    middle = smoother(41, 2.0)[20]
    expected = np.exp(-((np.arange(41) - 20.0) ** 2) / 8)
    kept = expected > 1e-3  # SciPy leaves out what is more than four deviations away
    np.testing.assert_allclose(middle[kept], (expected / np.linalg.norm(expected))[kept], rtol=1e-3)


def test_an_erased_rectangle_has_the_area_and_the_ratio_that_were_drawn():
    X = np.ones((1, 20, 20, 3), "float32")
    middle = (math.log(2) / math.log(4) + 1) / 2  # of ratios from 1/4 to 4: 2
    U = [[0.0, 0.5, middle, 1 - 1e-9, 0.0]]
    erased = applied("erase", X, U, smallest=0.1, largest=0.26, aspect=4)
    # 0.18 of 400 pixels are 72, of 12 rows and 6 columns; in the corner at the bottom left
    expected = X.copy()
    expected[0, 8:, :6] = PIXELS.background
    np.testing.assert_array_equal(erased, expected)


def test_a_rectangle_is_erased_in_some_images_only():
    X = np.ones((4000, 8, 8, 1), "float32")
    erased = applied("erase", X, probability=0.25, smallest=0.1, largest=0.1)
    changed = (erased != 1).any(axis=(1, 2, 3))
    assert changed.mean() == pytest.approx(0.25, abs=0.02)
    assert (erased[changed] == PIXELS.background).mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("shape", [(5, 5, 1), (4, 6, 3)])
def test_noise_is_normal_and_independent(shape):
    X = images(shape, 2000, "float64")
    noise = applied("noise", X, deviation=0.1) - X
    assert stats.kstest(noise.ravel() / 0.3, "norm").pvalue > 0.01  # of a span of 3
    flat = noise.reshape(2000, -1)
    correlations = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert abs(correlations).max() < 0.12


def test_mixup_mixes_images_and_targets_in_one_ratio():
    X, targets = images((4, 4, 1), 3), np.eye(3, dtype="float32")
    mixup = AUGMENTATIONS["mixup"](alpha=1.0)  # Beta(1, 1): the number drawn is the ratio
    U = np.array([[0.25, 0.5], [1.0, 0.0], [0.5, 0.99]])  # partners 1, 0 and 2
    np.testing.assert_allclose(
        mixup.apply_to_targets(targets, U), [[0.25, 0.75, 0], [0, 1, 0], [0, 0, 1]]
    )
    expected = [0.25 * X[0] + 0.75 * X[1], X[1], X[2]]
    np.testing.assert_allclose(mixup.apply(X, U, PIXELS), expected, atol=1e-6)


def test_the_ratios_of_mixup_come_from_a_beta_distribution():
    mixup = AUGMENTATIONS["mixup"](alpha=0.3)
    U = numbers(4000, 2)
    U[:, 1] = np.arange(4000)[::-1] / 4000
    ratios = mixup.apply_to_targets(np.arange(4000.0) % 2, U)  # 1 mixed with 0, and 0 with 1
    ratios = np.where(np.arange(4000) % 2, ratios, 1 - ratios)
    assert stats.kstest(ratios, stats.beta(0.3, 0.3).cdf).pvalue > 0.01


# What all of them keep ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@in_one_test("name", list(AUGMENTATIONS))
def test_shape_and_type_stay_and_inputs_too(name, shape, dtype):
    X = images(shape, dtype=dtype)
    transform = AUGMENTATIONS[name]()
    U = numbers(len(X), transform.draws(shape))
    targets = np.eye(len(X), dtype=dtype)
    before = X.copy(), U.copy(), targets.copy()
    A, mixed = transform.apply(X, U, PIXELS), transform.apply_to_targets(targets, U)
    assert (A.shape, A.dtype) == (X.shape, X.dtype)
    assert (mixed.shape, mixed.dtype) == (targets.shape, targets.dtype)
    assert np.isfinite(A).all()
    assert not np.shares_memory(A, X)
    for now, then in zip((X, U, targets), before, strict=True):
        np.testing.assert_array_equal(now, then)
    turned = np.ascontiguousarray(X.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(transform.apply(turned, U, PIXELS), A)


@pytest.mark.parametrize("name", [n for n in AUGMENTATIONS if not AUGMENTATIONS[n].mixes])
def test_an_image_does_not_depend_on_the_others(name):
    X = images((9, 8, 2), 70)
    U = numbers(70, AUGMENTATIONS[name]().draws(X.shape[1:]))
    whole = applied(name, X, U)
    for part in (slice(3, 4), slice(10, 47)):
        np.testing.assert_array_equal(applied(name, X[part], U[part]), whole[part])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["shift", "rotate", "scale", "shear"]), min_size=1, max_size=5))
def test_affine_maps_are_composed_to_the_map_of_one_after_another(names):
    transforms = [AUGMENTATIONS[name]() for name in names]
    moves = [t.move(numbers(4, t.draws((8, 8, 1)), k), (8, 8, 1)) for k, t in enumerate(transforms)]
    (product,) = composed(moves)
    places = expected = np.random.default_rng(0).normal(size=(4, 2, 1))
    for move in reversed(moves):  # the last of the list is undone first
        expected = move[:, :, :2] @ expected + move[:, :, 2:]
    np.testing.assert_allclose(product[:, :, :2] @ places + product[:, :, 2:], expected)


def test_geometric_neighbours_blur_an_image_once():
    X = images((8, 8, 1))
    forth, back = ([[[1, 0, 0], [0, 1, at]]] * len(X) for at in (0.5, -0.5))
    np.testing.assert_array_equal(warp(X, [np.array(forth), np.array(back)], 0), X)
    assert (warp(warp(X, [np.array(forth)], 0), [np.array(back)], 0) != X).any()


def test_the_order_of_the_list_is_kept():
    X, targets = images((8, 8, 1), 5), np.zeros(5)
    for names in (("erase", "shift"), ("shift", "erase"), ("noise", "rotate", "mixup")):
        chain = augmenter(names, (8, 8, 1))
        U = chain.draws(1).of(range(5)).copy()
        expected, at = X, 0
        for transform in chain.transforms:
            count = transform.draws((8, 8, 1))
            expected = transform.apply(expected, U[:, at : at + count], PIXELS)
            at += count
        np.testing.assert_array_equal(chain(X, targets, U)[0], expected)


@pytest.mark.parametrize("names", [list(AUGMENTATIONS), ["mixup"], ["noise", "shift", "rotate"]])
def test_parts_of_a_mini_batch_do_not_show(names, monkeypatch):
    """However many images are worked on at a time."""
    X, targets = images((8, 8, 1), 21), np.eye(21, dtype="float32")
    whole = augmenter(names, (8, 8, 1))
    U = whole.draws(3).of(range(21)).copy()
    expected = whole(X, targets, U)
    monkeypatch.setattr("cnnexp.data.augmentation.pipeline.CHUNK", 200)
    for a, b in zip(augmenter(names, (8, 8, 1))(X, targets, U), expected, strict=True):
        np.testing.assert_array_equal(a, b)


# Draws --------------------------------------------------------------------------------------------


def test_draws_depend_on_seed_epoch_and_sample_alone():
    draws = Draws(3, 2, 50)
    expected = draws.of([4, 7, 60_000]).copy()
    for order in ([60_000, 4, 7], [7, 60_000, 4], [7], [5, 7, 7]):
        found = draws.of(order)
        for sample, row in zip(order, found, strict=True):
            if sample in (4, 7, 60_000):
                np.testing.assert_array_equal(row, expected[[4, 7, 60_000].index(sample)])
    np.testing.assert_array_equal(Draws(3, 2, 50).of([4, 7, 60_000]), expected)
    for seed, epoch in ((4, 2), (3, 3), (2, 3)):
        assert not np.isin(Draws(seed, epoch, 50).of([4, 7, 60_000]), expected).any()


def test_draws_are_uniform_and_independent():
    found = Draws(0, 1, 6).of(range(5000))
    assert stats.kstest(found.ravel(), "uniform").pvalue > 0.01
    assert abs(np.corrcoef(found.T) - np.eye(6)).max() < 0.05
    assert abs(np.corrcoef(found[:-1].ravel(), found[1:].ravel())[0, 1]) < 0.03


# Mistakes -----------------------------------------------------------------------------------------


@in_one_test(
    ("name", "options", "message"),
    [
        ("shift", {"pixels": -1}, "pixels must be at least 0, and finite. Got -1."),
        ("shift", {"pixels": math.inf}, "pixels must be at least 0, and finite. Got inf."),
        ("rotate", {"degrees": 181}, "degrees must be from 0 to 180. Got 181."),
        ("scale", {"factor": 0.9}, "factor must be at least 1, and finite. Got 0.9."),
        ("shear", {"degrees": 61}, "degrees must be from 0 to 60. Got 61."),
        ("elastic", {"smoothness": 0}, "smoothness must be at least 0.1, and finite. Got 0."),
        ("erase", {"probability": 1.5}, "probability must be from 0 to 1. Got 1.5."),
        ("erase", {"smallest": 0.3}, "smallest must not be above largest. Got 0.3 and 0.2."),
        ("erase", {"aspect": 0.5}, "aspect must be at least 1, and finite. Got 0.5."),
        ("noise", {"deviation": math.nan}, "deviation must be at least 0, and finite. Got nan."),
        ("mixup", {"alpha": 0}, "alpha must be above 0. Got 0."),
    ],
)
def test_options_are_checked(name, options, message):
    with pytest.raises(OptionError) as caught:
        AUGMENTATIONS[name](**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize(
    ("made", "found"),
    [
        (lambda X: X[:, :3], r"float32 \(6, 3, 4, 1\)"),
        (lambda X: X.astype("float64"), r"float64 \(6, 4, 4, 1\)"),
        (lambda X: None, "NoneType"),
    ],
)
def test_ones_own_that_returns_other_images_is_named(made, found, mixes):
    class Wrong(Augmentation):
        def draws(self, image_shape):
            return 0

        def apply(self, X, U, pixels):
            return made(X)

    Wrong.mixes = mixes
    chain = Augmenter([Wrong()], (4, 4, 1), PIXELS, 0)
    with pytest.raises(ShapeError, match=f"augmentation Wrong must return images.*Got {found}"):
        chain(images((4, 4, 1)), np.zeros(6), numbers(6, 0))


def test_tables_are_not_augmented():
    with pytest.raises(ShapeError, match=r"these samples have shape \(4,\). Choose augment=none"):
        augmenter(["shift"], (4,))
