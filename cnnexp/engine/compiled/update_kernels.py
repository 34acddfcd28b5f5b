"""Kernels of the optimizers: a step in one pass over parameters, gradients and state.

NumPy writes and reads one of these vectors for each operation of a formula, four to twelve times
per step; here each is read once, and written once where it changes. The formulas are those of
`cnnexp.train.transforms`, with weight decay before (`decay`) or after them (`apart`)::

    momentum    v ← m·v + g         values -= rate · v, or with Nesterov  rate · (g + m·v)
    adam        mean ← β₁·mean + (1-β₁)·g     square ← β₂·square + (1-β₂)·g²
                values -= rate · mean · c₁ / (√square · c₂ + ε)
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

from cnnexp.engine.compiled.kernel import kernel


@kernel("out1 in1 number number out1 number int")
def momentum(values, gradient, rate, decay, velocity, factor, nesterov):
    """Take a step with momentum."""
    for i in range(len(values)):
        g = gradient[i] + decay * values[i]
        v = factor * velocity[i] + g
        velocity[i] = v
        values[i] -= rate * (g + factor * v if nesterov else v)


@kernel("out1 in1 number number number out1 out1" + 7 * " number")
def adam(
    values, gradient, rate, decay, apart, mean, square,
    beta1, rest1, beta2, rest2, epsilon, mean_factor, root_factor,
):  # fmt: skip
    """Take a step with running means of gradients and of their squares."""
    for i in range(len(values)):
        g = gradient[i] + decay * values[i]
        m = beta1 * mean[i] + rest1 * g
        s = beta2 * square[i] + rest2 * g * g
        mean[i], square[i] = m, s
        update = m * mean_factor / (math.sqrt(s) * root_factor + epsilon)
        values[i] -= rate * (update + apart * values[i])
