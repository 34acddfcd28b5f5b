"""Layers of ours computed by SciPy: an oracle that needs no PyTorch, and shares no code with us.

Every convolution is a `scipy.signal.correlate` for one sample and one filter, and both gradients
are such correlations too. Average pooling is a correlation with a constant. The largest values of
max-pooling are those of `scipy.ndimage.maximum_filter`; SciPy has no gradient of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage, signal

from cnnexp import Layer
from cnnexp.engine import Window
from cnnexp.engine.window import pair

Arrays = dict[str, np.ndarray]


def layer_by_scipy(layer: Layer, A: np.ndarray, dZ: np.ndarray, params: Arrays) -> Arrays:
    """Return the result ``Z``, the gradient ``dA`` of the input, and those of all parameters.

    Parameters
    ----------
    layer : Layer
        A built layer, or one of several convolutions in a row.
    A, dZ : array (n_m, ih, iw, n_c), (n_m, oh, ow, n_f)
        Samples, and the gradient of the result.
    params : dict of str to array
        Parameters by path, as `Network.weights` returns them.
    """
    if layer.type == "max_pool":
        return {"Z": _largest(A, layer.geometry)}
    if layer.type == "avg_pool":
        window, n_c = layer.geometry, A.shape[3]
        share = np.full((*window.kernel, 1, n_c), 1 / window.size)
        found = _convolution(A, dZ, share, np.zeros(n_c), window)
        return {"Z": found["Z"], "dA": found["dA"]}
    parts = [part for part in getattr(layer, "parts", [layer]) if part.params]
    return _chain(parts, A, dZ, params)


def _chain(parts: list[Any], A: np.ndarray, dZ: np.ndarray, params: Arrays) -> Arrays:
    """Return the same of convolutions in a row: forward through all, and back."""
    part, *others = parts
    W, b = params[f"{part.path}.W"], params[f"{part.path}.b"]
    inner: Arrays = {}
    if others:
        nothing = np.zeros((len(A), *part.output_shape))
        inner = _chain(others, _one(part, A, nothing, W, b)["Z"], dZ, params)
        dZ = inner.pop("dA")
    found = _one(part, A, dZ, W, b)
    grads = {f"{part.path}.{name}": found.pop(name) for name in "Wb"}
    return found | inner | grads


def _one(layer: Any, A: np.ndarray, dZ: np.ndarray, W: np.ndarray, b: np.ndarray) -> Arrays:
    if layer.type == "transposed_conv":
        return _transposed(layer, A, dZ, W, b)
    return _convolution(A, dZ, W, b, layer.geometry)


def _convolution(
    A: np.ndarray, dZ: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window
) -> Arrays:
    """Return result and gradients of a convolution; its groups follow from the channels of W."""
    rows, cols = window.rows, window.cols
    padded = np.pad(A, ((0, 0), (rows.before, rows.after), (cols.before, cols.after), (0, 0)))
    kernels = np.zeros((rows.reach, cols.reach, *W.shape[2:]))
    kernels[:: rows.dilation, :: cols.dilation] = W
    positions = padded.shape[1] - rows.reach + 1, padded.shape[2] - cols.reach + 1
    spread = np.zeros((len(A), *positions, len(b)))
    at = slice(None, None, rows.stride), slice(None, None, cols.stride)
    spread[:, at[0], at[1]][:, : rows.out, : cols.out] = dZ
    Z, dA_padded, dW = np.empty(dZ.shape), np.zeros(padded.shape), np.zeros(W.shape)
    n_c = W.shape[2]
    groups = A.shape[3] // n_c
    for i, f in np.ndindex(len(A), len(b)):
        first = f * groups // len(b) * n_c
        channels = slice(first, first + n_c)
        image, kernel, back = padded[i, ..., channels], kernels[..., f], spread[i, ..., f, None]
        Z[i, ..., f] = _correlate(image, kernel)[at][: rows.out, : cols.out, 0] + b[f]
        dA_padded[i, ..., channels] += signal.convolve(back, kernel, "full", "direct")
        dW[..., f] += _correlate(image, back)[:: rows.dilation, :: cols.dilation]
    dA = dA_padded[:, rows.inside, cols.inside]
    return {"Z": Z, "dA": dA, "W": dW, "b": dZ.sum(axis=(0, 1, 2))}


def _transposed(layer: Any, A: np.ndarray, dZ: np.ndarray, W: np.ndarray, b: np.ndarray) -> Arrays:
    """Return result and gradients of a transposed convolution: zeros between pixels, then full."""
    s_h, s_w = pair("stride", layer.stride)
    (f_h, f_w), (n_m, ih, iw, n_c) = W.shape[:2], A.shape
    spread = np.zeros((n_m, (ih - 1) * s_h + 1, (iw - 1) * s_w + 1, n_c))
    spread[:, ::s_h, ::s_w] = A
    oh, ow, n_f = layer.output_shape
    (top, _), (left, _) = layer.cut()
    tall = max(spread.shape[1] + f_h - 1, top + oh)  # where no pixel reaches there are zeros
    wide = max(spread.shape[2] + f_w - 1, left + ow)
    whole, d_whole = np.zeros((2, n_m, tall, wide, n_f))
    d_whole[:, top : top + oh, left : left + ow] = dZ
    reached = d_whole[:, : spread.shape[1] + f_h - 1, : spread.shape[2] + f_w - 1]
    dA, dW = np.zeros(A.shape), np.zeros(W.shape)
    for i, c, f in np.ndindex(n_m, n_c, n_f):
        full = signal.convolve(spread[i, ..., c], W[..., c, f], "full", "direct")
        whole[i, : full.shape[0], : full.shape[1], f] += full
        dA[i, ..., c] += _correlate(reached[i, ..., f], W[..., c, f])[::s_h, ::s_w]
        dW[..., c, f] += _correlate(reached[i, ..., f], spread[i, ..., c])
    Z = whole[:, top : top + oh, left : left + ow] + b
    return {"Z": Z, "dA": dA, "W": dW, "b": dZ.sum(axis=(0, 1, 2))}


def _correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    found: np.ndarray = signal.correlate(image, kernel, "valid", "direct")
    return found


def _largest(A: np.ndarray, window: Window) -> np.ndarray:
    """Return the largest value under every position."""
    (rows, cols), (f_h, f_w), (oh, ow) = (window.rows, window.cols), window.kernel, window.out
    pads = ((0, 0), (rows.before, rows.after), (cols.before, cols.after), (0, 0))
    padded = np.pad(A, pads, constant_values=-np.inf)
    found = ndimage.maximum_filter(padded, (1, f_h, f_w, 1), mode="constant", cval=-np.inf)
    found = found[:, f_h // 2 :: rows.stride, f_w // 2 :: cols.stride]  # it is centred there
    return np.array(found[:, :oh, :ow])
