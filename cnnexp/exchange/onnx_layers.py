"""Every layer in ONNX's operators.

Layers without an entry here are refused. A layer of your own gets one in its module::

    @ONNX.register("scale")
    def scale(graph, layer, x):
        return graph.add("Mul", x, graph.constant(layer.factor))
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnexp.engine import Window
from cnnexp.engine.window import pair
from cnnexp.exchange.onnx_graph import ONNX, Graph, write_layers
from cnnexp.nn import blocks, convolutions, layers, normalization, shapes


def _window(window: Window) -> dict[str, Any]:
    """Return a window as attributes."""
    rows, cols = window.rows, window.cols
    return {
        "kernel_shape": [rows.width, cols.width],
        "strides": [rows.stride, cols.stride],
        "pads": [rows.before, cols.before, rows.after, cols.after],
    }


def _dilations(window: Window) -> list[int]:
    return [window.rows.dilation, window.cols.dilation]


@ONNX.register("conv")
@ONNX.register("depthwise_conv")
@ONNX.register("pointwise_conv")
def _conv(graph: Graph, layer: convolutions.Conv2D, x: str) -> str:
    W = graph.constant(layer.params["W"].transpose(3, 2, 0, 1), "W")  # (n_f, n_c, f_h, f_w)
    b = graph.constant(layer.params["b"], "b")
    window: Window = layer.geometry
    return graph.add(
        "Conv", x, W, b, group=layer.groups, dilations=_dilations(window), **_window(window)
    )


@ONNX.register("transposed_conv")
def _transposed_conv(graph: Graph, layer: convolutions.TransposedConv2D, x: str) -> str:
    W = graph.constant(layer.params["W"].transpose(2, 3, 0, 1), "W")  # (n_c, n_f, f_h, f_w)
    (top, bottom), (left, right) = layer.cut()
    return graph.add(
        "ConvTranspose",
        x,
        W,
        graph.constant(layer.params["b"], "b"),
        kernel_shape=list(pair("kernel_size", layer.kernel_size)),
        strides=list(pair("stride", layer.stride)),
        pads=[top, left, bottom, right],
        output_padding=list(layer.surplus()),
    )


@ONNX.register("max_pool")
def _max_pool(graph: Graph, layer: layers.MaxPool2D, x: str) -> str:
    return graph.add("MaxPool", x, **_window(layer.geometry))


@ONNX.register("avg_pool")
def _avg_pool(graph: Graph, layer: layers.AvgPool2D, x: str) -> str:
    return graph.add("AveragePool", x, count_include_pad=1, **_window(layer.geometry))


@ONNX.register("global_avg_pool")
def _global_avg_pool(graph: Graph, layer: shapes.GlobalAvgPool2D, x: str) -> str:
    return graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)


@ONNX.register("global_max_pool")
def _global_max_pool(graph: Graph, layer: shapes.GlobalMaxPool2D, x: str) -> str:
    return graph.add("Flatten", graph.add("GlobalMaxPool", x), axis=1)


@ONNX.register("flatten")
def _flatten(graph: Graph, layer: layers.Flatten, x: str) -> str:
    """Rows, columns, channels: the order in which a dense layer's weights stand."""
    dimensions = len(layer.input_shape)
    return graph.reshape(graph.channels_last(x, dimensions), layer.output_shape)


@ONNX.register("reshape")
def _reshape(graph: Graph, layer: shapes.Reshape, x: str) -> str:
    x = graph.channels_last(x, len(layer.input_shape))
    x = graph.reshape(x, layer.output_shape)
    return graph.channels_first(x, len(layer.output_shape))


@ONNX.register("dense")
def _dense(graph: Graph, layer: layers.Dense, x: str) -> str:
    W, b = (graph.constant(layer.params[name], name) for name in ("W", "b"))
    return graph.add("Gemm", x, W, b)


@ONNX.register("dropout")
@ONNX.register("spatial_dropout")
def _dropout(graph: Graph, layer: layers.Dropout, x: str) -> str:
    """Nothing: it is for training alone."""
    return x


@ONNX.register("pad")
def _pad(graph: Graph, layer: shapes.Pad2D, x: str) -> str:
    (top, bottom), (left, right) = layer.margins()
    pads = graph.constant(np.array([0, 0, top, left, 0, 0, bottom, right]), "pads")
    return graph.add("Pad", x, pads, graph.constant(float(layer.value), "value"))


@ONNX.register("crop")
def _crop(graph: Graph, layer: shapes.Crop2D, x: str) -> str:
    (top, _), (left, _) = layer.margins()
    rows, cols, _ = layer.output_shape
    starts = graph.constant(np.array([top, left]), "starts")
    ends = graph.constant(np.array([top + rows, left + cols]), "ends")
    return graph.add("Slice", x, starts, ends, graph.constant(np.array([2, 3]), "axes"))


@ONNX.register("upsample")
def _upsample(graph: Graph, layer: shapes.UpSample2D, x: str) -> str:
    scales = graph.constant(np.array([1.0, 1.0, *pair("factor", layer.factor)]), "scales")
    return graph.add(
        "Resize",
        x,
        "",
        scales,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


# Normalisation ----------------------------------------------------------------------------------


@ONNX.register("batch_norm")
def _batch_norm(graph: Graph, layer: normalization.BatchNorm, x: str) -> str:
    arrays = [layer.params["scale"], layer.params["shift"], *_statistics(layer)]
    names = ("scale", "shift", "mean", "variance")
    inputs = [graph.constant(array, name) for array, name in zip(arrays, names, strict=True)]
    return graph.add("BatchNormalization", x, *inputs, epsilon=float(layer.epsilon))


def _statistics(layer: normalization.BatchNorm) -> list[Any]:
    return [layer.state["mean"], layer.state["variance"]]


@ONNX.register("layer_norm")
def _layer_norm(graph: Graph, layer: normalization.LayerNorm, x: str) -> str:
    dimensions = len(layer.input_shape)
    scale, shift = (graph.constant(layer.params[name], name) for name in ("scale", "shift"))
    x = graph.channels_last(x, dimensions)
    x = graph.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=float(layer.epsilon))
    return graph.channels_first(x, dimensions)


@ONNX.register("group_norm")
def _group_norm(graph: Graph, layer: normalization.GroupNorm, x: str) -> str:
    *inner, n_c = layer.input_shape
    ones, zeros = np.ones(layer.groups), np.zeros(layer.groups)
    x = graph.reshape(x, (layer.groups, math.prod(layer.input_shape) // layer.groups))
    x = graph.add(
        "InstanceNormalization",
        x,
        graph.constant(ones, "ones"),
        graph.constant(zeros, "zeros"),
        epsilon=float(layer.epsilon),
    )
    x = graph.reshape(x, (n_c, *inner))
    scale, shift = (layer.params[name].reshape(-1, *(1 for _ in inner)) for name in layer.kinds)
    x = graph.add("Mul", x, graph.constant(scale, "scale"))
    return graph.add("Add", x, graph.constant(shift, "shift"))


# Activations ------------------------------------------------------------------------------------


@ONNX.register("relu")
def _relu(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Relu", x)


@ONNX.register("leaky_relu")
def _leaky_relu(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("LeakyRelu", x, alpha=float(layer.slope))


@ONNX.register("sigmoid")
def _sigmoid(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Sigmoid", x)


@ONNX.register("tanh")
def _tanh(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Tanh", x)


@ONNX.register("elu")
def _elu(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Elu", x, alpha=float(layer.alpha))


@ONNX.register("softplus")
def _softplus(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Softplus", x)


@ONNX.register("silu")
def _silu(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


@ONNX.register("gelu")
def _gelu(graph: Graph, layer: Any, x: str) -> str:
    """``Z · sigmoid(2 √(2/π) · (Z + 0.044715 Z³))``; the operator Gelu is newer than the opset."""
    cube = graph.add("Mul", graph.add("Mul", x, x), x)
    inner = graph.add("Add", x, graph.add("Mul", cube, graph.constant(0.044715)))
    half = graph.add("Sigmoid", graph.add("Mul", inner, graph.constant(2 * 0.7978845608028654)))
    return graph.add("Mul", x, half)


@ONNX.register("hard_swish")
def _hard_swish(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("HardSwish", x)


@ONNX.register("softmax")
def _softmax(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("Softmax", x, axis=1)


@ONNX.register("log_softmax")
def _log_softmax(graph: Graph, layer: Any, x: str) -> str:
    return graph.add("LogSoftmax", x, axis=1)


# Blocks -----------------------------------------------------------------------------------------


@ONNX.register("block")
@ONNX.register("separable_conv")
def _block(graph: Graph, layer: Any, x: str) -> str:
    return write_layers(graph, layer.children()[""], x)


@ONNX.register("residual")
def _residual(graph: Graph, layer: blocks.Residual, x: str) -> str:
    return graph.add(
        "Add", write_layers(graph, layer.layers, x), write_layers(graph, layer.shortcut, x)
    )


@ONNX.register("concat")
def _concat(graph: Graph, layer: blocks.Concat, x: str) -> str:
    results = [write_layers(graph, branch, x) for branch in layer.children().values()]
    return graph.add("Concat", *results, axis=1)
