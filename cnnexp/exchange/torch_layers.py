"""Every layer in PyTorch's modules and functions.

Layers without an entry here are refused; those of your own get one in their module, with
``@TORCH.register("name")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnexp.engine.window import Pads, pair
from cnnexp.exchange.torch_code import TORCH, Code, write_layers
from cnnexp.nn import blocks, convolutions, layers, normalization, shapes


def _padded(code: Code, x: str, pads: Pads, value: str) -> str:
    """Return the padding for an argument, where both ends have the same; else pad before."""
    (top, bottom), (left, right) = pads
    if (top, left) == (bottom, right):
        return f"({top}, {left})"
    code.line(f"{x} = F.pad({x}, ({left}, {right}, {top}, {bottom}), value={value})")
    return "(0, 0)"


def _pads(layer: Any) -> Pads:
    rows, cols = layer.geometry.rows, layer.geometry.cols
    return (rows.before, rows.after), (cols.before, cols.after)


def _pair(name: str, *values: int) -> str:
    return f"{name}=({', '.join(map(str, values))})"


@TORCH.register("conv")
@TORCH.register("depthwise_conv")
@TORCH.register("pointwise_conv")
def _conv(code: Code, layer: convolutions.Conv2D, x: str) -> None:
    rows, cols = layer.geometry.rows, layer.geometry.cols
    options = [
        f"({rows.width}, {cols.width})",
        _pair("stride", rows.stride, cols.stride),
        f"padding={_padded(code, x, _pads(layer), '0.0')}",
        _pair("dilation", rows.dilation, cols.dilation),
        f"groups={layer.groups}",
    ]
    n_c, n_f = layer.input_shape[2], layer.output_shape[2]
    made = code.module(layer, f"Conv2d({n_c}, {n_f}, {', '.join(options)})")
    code.weight(layer, "weight", "W", 3, 2, 0, 1)
    code.weight(layer, "bias", "b", 0)
    code.line(f"{x} = {made}({x})")


@TORCH.register("transposed_conv")
def _transposed_conv(code: Code, layer: convolutions.TransposedConv2D, x: str) -> None:
    (top, bottom), (left, right) = layer.cut()
    even = (top, left) == (bottom, right)
    options = [
        str(tuple(pair("kernel_size", layer.kernel_size))),
        f"stride={tuple(pair('stride', layer.stride))}",
        _pair("padding", *((top, left) if even else (0, 0))),
        f"output_padding={layer.surplus()}",
    ]
    n_c, n_f = layer.input_shape[2], layer.output_shape[2]
    made = code.module(layer, f"ConvTranspose2d({n_c}, {n_f}, {', '.join(options)})")
    code.weight(layer, "weight", "W", 2, 3, 0, 1)
    code.weight(layer, "bias", "b", 0)
    code.line(f"{x} = {made}({x})")
    if not even:
        rows, cols, _ = layer.output_shape
        code.line(f"{x} = {x}[:, :, {top}:{top + rows}, {left}:{left + cols}]")


@TORCH.register("max_pool")
def _max_pool(code: Code, layer: layers.MaxPool2D, x: str) -> None:
    _pool(code, layer, x, "max_pool2d", "-torch.inf")


@TORCH.register("avg_pool")
def _avg_pool(code: Code, layer: layers.AvgPool2D, x: str) -> None:
    _pool(code, layer, x, "avg_pool2d", "0.0")


def _pool(code: Code, layer: Any, x: str, function: str, value: str) -> None:
    rows, cols = layer.geometry.rows, layer.geometry.cols
    padding = _padded(code, x, _pads(layer), value)
    sizes = f"({rows.width}, {cols.width}), ({rows.stride}, {cols.stride})"
    code.line(f"{x} = F.{function}({x}, {sizes}, {padding})")


@TORCH.register("global_avg_pool")
def _global_avg_pool(code: Code, layer: Any, x: str) -> None:
    code.line(f"{x} = {x}.mean((2, 3))")


@TORCH.register("global_max_pool")
def _global_max_pool(code: Code, layer: Any, x: str) -> None:
    code.line(f"{x} = {x}.amax((2, 3))")


@TORCH.register("reshape")
def _reshape(code: Code, layer: shapes.Reshape, x: str) -> None:
    if len(layer.input_shape) > 1:
        code.line(f"{x} = {x}.movedim(1, -1)")
    code.line(f"{x} = {x}.reshape({', '.join(['-1', *map(str, layer.output_shape)])})")
    if len(layer.output_shape) > 1:
        code.line(f"{x} = {x}.movedim(-1, 1)")


@TORCH.register("dense")
def _dense(code: Code, layer: layers.Dense, x: str) -> None:
    made = code.module(layer, f"Linear({layer.input_shape[0]}, {layer.output_shape[0]})")
    code.weight(layer, "weight", "W", 1, 0, order=code.orders.get(layer.path))
    code.weight(layer, "bias", "b", 0)
    code.line(f"{x} = {made}({x})")


@TORCH.register("dropout")
def _dropout(code: Code, layer: layers.Dropout, x: str) -> None:
    code.line(f"{x} = {code.module(layer, f'Dropout({float(layer.rate)})')}({x})")


@TORCH.register("spatial_dropout")
def _spatial_dropout(code: Code, layer: layers.SpatialDropout, x: str) -> None:
    kind = {2: "Dropout1d", 3: "Dropout2d", 4: "Dropout3d"}
    name = kind.get(len(layer.input_shape), "Dropout")
    code.line(f"{x} = {code.module(layer, f'{name}({float(layer.rate)})')}({x})")


@TORCH.register("pad")
def _pad(code: Code, layer: shapes.Pad2D, x: str) -> None:
    (top, bottom), (left, right) = layer.margins()
    value = float(layer.value)
    code.line(f"{x} = F.pad({x}, ({left}, {right}, {top}, {bottom}), value={value})")


@TORCH.register("crop")
def _crop(code: Code, layer: shapes.Crop2D, x: str) -> None:
    (top, _), (left, _) = layer.margins()
    rows, cols, _ = layer.output_shape
    code.line(f"{x} = {x}[:, :, {top}:{top + rows}, {left}:{left + cols}]")


@TORCH.register("upsample")
def _upsample(code: Code, layer: shapes.UpSample2D, x: str) -> None:
    rows, cols = pair("factor", layer.factor)
    code.line(f"{x} = {x}.repeat_interleave({rows}, 2).repeat_interleave({cols}, 3)")


# Normalisation ----------------------------------------------------------------------------------


@TORCH.register("batch_norm")
def _batch_norm(code: Code, layer: normalization.BatchNorm, x: str) -> None:
    kind = {1: "1d", 2: "1d", 3: "2d"}.get(len(layer.input_shape), "3d")
    numbers = f"eps={float(layer.epsilon)}, momentum={float(layer.momentum)}"
    made = code.module(layer, f"BatchNorm{kind}({layer.input_shape[-1]}, {numbers})")
    _scale_and_shift(code, layer)
    code.weight(layer, "running_mean", "mean", 0)
    code.weight(layer, "running_var", "variance", 0)
    code.weight(layer, "num_batches_tracked", "")
    code.line(f"{x} = {made}({x})")


@TORCH.register("layer_norm")
def _layer_norm(code: Code, layer: normalization.LayerNorm, x: str) -> None:
    made = code.module(layer, f"LayerNorm({layer.input_shape[-1]}, eps={float(layer.epsilon)})")
    _scale_and_shift(code, layer)
    if len(layer.input_shape) == 1:
        code.line(f"{x} = {made}({x})")
    else:
        code.line(f"{x} = {made}({x}.movedim(1, -1)).movedim(-1, 1)")


@TORCH.register("group_norm")
def _group_norm(code: Code, layer: normalization.GroupNorm, x: str) -> None:
    numbers = f"{layer.groups}, {layer.input_shape[-1]}, eps={float(layer.epsilon)}"
    made = code.module(layer, f"GroupNorm({numbers})")
    _scale_and_shift(code, layer)
    code.line(f"{x} = {made}({x})")


def _scale_and_shift(code: Code, layer: Any) -> None:
    code.weight(layer, "weight", "scale", 0)
    code.weight(layer, "bias", "shift", 0)


# Activations ------------------------------------------------------------------------------------

FUNCTIONS = {
    "relu": "torch.relu({x})",
    "leaky_relu": "F.leaky_relu({x}, {slope})",
    "sigmoid": "torch.sigmoid({x})",
    "tanh": "torch.tanh({x})",
    "elu": "F.elu({x}, {alpha})",
    "softplus": "F.softplus({x})",
    "silu": "F.silu({x})",
    "gelu": 'F.gelu({x}, approximate="tanh")',
    "hard_swish": "F.hardswish({x})",
    "softmax": "torch.softmax({x}, 1)",
    "log_softmax": "torch.log_softmax({x}, 1)",
}


def _function(code: Code, layer: Any, x: str) -> None:
    options = {name: float(value) for name, value in vars(layer).items() if name in OPTIONS}
    code.line(f"{x} = {FUNCTIONS[layer.type].format(x=x, **options)}")


OPTIONS = ("slope", "alpha")
for _name in FUNCTIONS:
    TORCH.register(_name)(_function)


# Blocks -----------------------------------------------------------------------------------------


@TORCH.register("block")
@TORCH.register("separable_conv")
def _block(code: Code, layer: Any, x: str) -> None:
    write_layers(code, layer.children()[""], x)


@TORCH.register("residual")
def _residual(code: Code, layer: blocks.Residual, x: str) -> None:
    short = f"{code.name(layer)}_shortcut"
    code.line(f"{short} = {x}")
    write_layers(code, layer.layers, x)
    write_layers(code, layer.shortcut, short)
    code.line(f"{x} = {x} + {short}")


@TORCH.register("concat")
def _concat(code: Code, layer: blocks.Concat, x: str) -> None:
    branches: Sequence[Any] = list(layer.children().values())
    names = [f"{code.name(layer)}_branch{k}" for k in range(1, len(branches) + 1)]
    for name, branch in zip(names, branches, strict=True):
        code.line(f"{name} = {x}")
        write_layers(code, branch, name)
    code.line(f"{x} = torch.cat([{', '.join(names)}], 1)")
