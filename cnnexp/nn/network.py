"""A network: layers in a row, trained with softmax and cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np
import numpy.typing as npt

from cnnexp.engine import KERNELS, Array, Kernels
from cnnexp.errors import CnnexpError, OptionError, ShapeError
from cnnexp.nn import inside, weights
from cnnexp.nn.batch import Batch
from cnnexp.nn.layer import LAYERS, Layer, Shape
from cnnexp.nn.layers import Softmax
from cnnexp.nn.losses import Loss, labels_of, softmax_cross_entropy
from cnnexp.nn.micro_batch import (
    automatic_inference_micro_batch,
    automatic_micro_batch,
    automatic_threads,
)
from cnnexp.nn.parameters import ParameterVector, chunks
from cnnexp.nn.passes import Engine
from cnnexp.nn.profile import Profile
from cnnexp.nn.steps import Step, plan
from cnnexp.nn.workers import Workers, not_finite_is_no_news, one_blas_thread

WEIGHTS = 1  # the purpose of a draw, part of its seed


class Network:
    """Layers in a row.

    Parameters are made from the shape of the first batch, or by `build`.

    Parameters
    ----------
    layers : sequence of Layer
        From input to output; ``activation=…`` on a layer stands for one more layer. The network
        owns them from now on.
    impl : str or Kernels
        The implementation of convolution and pooling, a name from `cnnexp.engine.KERNELS`.
    dtype : {"float32", "float64"}
        Type of parameters and of all arithmetic.
    seed : int
        Seed of the initial weights; they are the same under every implementation.
    threads : int or "auto"
        Workers that share the pieces of a batch: threads, or, for training on Linux, processes.
        The results do not depend on it.
    micro_batch : int or "auto"
        Samples of a piece in training. Results depend on it in their last bits.
    inference_micro_batch : int or "auto"
        Samples of a piece where nothing is kept for a backward pass. No more samples than that are
        cut as in training, so that workers can share them.
    fuse : bool
        Whether the implementation may compute layers that belong together as one.

    Examples
    --------
    >>> from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax
    >>> net = Network([Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10), Softmax()])
    >>> X, Y = np.zeros((5, 8, 8, 1)), np.array([0, 1, 2, 3, 4])
    >>> cce, ce = net.train(X, Y, learning_rate=0.1)
    >>> net.predict(X).shape
    (5, 10)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        impl: str | Kernels = "fast",
        dtype: npt.DTypeLike = "float32",
        seed: int = 0,
        threads: int | str = 1,
        micro_batch: int | str = "auto",
        inference_micro_batch: int | str = "auto",
        fuse: bool = True,
    ) -> None:
        self.layers = expand_activations(layers)
        if len({id(layer) for layer in self.layers}) < len(self.layers):
            raise OptionError("a layer object stands in the list twice; make two of them.")
        if not self.layers:
            raise OptionError("a network needs at least one layer.")
        name_layers(self.layers)
        self.kernels = KERNELS[impl]() if isinstance(impl, str) else impl
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise OptionError(f"dtype must be float32 or float64. Got {self.dtype}.")
        self.seed = seed
        self.threads = _count("threads", threads)
        self.micro_batch = _count("micro_batch", micro_batch)
        self.inference_micro_batch = _count("inference_micro_batch", inference_micro_batch)
        self.fuse = fuse
        self.built = False

    def __repr__(self) -> str:
        size = f"{self.parameter_count:,} parameters" if self.built else "not built yet"
        layers = ", ".join(layer.name for layer in self.layers)
        return f"Network({layers}; impl={self.kernels.name!r}, {self.dtype}, {size})"

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample; known once the network is built."""
        self._need_built("input_shape")
        return self.layers[0].input_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of one sample's result; known once the network is built."""
        self._need_built("output_shape")
        return self.layers[-1].output_shape

    @property
    def parameters(self) -> Array:
        """All parameters as one vector: changing it changes the network."""
        self._need_built("parameters")
        return self._engine.vector.values

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        return int(self.parameters.size)

    def build(self, input_shape: Shape) -> Network:
        """Draw the parameters for samples of this shape; once built, nothing happens.

        Raises
        ------
        ShapeError
            If a layer cannot take what the one before it gives.
        """
        if self.built:
            return self
        shape = tuple(input_shape)
        ordinal = 0
        for layer in self.layers:
            generator = np.random.default_rng(np.random.SeedSequence([self.seed, WEIGHTS, ordinal]))
            try:
                layer.build(shape, generator, self.dtype)
            except CnnexpError as error:
                raise type(error)(f"{layer.name}: {error}") from None
            shape = layer.output_shape
            ordinal += bool(layer.params)
        vector = ParameterVector(self.layers, self.dtype)
        if self.threads == "auto":
            self.threads = automatic_threads(self.kernels)
        steps = self._steps()
        if self.micro_batch == "auto":
            self.micro_batch = automatic_micro_batch(self.kernels, steps, self.dtype.itemsize)
        if self.inference_micro_batch == "auto":
            self.inference_micro_batch = automatic_inference_micro_batch(
                self.kernels, steps, self.dtype.itemsize
            )
        self._engine = Engine(steps, vector, self.kernels, Workers(int(self.threads)))
        self.built = True
        return self

    def train(self, X: Array, Y: Array, learning_rate: float) -> tuple[float, float]:
        """Take one plain gradient step on one batch.

        Parameters
        ----------
        X : array (n_m, ih, iw, n_c) or (n_m, features)
            Samples; images with one channel may leave that axis out.
        Y : array (n_m,) or (n_m, classes)
            Integer labels, or one-hot rows.
        learning_rate : float
            Factor of the gradient of the mean loss.

        Returns
        -------
        cce, ce : float
            Categorical cross-entropy in nats and classification error of the batch, both means,
            before the step.
        """
        loss, gradient = self.gradients(X, Y)
        rate = gradient.dtype.type(learning_rate)
        for chunk in chunks(gradient.size):
            gradient[chunk] *= rate
            self.parameters[chunk] -= gradient[chunk]
        return loss.cce, loss.ce

    def gradients(self, X: Array, Y: Array) -> tuple[Loss, Array]:
        """Return the loss of a batch and the gradient of its mean for `parameters`.

        The gradient is one vector, reused by the next call.
        """
        return self.batch_gradients(self.batch(X, Y))

    def batch(self, X: Array, Y: Array) -> Batch:
        """Return samples and labels as a batch, checked once: for many steps on the same arrays."""
        X = self._samples(X)
        labels = labels_of(Y, self._classes())
        if len(X) != len(labels):
            raise ShapeError(f"X has {len(X)} samples and Y has {len(labels)} labels.")
        return Batch(X, labels)

    def batch_gradients(self, batch: Batch) -> tuple[Loss, Array]:
        """Return the loss and the gradient, as `gradients` does, for a checked batch."""
        with one_blas_thread():
            return self._engine.gradients(batch, int(self.micro_batch))

    def evaluate(self, X: Array, Y: Array) -> tuple[Array, float, float]:
        """Return probabilities (n_m, classes), mean cross-entropy in nats, and the error.

        Any number of samples may be given; they are computed in pieces.
        """
        batch = self.batch(X, Y)
        Z = self._scores(batch.X)
        with not_finite_is_no_news():
            loss, _ = softmax_cross_entropy(Z, batch.labels, max(batch.size, 1))
        return self._activate(Z), loss.cce, loss.ce

    def predict(self, X: Array) -> Array:
        """Return the output of the last layer, (n_m, classes)."""
        return self._activate(self._scores(self._samples(X)))

    def activations(self, X: Array) -> list[tuple[str, Array]]:
        """Return name and result of every layer, for a few samples; nothing is fused.

        Returns
        -------
        list of (str, array)
            From the first layer to the last; arrays are (n_m, …), each with memory of its own.

        Examples
        --------
        >>> from cnnexp import Dense, Flatten, Network
        >>> net = Network([Flatten(), Dense(3, activation="relu")])
        >>> [(name, A.shape) for name, A in net.activations(np.ones((2, 4, 4, 1)))]
        [('flatten1', (2, 16)), ('dense1', (2, 3)), ('relu1', (2, 3))]
        """
        X = self._samples(X)
        with one_blas_thread():
            return inside.activations(self.layers, self.kernels, X)

    def saliency(self, X: Array, labels: Array) -> Array:
        """Return how the score of a class changes with every pixel, for a few samples.

        Parameters
        ----------
        X : array (n_m, …)
            Samples.
        labels : integer array (n_m,) or one-hot (n_m, classes)
            The class of each sample whose score is looked at, right or not. A score is what goes
            into the final softmax.

        Returns
        -------
        array (n_m, …)
            The gradient, of the shape of the samples.

        References
        ----------
        K. Simonyan, A. Vedaldi, A. Zisserman, Deep Inside Convolutional Networks: Visualising
        Image Classification Models and Saliency Maps, 2014
        """
        batch = self.batch(X, labels)
        with one_blas_thread():
            return inside.input_gradient(self.layers[:-1], self.kernels, batch.X, batch.labels)

    def profile(self) -> Profile:
        """Measure every step of training from now on, and return where the figures gather."""
        self._need_built("profile")
        return self._engine.watch()

    def weights(self) -> dict[str, Array]:
        """Return copies of all parameters by name, for example ``conv1.W``."""
        self._need_built("weights")
        return weights.collect(self.layers)

    def load_weights(self, values: Mapping[str, Array]) -> Network:
        """Copy parameters from a dictionary as `weights` returns it."""
        self._need_built("load_weights")
        weights.assign(self.layers, values)
        return self

    def summary(self) -> str:
        """Return a table: layer, output shape, parameters, multiply-adds of one sample."""
        self._need_built("summary")
        rows = [("layer", "type", "output shape", "parameters", "multiply-adds")]
        for layer in self.layers:
            count = sum(array.size for array in layer.params.values())
            shape = " x ".join(str(size) for size in layer.output_shape)
            rows.append((layer.name, layer.type, shape, f"{count:,}", f"{layer.multiply_adds:,}"))
        total = sum(layer.multiply_adds for layer in self.layers)
        rows.append(("total", "", "", f"{self.parameter_count:,}", f"{total:,}"))
        together = [
            f"computed together: {step.name} ({step.fusion.name})"
            for step in self._engine.steps
            if step.fusion is not None
        ]
        return "\n".join([_table(rows), *together])

    def _steps(self) -> list[Step]:
        """Return the steps of a pass; a final softmax is left to the loss."""
        layers = self.layers[:-1] if self._ends_in_softmax else self.layers
        return plan(layers, self.kernels, self.fuse)

    @property
    def _ends_in_softmax(self) -> bool:
        return isinstance(self.layers[-1], Softmax)

    def _scores(self, X: Array) -> Array:
        size = int(self.inference_micro_batch)
        if len(X) <= size:
            size = min(size, int(self.micro_batch))
        with one_blas_thread():
            return self._engine.outputs(X, size)

    def _activate(self, Z: Array) -> Array:
        if not self._ends_in_softmax:
            return Z
        with not_finite_is_no_news():
            return self.layers[-1].forward(Z, self._engine.context())[0]

    def _classes(self) -> int:
        """Return the number of classes, or say why there is no loss."""
        if not self._ends_in_softmax or len(self.output_shape) != 1:
            raise OptionError(
                "the loss is cross-entropy, so the last layer must be softmax after a dense layer."
                f" Got {self.layers[-1].type} of output shape {self.output_shape}."
            )
        return self.output_shape[0]

    def _samples(self, X: Array) -> Array:
        """Return samples in the network's dtype and shape; build the network if needed."""
        X = np.asarray(X)
        if X.ndim < 2 or not len(X):
            raise ShapeError(f"X must be samples (n_m, …), one at least. Got shape {X.shape}.")
        if not self.built:
            self.build((*X.shape[1:], 1) if X.ndim == 3 else X.shape[1:])
        if X.shape[1:] != self.input_shape and (*X.shape[1:], 1) == self.input_shape:
            X = X[..., None]
        if X.shape[1:] != self.input_shape:
            raise ShapeError(
                f"X must be samples of shape {self.input_shape}, the network was built for them."
                f" Got {X.shape[1:]}."
            )
        return X.astype(self.dtype, copy=False)

    def _need_built(self, what: str) -> None:
        if not self.built:
            raise ShapeError(
                f"{what}: the network has no parameters yet. Call build(input_shape) first,"
                " or train, evaluate or predict."
            )


def expand_activations(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with a layer of its own for each ``activation``."""
    expanded: list[Layer] = []
    for layer in layers:
        if not isinstance(layer, Layer):
            raise OptionError(f"a network is made of layers, such as Dense(10). Got {layer!r}.")
        expanded.append(layer)
        activation = getattr(layer, "activation", None)
        if activation is not None:
            expanded.append(LAYERS[activation]())
    return expanded


def name_layers(layers: Sequence[Layer]) -> None:
    """Name layers by type and number, for example conv1, relu1, conv2."""
    counts: dict[str, int] = {}
    for layer in layers:
        counts[layer.type] = counts.get(layer.type, 0) + 1
        layer.name = f"{layer.type}{counts[layer.type]}"


def _count(name: str, value: int | str) -> int | str:
    """Return a positive number or "auto"."""
    if isinstance(value, str) and value == "auto":
        return value
    if isinstance(value, Integral) and not isinstance(value, bool) and value >= 1:
        return int(value)
    raise OptionError(f"{name} must be 'auto' or a number of at least 1. Got {value!r}.")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as text, two columns to the left and the others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if k < 2 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
