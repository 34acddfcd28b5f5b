"""The classifier of scikit-learn: its own checks, and what is ours."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cnnexp.errors import OptionError
from cnnexp.sklearn import CNNClassifier

try:
    from sklearn.utils.estimator_checks import estimator_checks_generator
except ImportError:  # before scikit-learn 1.6
    CHECKS = []
else:
    CHECKS = list(estimator_checks_generator(CNNClassifier(epochs=5)))


def name(check):
    return getattr(check, "func", check).__name__ if callable(check) else ""


@pytest.mark.few(12)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=name)
def test_it_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def test_images_are_told_better_by_convolutions(digits):
    X, y = digits
    model = CNNClassifier(image_shape=(8, 8), epochs=12).fit(X[:1000], y[:1000])
    assert model.score(X[1000:], y[1000:]) > 0.93
    assert [layer.type for layer in model.network_.layers][:2] == ["conv", "relu"]
    assert model.network_.input_shape == (8, 8, 1)
    assert len(model.history_) == model.n_iter_ == 12


def test_features_have_dense_layers(digits):
    X, y = digits
    model = CNNClassifier(epochs=5).fit(X[:500], y[:500])
    assert {layer.type for layer in model.network_.layers} == {"dense", "relu", "softmax"}


def test_labels_may_be_words():
    X = np.random.default_rng(0).standard_normal((60, 3))
    y = np.where(X[:, 0] > 0, "warm", "cold")
    model = CNNClassifier(epochs=30).fit(X, y)
    assert set(model.predict(X)) == {"warm", "cold"}
    assert model.classes_.tolist() == ["cold", "warm"]
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


def test_layers_of_ones_own(digits):
    X, y = digits
    layers = [{"type": "flatten"}, {"type": "dense", "units": 5, "activation": "tanh"}]
    model = CNNClassifier(layers, image_shape=(8, 8, 1), epochs=1).fit(X[:99], y[:99])
    assert model.network_.layers[1].units == 5
    assert clone(model).layers == layers


def test_it_takes_part_in_a_search_and_is_pickled(digits):
    X, y = digits
    search = GridSearchCV(
        make_pipeline(StandardScaler(), CNNClassifier(epochs=2)),
        {"cnnclassifier__learning_rate": [0.01, 0.001]},
        cv=2,
    ).fit(X[:200], y[:200])
    best = search.best_estimator_
    again = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(best.predict_proba(X), again.predict_proba(X))


@pytest.mark.parametrize("shape", [8, (8,), (7, 9), (8, 8, 2)])
def test_images_of_another_size_are_refused(digits, shape):
    with pytest.raises(OptionError, match="as many pixels as X has columns, 64"):
        CNNClassifier(image_shape=shape).fit(*digits)


def test_early_stopping(digits):
    X, y = digits
    options = {"validation": 0.2, "early_stopping": 1, "best_weights": True, "schedule": "constant"}
    model = CNNClassifier(epochs=60, **options).fit(X[:300], y[:300])
    assert model.n_iter_ < 60


def test_the_names_of_columns_are_kept():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(np.random.default_rng(0).random((20, 2)), columns=["height", "width"])
    model = CNNClassifier(epochs=1).fit(X, [0, 1] * 10)
    assert list(model.feature_names_in_) == ["height", "width"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X.rename(columns={"width": "depth"}))
