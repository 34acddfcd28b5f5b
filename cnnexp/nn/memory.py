"""What a training step needs of memory, worked out from the shapes.

Counted are five things, and nothing else:

- the parameters;
- their gradients: one vector for the mini-batch, and one for each further micro-batch, without
  those of wide dense layers, which are made once;
- the state of the optimizer, if it is given;
- the results of all steps, three times: the result, its gradient, and a copy of one of them in
  another order or for the backward pass; of a convolution that is computed together with its
  pooling, the convolution's result once as well;
- under all implementations but `naive`, the windows of all convolutions as columns, one row for
  each weight of a filter.

The last two are counted for the samples that are computed at the same time: a micro-batch for each
worker, or the whole mini-batch where samples depend on each other (batch normalisation). Not
counted are Python, the libraries, and the data set. What is measured (``tests/nn/test_memory.py``)
lies between 0.6 and 2.2 times the total.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from cnnexp.nn.layer import Layer
from cnnexp.nn.parameters import Parameters
from cnnexp.nn.plan import Plan, Step

COPIES = 3  # of every result: itself, its gradient, and one in another order
VIEWS = ("flatten", "reshape")  # their results are those of the layer before


class StepMemory(NamedTuple):
    """Bytes of a training step.

    Attributes
    ----------
    parameters, gradients, optimizer : int
        Of all parameters, of their gradients, and of the optimizer's state.
    results, columns : int
        Of one sample: results and their gradients, and the columns of convolutions.
    samples : int
        Samples that are computed at the same time.
    """

    parameters: int
    gradients: int
    optimizer: int
    results: int
    columns: int
    samples: int

    @property
    def total(self) -> int:
        """All of it."""
        fixed = self.parameters + self.gradients + self.optimizer
        return fixed + self.samples * (self.results + self.columns)

    def sentence(self) -> str:
        """Say in a line what does not depend on how many samples are computed at the same time."""
        fixed = f"parameters {megabytes(self.parameters)}, gradients {megabytes(self.gradients)}"
        each = megabytes(self.results + self.columns)
        return f"memory of a training step: {fixed}, and {each} for each sample at a time"


def megabytes(count: int) -> str:
    """Return a number of bytes for people.

    Examples
    --------
    >>> megabytes(2_168_920), megabytes(130_000_000), megabytes(500)
    ('2.2 MB', '130 MB', '0.0005 MB')
    """
    value = count / 1e6
    return f"{value:,.0f} MB" if value >= 100 else f"{value:.2g} MB"


def step_memory(
    plan: Plan,
    parameters: Parameters,
    micro_batch: int,
    workers: int = 1,
    batch_size: int | None = None,
    optimizer: int = 0,
) -> StepMemory:
    """Work out what a training step needs.

    Parameters
    ----------
    plan, parameters : Plan, Parameters
        Of a built network.
    micro_batch, workers : int
        Samples of a micro-batch, and who shares them.
    batch_size : int, optional
        Samples of a mini-batch; a micro-batch for each worker if not given.
    optimizer : int
        Bytes of the optimizer's state.
    """
    batch_size = micro_batch * workers if batch_size is None else batch_size
    parts = -(-batch_size // micro_batch)
    vector, item = parameters.values.nbytes, parameters.values.itemsize
    at_once = batch_size if plan.cross_sample else min(batch_size, micro_batch * workers)
    steps = [step for step in plan.all_steps if not step.branches]
    return StepMemory(
        parameters=vector,
        gradients=vector + (parts - 1) * parameters.direct * item,
        optimizer=optimizer,
        results=COPIES * item * sum(_result(step) for step in steps),
        columns=item * sum(_columns(layer) for step in steps for layer in _in_columns(step)),
        samples=at_once,
    )


def _result(step: Step) -> int:
    """Return the numbers of one sample's result, with what a step keeps of those inside it."""
    *inner, last = step.layers
    if last.type in VIEWS:
        return 0
    pooled = [layer for layer in inner if layer.output_shape != last.output_shape]
    inside = sum(math.prod(layer.output_shape) for layer in pooled if layer.operation == "conv")
    return math.prod(last.output_shape) + inside // COPIES


def _in_columns(step: Step) -> list[Layer]:
    """Return the convolutions of a step that are computed from columns."""
    if step.origin == "naive":
        return []
    return [layer for layer in step.layers if layer.operation == "conv"]


def _columns(layer: Layer) -> int:
    """Return the numbers of one sample's windows."""
    windows: int = math.prod(layer.geometry.out)
    return windows * math.prod(layer.params["W"].shape[:3])
