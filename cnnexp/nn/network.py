"""A network: layers in a row, or in blocks, and the loss that they are trained with."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Implementation, Limits, to_host
from cnnexp.errors import CnnexpError, ShapeError
from cnnexp.nn import arguments
from cnnexp.nn.blas import ignore_fp_warnings, one_blas_thread
from cnnexp.nn.executor import Executor, Serial, Threads, automatic_threads
from cnnexp.nn.introspection import Introspection
from cnnexp.nn.layer import Layer, Shape, name_layers, shape_after, walk
from cnnexp.nn.losses import LOSSES, Loss
from cnnexp.nn.micro_batch import automatic_micro_batch, in_inference
from cnnexp.nn.parameters import Parameter, Parameters
from cnnexp.nn.plan import Plan
from cnnexp.nn.processes import POSSIBLE, Processes
from cnnexp.nn.profile import Profile
from cnnexp.nn.runner import Batch, Runner, Task
from cnnexp.nn.saving import Saving

WEIGHTS = 1  # the purpose of a draw, part of its seed


class Network(Introspection, Saving):
    """Layers from input to output, with their parameters, a loss, and metrics.

    Parameters are made from the shape of the first batch, or by `build`.

    Parameters
    ----------
    layers : sequence of Layer
        From input to output; ``activation=…`` on a layer adds a separate layer after it. The
        layers belong to this network from now on.
    impl : str or Implementation
        The implementation of all operations, a name from `cnnexp.engine.IMPLEMENTATIONS`.
    dtype : {"float32", "float64"}
        Type of parameters and of all arithmetic.
    seed : int
        Seed of the initial weights and of the random draws of layers such as dropout; they are the
        same under every implementation.
    threads : int or "auto"
        Workers that share the micro-batches: threads, or, for training on Linux, processes. The
        results do not depend on it.
    micro_batch : int or "auto"
        Samples of a micro-batch in training. Results depend on it in their last bits.
    inference_micro_batch : int or "auto"
        Samples of a micro-batch in inference. A batch of at most this many samples is cut as in
        training, so that workers can share it.
    fuse : bool
        Whether the implementation may compute several layers as one step.
    loss : str or Loss
        What training minimises, a name from `cnnexp.nn.losses.LOSSES`.
    metrics : sequence of str
        Metrics beside those that suit the loss, names from `cnnexp.nn.losses.METRICS`.
    limits : Limits, optional
        Sizes of blocks, and thresholds between methods.

    Examples
    --------
    >>> from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax
    >>> net = Network([Conv2D(4, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10), Softmax()])
    >>> X, Y = np.zeros((5, 8, 8, 1)), np.array([0, 1, 2, 3, 4])
    >>> loss, error = net.train(X, Y, learning_rate=0.1)
    >>> net.predict(X).shape
    (5, 10)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        impl: str | Implementation = "fast",
        dtype: npt.DTypeLike = "float32",
        seed: int = 0,
        threads: int | str = 1,
        micro_batch: int | str = "auto",
        inference_micro_batch: int | str = "auto",
        fuse: bool = True,
        loss: str | Loss = "cross_entropy",
        metrics: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self.layers = arguments.checked_layers(layers)
        name_layers(self.layers)
        self.implementation = arguments.checked_implementation(impl)
        self.dtype = arguments.checked_dtype(dtype)
        self.seed = arguments.checked_seed(seed)
        count = arguments.checked_count
        self.threads = count("threads", threads)
        arguments.check_workers(self.implementation, self.threads)
        self.micro_batch = count("micro_batch", micro_batch)
        self.inference_micro_batch = count("inference_micro_batch", inference_micro_batch)
        self.fuse, self.limits = fuse, limits or self.implementation.limits
        self.loss = arguments.checked_loss(loss)
        self.metrics = arguments.checked_metrics(self.loss.metrics)
        self.metrics |= arguments.checked_metrics(metrics)
        self.figures = ("loss", *self.metrics)  # the names of what is measured
        self.steps_done = 0
        self._new_state: Array | None = None
        self._lock, self._chosen = threading.RLock(), 0
        self._profile: Profile | None = None
        self.built = False

    def __repr__(self) -> str:
        size = f"{self.parameter_count:,} parameters" if self.built else "not built yet"
        layers = ", ".join(layer.name for layer in self.layers)
        return f"Network({layers}; impl={self.implementation.name!r}, {self.dtype}, {size})"

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
        return self._parameters.values

    @property
    def named_parameters(self) -> Sequence[Parameter]:
        """Path, kind and slice of the vector of every parameter, in the vector's order."""
        self._need_built("named_parameters")
        return self._parameters.entries

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
        with self._lock:
            if not self.built:
                self._build(self.layers, arguments.checked_shape(input_shape))
                self._compile()
                self.built = True
        return self

    def _build(self, layers: Sequence[Layer], shape: Shape) -> None:
        """Build layers, and those inside them; draws are seeded by their paths."""
        for layer in layers:
            seeds = [self.seed, WEIGHTS, *layer.path.encode()]
            generator = np.random.default_rng(np.random.SeedSequence(seeds))
            try:
                shape_after(layer, shape)
                layer.build(shape, generator, self.dtype)
            except CnnexpError as error:
                raise type(error)(f"{layer.path}: {error}") from None
            for branch in layer.children().values():
                self._build(branch, shape)
            shape = layer.output_shape

    def _compile(self) -> None:
        """Make the vectors, the plan, and the sizes that are set to "auto"."""
        xp, wide = self.implementation.xp, self.limits.cache
        self._parameters = Parameters(list(walk(self.layers)), self.dtype, wide, xp)
        self._plan = Plan(self._before_loss, self.implementation, self.fuse, self.seed, self.limits)
        self._plan.prepare(self.dtype)
        if self.threads == "auto":
            self.threads = automatic_threads(self.implementation)
        samples = automatic_micro_batch(self._plan, self._parameters)
        self._chosen = samples if self.micro_batch == "auto" else 0
        self.micro_batch = self._chosen or self.micro_batch
        if self.inference_micro_batch == "auto":
            self.inference_micro_batch = in_inference(samples)
        self._runner = self._new_runner()

    def suit_batches(self, samples: int) -> None:
        """Let workers share even mini-batches of so few samples, if the micro-batch is "auto"."""
        if self.micro_batch == self._chosen:
            self._chosen = automatic_micro_batch(self._plan, self._parameters, samples)
            self.micro_batch = self._chosen

    def _new_runner(self) -> Runner:
        """Return a runner of mini-batches for this process."""
        executor: Executor = Serial()
        if (workers := int(self.threads)) > 1:
            executor = Processes(workers) if POSSIBLE and not self._profile else Threads(workers)
        self._pid = os.getpid()
        task = Task(self.loss, list(self.metrics.values()))
        self._plan.profile = self._profile
        return Runner(self._plan, self._parameters, task, executor)

    def _ready(self) -> Runner:
        """Return the runner; a process that the user's program forked gets a new one."""
        if self._pid != os.getpid():
            self._lock = threading.RLock()
            self._runner = self._new_runner()
        return self._runner

    def train(self, X: Array, Y: Array, learning_rate: float) -> tuple[float, float | None]:
        """Take one plain gradient step on one mini-batch.

        Parameters
        ----------
        X : array (n_m, ih, iw, n_c) or (n_m, features)
            Samples; images with one channel may leave that axis out.
        Y : array (n_m,) or (n_m, …)
            Class indices, one-hot rows, or real values, as the loss takes them.
        learning_rate : float
            Factor of the gradient of the mean loss.

        Returns
        -------
        loss, error : float
            Means over the mini-batch before the step; the error is None if it is no metric.

        Raises
        ------
        ShapeError, OptionError
            If samples, targets or the learning rate are not finite, or do not fit the network.
        """
        rate = arguments.checked_rate(learning_rate)
        sums, gradient = self.gradients(X, Y)
        gradient *= gradient.dtype.type(rate)
        self.parameters[...] -= gradient
        self.take_state()
        means = self.means(sums)
        return means["loss"], means.get("error")

    def gradients(self, X: Array, Y: Array) -> tuple[Array, Array]:
        """Return the sums of a batch, and the gradient of its mean loss for `parameters`.

        The sums are those of `figures`, and the number of samples. The gradient is one vector. The
        next call overwrites both.
        """
        with one_blas_thread():
            return self.batch_gradients(self.batch(X, Y), self.steps_done)

    def batch(self, X: Array, Y: Array) -> Batch:
        """Return samples and targets, checked once: for many steps on the same arrays."""
        X = self._samples(X)
        self._need_loss()
        Y = arguments.as_array("Y", Y)
        targets = self.loss.check_targets(Y, self.output_shape, self.dtype)
        if len(X) != len(targets):
            raise ShapeError(f"X has {len(X)} samples and Y has {len(targets)} labels.")
        return Batch(X, targets)

    def batch_gradients(self, batch: Batch, step: int = 0) -> tuple[Array, Array]:
        """Return sums and gradient, as `gradients` does, for a checked batch.

        Callers that take many steps limit BLAS to one thread around them, by `one_blas_thread`.

        Parameters
        ----------
        batch : Batch
            A mini-batch.
        step : int
            The number of mini-batches before it: random draws depend on it.
        """
        with self._lock:
            runner = self._ready()
            found = runner.gradients(batch, int(self.micro_batch), step)
            self._new_state = runner.new_state() if self._parameters.state.size else None
            self.steps_done = step + 1
            return found

    def take_state(self) -> None:
        """Update the state of layers, such as running statistics, with the last mini-batch."""
        if self._new_state is not None:
            self._parameters.state[...] = self._new_state

    def means(self, sums: Array) -> dict[str, float]:
        """Return the figures by name as means per sample, given sums that end with a count."""
        *totals, samples = sums.tolist()
        return {
            name: total / samples if samples else float("nan")
            for name, total in zip(self.figures, totals, strict=True)
        }

    def evaluate(self, X: Array, Y: Array) -> tuple[Array, float, float | None]:
        """Return the network's output, the mean loss, and the error.

        Any number of samples may be given; they are cut into micro-batches. The error is None if
        it is not among the metrics.
        """
        A, figures = self.evaluate_figures(X, Y)
        return A, figures["loss"], figures.get("error")

    def evaluate_figures(self, X: Array, Y: Array) -> tuple[Array, dict[str, float]]:
        """Return the network's output, and the loss and all metrics by name."""
        batch = self.batch(X, Y)
        Z, targets = self._outputs(batch.X), batch.targets
        with ignore_fp_warnings():
            sums = [self.loss.forward(Z, targets)[0]]
            sums += [metric(Z, targets) for metric in self.metrics.values()]
        return self._activate(Z), self.means(np.array([*sums, batch.size]))

    def predict(self, X: Array) -> Array:
        """Return the output of the last layer, (n_m, …)."""
        return self._outputs(
            self._samples(X, whole=False),
            lambda part, first: arguments.as_finite("X", part, self.dtype, first),
            self._activate,
        )

    def profile(self) -> Profile:
        """Measure every step of training from now on, and return the profile.

        Figures of worker processes would be lost, so threads are used instead.
        """
        self._need_built("profile")
        name = LOSSES.name_of(type(self.loss))
        self._profile = Profile(self._plan, "+".join(filter(None, (self.loss.fuses, name))))
        self._runner.executor.close()
        self._runner = self._new_runner()
        return self._profile

    def weights(self) -> dict[str, Array]:
        """Return copies of all parameters and of the state by path, for example ``conv1.W``."""
        self._need_built("weights")
        return self._parameters.collect()

    def load_weights(self, values: Mapping[str, Array]) -> Network:
        """Copy parameters and state from a dictionary as `weights` returns it."""
        self._need_built("load_weights")
        self._parameters.assign(values)
        return self

    def close(self) -> None:
        """End worker processes and threads; new ones are started when needed."""
        if self.built:
            self._runner.executor.close()

    @property
    def _ends_in_loss(self) -> bool:
        """Whether the last layer is computed with the loss."""
        return bool(self.loss.fuses) and self.layers[-1].type == self.loss.fuses

    @property
    def _before_loss(self) -> Sequence[Layer]:
        """The layers without a last one that is computed with the loss."""
        return self.layers[:-1] if self._ends_in_loss else self.layers

    def _outputs(self, X: Array, *around: Any) -> Array:
        """Return the input of the loss, for samples `X`; `around` is for `Runner.outputs`."""
        size = int(self.inference_micro_batch)
        if len(X) <= size:
            size = min(size, int(self.micro_batch))
        with self._lock, one_blas_thread():
            return self._ready().outputs(X, size, *around)

    def _activate(self, Z: Array) -> Array:
        """Return the network's output, given the input of the loss."""
        if not self._ends_in_loss:
            return Z
        last, xp = self.layers[-1], self.implementation.xp
        with ignore_fp_warnings():
            return to_host(last.forward(xp.asarray(Z), self.context(last))[0])

    def _need_loss(self) -> None:
        """Raise OptionError if the last layer does not suit the loss."""
        if self.loss.fuses and not (self._ends_in_loss and len(self.output_shape) == 1):
            raise arguments.wrong_ending(self.loss, self.layers[-1])

    def _samples(self, X: Array, whole: bool = True) -> Array:
        """Return samples in the network's shape, as a `whole` also in its dtype and finite."""
        if not hasattr(X, "take_rows"):  # rows that are computed when they are used stay so
            X = arguments.as_numbers("X", X)
        if X.ndim < 2 or not len(X):
            raise ShapeError(f"X must be samples (n_m, …), one at least. Got shape {X.shape}.")
        with_channel = (*X.shape[1:], 1)
        self.build(with_channel if X.ndim == 3 else X.shape[1:])
        if X.shape[1:] != self.input_shape == with_channel:
            X = X[..., None]
        arguments.check_sample_shape(X.shape[1:], self.input_shape)
        if hasattr(X, "take_rows"):  # such rows are finite: the data set has looked at them
            return X.astype(self.dtype, copy=False)
        return arguments.as_finite("X", X, self.dtype) if whole else X

    def _need_built(self, what: str) -> None:
        if not self.built:
            raise ShapeError(
                f"{what}: the network has no parameters yet. Call build(input_shape) first,"
                " or train, evaluate or predict."
            )
