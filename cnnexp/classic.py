"""The names of cnn-numpy over our layers and network.

Code written for the original's classes runs as it is::

    from cnnexp.classic import *

    l1 = ConvLayer(32, 3)
    l2 = PoolLayer_Max(2)
    l3 = FlatLayer()
    l4 = FCLayer_ReLU(100)
    l5 = FCLayer_Softmax(10)
    net = Net([l1, l2, l3, l4, l5])

    layers, cce, ce = net.train((X, Y), 0.1)
    A, cce, ce = net.evaluate(X, Y)
    A = net.predict(X)

What is computed differently is listed, with reasons, in ``docs/original.md``.

References
----------
David Stein, cnn-numpy, https://www.github.com/neuron-whisperer/cnn-numpy
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from numbers import Real
from typing import Any, overload

import numpy.typing as npt

from cnnexp.errors import OptionError
from cnnexp.nn.convolutions import Conv2D
from cnnexp.nn.layer import Layer
from cnnexp.nn.layers import AvgPool2D, Dense, Flatten, MaxPool2D
from cnnexp.nn.network import Network

__all__ = [
    "ConvLayer",
    "FCLayer_ReLU",
    "FCLayer_Sigmoid",
    "FCLayer_Softmax",
    "FlatLayer",
    "Net",
    "PoolLayer_Avg",
    "PoolLayer_Max",
]


Array = npt.NDArray[Any]


class _Weights(Layer):
    """Parameters under the original's letters; there are none before the first batch."""

    @property
    def W(self) -> Array | None:
        """Weights: (f_w, f_w, n_c, n_f) of a convolution, (n_in, units) of a dense layer."""
        return self.params.get("W")

    @property
    def b(self) -> Array | None:
        """Biases, one for each filter or unit."""
        return self.params.get("b")


class ConvLayer(_Weights, Conv2D):
    """A convolution without an activation: its result is ``Z``.

    Parameters
    ----------
    n_f : int
        Number of filters.
    f_w : int
        Rows and columns of a filter.
    s : int
        Stride.
    p : int
        Pixels of padding on every side.

    Examples
    --------
    >>> ConvLayer(32, 3).infer_shape((28, 28, 1))
    (26, 26, 32)
    """

    def __init__(self, n_f: int, f_w: int, s: int = 1, p: int = 0) -> None:
        super().__init__(filters=n_f, kernel_size=f_w, stride=s, padding=p)
        self.n_f, self.f_w, self.s, self.p = n_f, f_w, s, p


class PoolLayer_Max(MaxPool2D):  # noqa: N801  (the original's name)
    """Max pooling.

    Parameters
    ----------
    f_w : int
        Rows and columns of the window.
    s : int, optional
        Stride; the width of the window if not given, so that windows do not overlap.
    p : int
        Pixels of padding on every side.

    Examples
    --------
    >>> PoolLayer_Max(2).infer_shape((26, 26, 32))
    (13, 13, 32)
    """

    def __init__(self, f_w: int, s: int | None = None, p: int = 0) -> None:
        super().__init__(kernel_size=f_w, stride=s, padding=p)
        self.f_w, self.s, self.p = f_w, f_w if s is None else s, p


class PoolLayer_Avg(AvgPool2D):  # noqa: N801  (the original's name)
    """Average pooling; takes what `PoolLayer_Max` takes."""

    def __init__(self, f_w: int, s: int | None = None, p: int = 0) -> None:
        super().__init__(kernel_size=f_w, stride=s, padding=p)
        self.f_w, self.s, self.p = f_w, f_w if s is None else s, p


class FlatLayer(Flatten):
    """Lays the values of an image in one row."""


class _FCLayer(_Weights, Dense):
    """A dense layer with an activation; its biases stand in ``b``, not at the end of ``W``."""

    _activation: str

    def __init__(self, units: int) -> None:
        super().__init__(units=units, activation=self._activation)


class FCLayer_ReLU(_FCLayer):  # noqa: N801  (the original's name)
    """A dense layer with a ReLU.

    Parameters
    ----------
    units : int
        Number of neurons.
    """

    _activation = "relu"


class FCLayer_Sigmoid(_FCLayer):  # noqa: N801  (the original's name)
    """A dense layer with a sigmoid.

    Parameters
    ----------
    units : int
        Number of neurons.
    """

    _activation = "sigmoid"


class FCLayer_Softmax(_FCLayer):  # noqa: N801  (the original's name)
    """A dense layer with a softmax: the last layer of a network.

    Parameters
    ----------
    units : int
        Number of classes.
    """

    _activation = "softmax"


class Net:
    """A network of layers in a row, with the original's methods.

    Parameters
    ----------
    layers : sequence of layers
        From input to output. Layers that have been trained, such as a copy that `train` returned,
        keep their parameters.
    **options
        ``impl``, ``dtype``, ``seed``, ``threads``, ``micro_batch``: see `cnnexp.Network`.

    Examples
    --------
    >>> import numpy as np
    >>> X, Y = np.zeros((5, 8, 8, 1)), np.array([0, 1, 2, 3, 4])
    >>> net = Net([FlatLayer(), FCLayer_Softmax(10)])
    >>> layers, cce, ce = net.train(X, Y, 0.1)
    >>> round(cce, 4)
    2.3026
    """

    def __init__(self, layers: Sequence[Layer], **options: Any) -> None:
        self._options = options
        self.layers = list(layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers; giving the network other ones replaces its parameters by theirs."""
        return self._layers

    @layers.setter
    def layers(self, layers: Sequence[Layer]) -> None:
        self._layers = list(layers)
        self.network = Network(self._layers, **self._options)
        trained = {
            f"{layer.name}.{key}": array
            for layer in self._layers
            for key, array in layer.params.items()
        }
        if not trained:
            return
        input_shape = getattr(self._layers[0], "input_shape", None)
        if input_shape is None:
            raise OptionError("a new layer cannot stand before layers that have been trained.")
        self.network.build(input_shape)
        self.network.load_weights(self.network.weights() | trained)

    @overload
    def train(
        self, X: Array, Y: Array, learning_rate: float
    ) -> tuple[list[Layer], float, float | None]: ...

    @overload
    def train(
        self, X: tuple[Array, Array], *, learning_rate: float
    ) -> tuple[list[Layer], float, float | None]: ...

    @overload
    def train(
        self, X: tuple[Array, Array], Y: float
    ) -> tuple[list[Layer], float, float | None]: ...

    def train(
        self, X: Any, Y: Any = None, learning_rate: Any = None
    ) -> tuple[list[Layer], float, float | None]:
        """Take one gradient step on one mini-batch.

        Called as ``train(X, Y, learning_rate)`` or as ``train((X, Y), learning_rate)``.

        Parameters
        ----------
        X : array (n_m, ih, iw, n_c) or (n_m, features)
            Samples.
        Y : array (n_m,) or (n_m, classes)
            Integer labels, or one-hot rows.
        learning_rate : float
            Factor of the gradient of the mean loss.

        Returns
        -------
        layers : list of layers
            A copy of all layers after the step.
        cce, ce : float
            Cross-entropy and classification error of the mini-batch before the step, both means.
        """
        if Y is None or learning_rate is None:
            rate = Y if learning_rate is None else learning_rate
            if not (isinstance(X, (tuple, list)) and len(X) == 2 and isinstance(rate, Real)):
                raise OptionError(
                    "train takes (X, Y, learning_rate) or ((X, Y), learning_rate), with a number as"
                    " the learning rate."
                )
            (X, Y), learning_rate = X, rate
        cce, ce = self.network.train(X, Y, learning_rate)
        return copy.deepcopy(self.layers), cce, ce

    def evaluate(self, X: Array, Y: Array) -> tuple[Array, float, float | None]:
        """Return the network's output for `X`, and mean cross-entropy and error against `Y`."""
        return self.network.evaluate(X, Y)

    def predict(self, X: Array) -> Array:
        """Return the network's output for `X`: the probabilities of the classes."""
        return self.network.predict(X)
