"""Looking into a network: its table, the feature maps of every layer, and which pixels matter.

The last two run every layer by itself, without fusions and without reusing memory, so that every
array can be kept. They are for a few samples: all of them are computed at once. The mode is
inference, so dropout does nothing and batch normalisation uses its running statistics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnexp.engine import Array, Context, Implementation, to_host
from cnnexp.nn.blas import one_blas_thread
from cnnexp.nn.html import escape
from cnnexp.nn.layer import Layer
from cnnexp.nn.losses import class_indices
from cnnexp.nn.memory import StepMemory, step_memory
from cnnexp.nn.parameters import Parameters
from cnnexp.nn.plan import Plan, Step, finish
from cnnexp.nn.summary import html, summary


class Introspection(ABC):
    """Table, feature maps and saliency of a network."""

    layers: list[Layer]
    implementation: Implementation
    micro_batch: int | str
    threads: int | str
    built: bool
    _plan: Plan
    _parameters: Parameters

    @property
    @abstractmethod
    def _before_loss(self) -> Sequence[Layer]:
        """The layers without a last one that is computed with the loss."""

    @abstractmethod
    def _samples(self, X: Array) -> Array:
        """Return samples in the network's dtype and shape; build the network if needed."""

    @abstractmethod
    def _need_built(self, what: str) -> None:
        """Say so if the network has no parameters yet."""

    @abstractmethod
    def _need_loss(self) -> None:
        """Raise OptionError if the last layer does not suit the loss."""

    def summary(self) -> str:
        """Return the tree as a table: shapes, receptive fields, parameters, multiply-adds."""
        self._need_built("summary")
        return summary(self.layers, self._plan, self.step_memory())

    def _repr_html_(self) -> str:
        """Return the table for notebooks."""
        if not self.built:
            return escape(repr(self))
        return html(self.layers, self._plan, self.step_memory())

    def step_memory(self, batch_size: int | None = None, optimizer: int = 0) -> StepMemory:
        """Return what a training step needs of memory, in bytes; see `cnnexp.nn.memory`.

        Parameters
        ----------
        batch_size : int, optional
            Samples of a mini-batch; a micro-batch for each worker if not given.
        optimizer : int
            Bytes of the optimizer's state, such as momentum.
        """
        self._need_built("summary")
        sizes = int(self.micro_batch), int(self.threads), batch_size, optimizer
        return step_memory(self._plan, self._parameters, *sizes)

    def activations(self, X: Array) -> list[tuple[str, Array]]:
        """Return path and result of every layer, for a few samples; nothing is fused.

        Returns
        -------
        list of (str, array)
            From the first layer to the last, those of a block before the block itself; arrays are
            (n_m, …), each with memory of its own.

        Examples
        --------
        >>> from cnnexp import Dense, Flatten, Network
        >>> net = Network([Flatten(), Dense(3, activation="relu")])
        >>> [(name, A.shape) for name, A in net.activations(np.ones((2, 4, 4, 1)))]
        [('flatten1', (2, 16)), ('dense1', (2, 3)), ('relu1', (2, 3))]
        """
        X = self._samples(X)
        plan = Plan(self.layers, self.implementation, fuse=False)
        found: list[tuple[str, Array]] = []
        with one_blas_thread():
            _collect(plan.steps, self.implementation.xp.asarray(X), _contexts(plan), found)
        return found

    def saliency(self, X: Array, labels: Array) -> Array:
        """Return how the logit of a class changes with every pixel, for a few samples.

        Parameters
        ----------
        X : array (n_m, …)
            Samples.
        labels : integer array (n_m,) or one-hot (n_m, classes)
            The class of each sample whose logit is looked at, right or not. Logits are what goes
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
        X = self._samples(X)
        self._need_loss()
        classes = class_indices(labels, self.layers[-1].output_shape[0])
        plan = Plan(self._before_loss, self.implementation, fuse=False, input_gradient=True)
        contexts, xp = _contexts(plan), self.implementation.xp
        with one_blas_thread():
            A, caches = finish(plan.forward(xp.asarray(X), contexts))
            dA = np.zeros(A.shape, A.dtype)
            dA[np.arange(len(classes)), classes] = 1
            dX = finish(plan.backward(caches, xp.asarray(dA), contexts))
            return np.array(to_host(dX), order="C")

    def context(self, layer: Layer, training: bool = False) -> Context:
        """Return a context with memory of its own, to call one layer of a built network."""
        operation = self.implementation.find(layer.operation)[0] if layer.operation else None
        return Context(
            operation=operation, training=training, state=layer.state, xp=self.implementation.xp
        )


def _contexts(plan: Plan) -> list[Context]:
    """Return contexts for one pass in inference whose caches are kept."""
    contexts = plan.contexts(reuse=False)
    for context in contexts:
        context.training = False
    return contexts


def _collect(
    steps: Sequence[Step], A: Array, contexts: Sequence[Context], found: list[tuple[str, Array]]
) -> Array:
    """Run some steps forward, and keep the result of each."""
    for step in steps:
        if step.branches:
            results = [_collect(branch, A, contexts, found) for branch in step.branches]
            container: Any = step.layer
            A, _ = container.join(results, contexts[step.index])
        else:
            A, _ = step.forward(A, contexts[step.index])
        found.append((step.name, np.array(to_host(A), order="C")))
    return A
