"""`Network.fit`: training on arrays in one call."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, MeanSquaredError, Network, Softmax
from cnnexp.errors import OptionError, ShapeError
from cnnexp.train import CALLBACKS, Callback, EarlyStopping
from cnnexp.train.optimizers import SGD, Adam
from tests.cases import in_one_test


def classifier(**options):
    inner = [Conv2D(4, 3, activation="relu"), MaxPool2D(2), Flatten()]
    return Network([*inner, Dense(3), Softmax()], **options)


def bars(count=90, seed=0):
    """Images with a bright row, column or corner: three classes that a small network tells."""
    rng = np.random.default_rng(seed)
    Y = np.arange(count) % 3
    X = rng.random((count, 6, 6)) * 0.3
    X[Y == 0, 2] += 1
    X[Y == 1, :, 3] += 1
    X[Y == 2, :2, :2] += 1
    return X, Y


def test_it_learns_and_returns_a_row_for_each_epoch():
    X, Y = bars()
    net = classifier()
    history = net.fit(X, Y, epochs=8, validation=0.2)
    frame = pd.DataFrame(history)
    assert list(frame.columns) == [
        "epoch",
        "train_loss",
        "train_error",
        "validation_loss",
        "validation_error",
        "learning_rate",
        "seconds",
    ]
    assert frame["epoch"].tolist() == list(range(1, 9))
    assert frame["validation_error"].iloc[-1] == 0
    assert net.evaluate(*bars(seed=1))[2] == 0


def test_plain_steps_are_those_of_train():
    """One epoch of one mini-batch without momentum is the step that `train` takes."""
    X, Y = bars(12)
    fitted, stepped = classifier(dtype="float64"), classifier(dtype="float64")
    plain = {"optimizer": SGD(momentum=0.0, nesterov=False), "schedule": "constant"}
    fitted.fit(X, Y, epochs=1, batch_size=12, learning_rate=0.2, **plain)
    stepped.train(X, Y, 0.2)
    for path, array in stepped.weights().items():
        np.testing.assert_allclose(fitted.weights()[path], array, rtol=1e-12, atol=1e-14)


def test_the_seed_is_that_of_the_network_or_another():
    X, Y = bars()
    found = []
    for options in ({}, {"seed": 0}, {"seed": 7}):
        net = classifier()
        net.fit(X, Y, epochs=1, **options)
        found.append(net.weights()["dense1.W"])
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_best_weights_are_those_of_the_best_epoch():
    X, Y = bars(30)
    noise = np.random.default_rng(3).permutation(Y)
    net = classifier()
    history = net.fit(
        X, noise, epochs=12, learning_rate=0.3, validation=(X[:15], Y[:15]), best_weights=True
    )
    best = min(history, key=lambda row: row["validation_error"])
    assert net.evaluate(X[:15], Y[:15])[2] == pytest.approx(best["validation_error"])


def test_early_stopping_and_callbacks_and_reports():
    X, Y = bars()
    seen = []

    class Stops(Callback):
        def epoch_done(self, trainer, figures):
            if trainer.state.epoch == 2:
                trainer.stop("enough")

    history = classifier().fit(X, Y, epochs=9, callbacks=[Stops()], report=seen.append)
    assert (len(history), len(seen)) == (2, 2)
    patient = classifier().fit(
        X, Y, epochs=40, validation=0.3, early_stopping=2, schedule="constant"
    )
    assert len(patient) < 40
    for same in (EarlyStopping(2), np.int64(2)):
        also = classifier().fit(
            X, Y, epochs=40, validation=0.3, schedule="constant", early_stopping=same
        )
        assert len(also) == len(patient)
    assert "stop_at" in CALLBACKS


def test_objects_with_options_of_ones_own():
    X, Y = bars()
    net = classifier()
    assert net.fit(X, Y, epochs=4, optimizer=Adam(beta1=0.8))[-1]["train_error"] < 0.7
    assert classifier().fit(X, Y, epochs=1, optimizer="adam")[0]["learning_rate"] <= 0.001


def test_real_values():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    net = Network([Dense(1)], loss=MeanSquaredError())
    history = net.fit(X, X @ [1.0, -2.0, 0.5], epochs=20, learning_rate=0.1)
    assert history[-1]["train_loss"] < 1e-3
    np.testing.assert_allclose(net.weights()["dense1.W"][:, 0], [1, -2, 0.5], atol=0.05)


@in_one_test(
    ("options", "error", "message"),
    [
        ({"validation": 1.5}, OptionError, r"a fraction between 0 and 1, or \(X, Y\). Got 1.5"),
        ({"validation": "half"}, OptionError, "or .X, Y.. Got 'half'"),
        ({"epochs": 0}, OptionError, "epochs must be a whole number of at least 1. Got 0"),
        ({"epochs": 1.5}, OptionError, "epochs must be a whole number"),
        ({"batch_size": 0}, OptionError, "batch_size must be a whole number"),
        ({"learning_rate": "fast"}, OptionError, "learning_rate must be"),
        ({"learning_rate": -1}, OptionError, "learning_rate must be above 0"),
        ({"early_stopping": "3", "validation": 0.2}, OptionError, "epochs of patience. Got '3'"),
        ({"best_weights": True}, OptionError, "choose by a validation part: give validation=0.1"),
        ({"callbacks": ["stop_at"]}, OptionError, "objects of Callback. Got 'stop_at'"),
        ({"optimizer": {"name": "sgd"}}, OptionError, "optimizer must be a name, or an object"),
        ({"validation": 0.001}, OptionError, "leaves none to train on"),
        ({"early_stopping": 2}, OptionError, "choose by a validation part"),
        ({"learning_rate": 1e30}, OptionError, "diverged in epoch 1"),
        ({"optimizer": "sgdd"}, LookupError, "Did you mean 'sgd'"),
    ],
)
def test_mistakes_are_told(options, error, message):
    with pytest.raises(error, match=message):
        classifier().fit(*bars(), **options)


def test_arrays_that_do_not_fit():
    X, Y = bars()
    with pytest.raises(ShapeError, match=r"X must be samples .* and Y a target for each"):
        classifier().fit(X, Y[:-1])
    with pytest.raises(ShapeError):
        classifier().fit(X.reshape(len(X), -1), Y)
