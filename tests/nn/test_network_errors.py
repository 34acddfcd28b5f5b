"""What a network says of mistakes in Python."""

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Flatten, Network, ReLU, Softmax
from cnnexp.errors import OptionError, ShapeError, UnknownName
from tests.cases import in_one_test
from tests.nn.networks import batch

X, Y = batch()


def softmax_net():
    return Network([Flatten(), Dense(4, activation="softmax")])


@in_one_test(
    ("make", "error", "message"),
    [
        (lambda: Network([]), OptionError, "a network needs at least one layer."),
        (
            lambda: Network([Flatten]),
            OptionError,
            "a network is made of layers, such as Dense(10). Got <class",
        ),
        (lambda: Conv2D(2.5, 3), OptionError, "filters must be a whole number. Got 2.5."),
        (lambda: Conv2D(2, (3, "3")), OptionError, "kernel_size must be a whole number. Got '3'."),
        (lambda: Dense(True), OptionError, "units must be a whole number. Got True."),
        (
            lambda: Network([Flatten(), Dense(4), Softmax()]).train(X, ["a"] * len(X), 0.1),
            ShapeError,
            "Y must be numbers: integer labels or one-hot rows.",
        ),
        (
            lambda: Network([ReLU()] * 2),
            OptionError,
            "a layer object stands in the list twice; make two of them.",
        ),
        (
            lambda: Network([ReLU()], dtype="int32"),
            OptionError,
            "dtype must be float32 or float64. Got int32.",
        ),
        (
            lambda: Network([ReLU()], threads=0),
            OptionError,
            "threads must be 'auto' or a number of at least 1. Got 0.",
        ),
        (
            lambda: Network([ReLU()], micro_batch="all"),
            OptionError,
            "micro_batch must be 'auto' or a number of at least 1. Got 'all'.",
        ),
        (
            lambda: Network([ReLU()], impl="navie"),
            UnknownName,
            "no implementation is named 'navie'. Did you mean 'naive'?",
        ),
        (
            lambda: Network([Dense(4), Softmax()]).predict(X),
            ShapeError,
            "dense1: needs samples that are one row of numbers. Got shape (8, 7, 2): put a flatten"
            " layer before it.",
        ),
        (
            lambda: Network([Flatten(), Conv2D(2, 2)]).predict(X),
            ShapeError,
            "conv1: needs images of (rows, columns, channels). Got samples of shape (112,); it must"
            " stand before flatten and dense.",
        ),
        (
            lambda: Network([Conv2D(2, 9)]).predict(X),
            ShapeError,
            "conv1: a 9x9 window does not fit on an image of 8x7",
        ),
        (
            lambda: Network([Flatten(), Dense(None), Softmax()]).predict(X),
            OptionError,
            "dense1: units is missing: only the last dense layer may leave it out.",
        ),
        (
            lambda: Network([Flatten(), Dense(4)]).train(X, Y, 0.1),
            OptionError,
            "the loss is cross-entropy, so the last layer must be softmax after a dense layer. Got"
            " dense of output shape (4,).",
        ),
        (
            lambda: Network([Softmax()]).evaluate(X, Y),
            OptionError,
            "Got softmax of output shape (8, 7, 2).",
        ),
        (
            lambda: softmax_net().train(X, Y[:5], 0.1),
            ShapeError,
            "X has 11 samples and Y has 5 labels.",
        ),
        (
            lambda: softmax_net().train(X, Y + 1, 0.1),
            ShapeError,
            "labels must lie in 0 … 3, for the 4 outputs of the last layer. Got 1 … 4.",
        ),
        (
            lambda: softmax_net().train(X, Y - 1, 0.1),
            ShapeError,
            "labels must lie in 0 … 3, for the 4 outputs of the last layer. Got -1 … 2.",
        ),
        (
            lambda: softmax_net().evaluate(X, np.ones((11, 4))),
            ShapeError,
            "Y has rows that are not one-hot: one entry must be 1, all others 0.",
        ),
        (
            lambda: softmax_net().evaluate(X, np.ones((11, 3))),
            ShapeError,
            "Y must be integer labels (n_m,) or one-hot rows (n_m, 4). Got shape (11, 3) of"
            " float64.",
        ),
        (
            lambda: softmax_net().evaluate(X, Y + 0.5),
            ShapeError,
            "Y must be integer labels (n_m,) or one-hot rows (n_m, 4). Got shape (11,) of float64.",
        ),
        (
            lambda: softmax_net().build((8, 7, 2)).predict(X[:, :4]),
            ShapeError,
            "X must be samples of shape (8, 7, 2), the network was built for them. Got (4, 7, 2).",
        ),
        (
            lambda: softmax_net().predict(Y),
            ShapeError,
            "X must be samples (n_m, …), one at least. Got shape (11,).",
        ),
        (
            lambda: softmax_net().evaluate(X[:0], Y[:0]),
            ShapeError,
            "X must be samples (n_m, …), one at least. Got shape (0, 8, 7, 2).",
        ),
        (
            lambda: softmax_net().summary(),
            ShapeError,
            "summary: the network has no parameters yet. Call build(input_shape) first, or train,"
            " evaluate or predict.",
        ),
        (
            lambda: softmax_net().weights(),
            ShapeError,
            "weights: the network has no parameters yet.",
        ),
        (lambda: softmax_net().parameters, ShapeError, "parameters: the network has no parameters"),
        (lambda: softmax_net().input_shape, ShapeError, "input_shape: the network has no"),
    ],
)
def test_mistakes_say_what_was_asked_found_and_wanted(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)


@pytest.mark.parametrize("ask", [lambda n: n.output_shape, lambda n: n.step_memory()])
def test_what_is_known_of_a_built_network_only(ask):
    with pytest.raises(ShapeError, match="the network has no parameters yet"):
        ask(Network([Flatten(), Dense(3), Softmax()]))
