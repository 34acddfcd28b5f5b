"""Activations: elementwise functions of `Z`, and the softmax.

Each forward function returns ``A``. Each backward function takes ``dA`` and the ``A`` that the
forward pass gave and returns ``dZ``; the derivatives of these functions can all be written in terms
of their result, so nothing else has to be kept::

    ReLU      A = max(Z, 0)          dZ = dA · [A > 0]         (the derivative at 0 is 0)
    sigmoid   A = 1 / (1 + exp -Z)   dZ = dA · A · (1 - A)
    tanh      A = tanh Z             dZ = dA · (1 - A²)
    softmax   A = exp Z / Σ exp Z    dZ = A · (dA - Σ A·dA)    (sums over the classes)
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.scratch import Array


def relu(Z: Array, out: Array | None = None) -> Array:
    """Return ``max(Z, 0)``.

    Examples
    --------
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    A: Array = np.maximum(Z, Z.dtype.type(0), out=out)
    return A


def relu_backward(dA: Array, A: Array, out: Array | None = None) -> Array:
    """Return ``dZ`` of a ReLU; where ``Z`` was zero or below it is zero."""
    dZ: Array = np.multiply(dA, A > 0, out=out)
    return dZ


def sigmoid(Z: Array) -> Array:
    """Return the logistic function, without overflow for large negative `Z`.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    half = Z.dtype.type(0.5)
    A: Array = half * np.tanh(half * Z) + half
    return A


def sigmoid_backward(dA: Array, A: Array) -> Array:
    """Return ``dZ`` of a sigmoid."""
    dZ: Array = dA * A * (1 - A)
    return dZ


def tanh(Z: Array) -> Array:
    """Return the hyperbolic tangent."""
    A: Array = np.tanh(Z)
    return A


def tanh_backward(dA: Array, A: Array) -> Array:
    """Return ``dZ`` of a tanh."""
    dZ: Array = dA * (1 - A * A)
    return dZ


def softmax(Z: Array) -> Array:
    """Return probabilities over the last axis, shifted by the maximum so that none overflows.

    Examples
    --------
    >>> softmax(np.array([[1000.0, 1000.0]]))
    array([[0.5, 0.5]])
    """
    A: Array = np.exp(Z - Z.max(axis=-1, keepdims=True))
    A /= A.sum(axis=-1, keepdims=True)
    return A


def softmax_backward(dA: Array, A: Array) -> Array:
    """Return ``dZ`` of a softmax over the last axis."""
    dZ: Array = A * (dA - (A * dA).sum(axis=-1, keepdims=True))
    return dZ
