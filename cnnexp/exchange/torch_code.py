"""A network as the source of a PyTorch module.

The module needs PyTorch alone. Its images are (n, channels, rows, columns), as PyTorch has them,
and are flattened channel by channel.

References
----------
PyTorch, https://pytorch.org/docs/stable/nn.html
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cnnexp.exchange.refusals import refuse_unknown
from cnnexp.exchange.torch_weights import Weight, channel_by_channel
from cnnexp.nn.layer import Layer
from cnnexp.nn.network import Network
from cnnexp.registry import Registry

RESERVED = {"logits", "training"}  # beside what every module has
VALUE_BY_VALUE = {"dropout", "spatial_dropout"}  # and all activations but softmax


class Code:
    """The parts of a module's source that is being made.

    Attributes
    ----------
    modules, body : list of str
        Lines that make modules, and lines that use them.
    weights : list of Weight
        What the ``state_dict`` holds, in its order.
    """

    def __init__(self, reserved: set[str]) -> None:
        self.modules: list[str] = []
        self.body: list[str] = []
        self.weights: list[Weight] = []
        self.orders: dict[str, Any] = {}  # by the path of a dense layer: the order of its features
        self.names: dict[str, str] = {}  # by the path of a layer
        self._taken = {*reserved, *RESERVED}

    def name(self, layer: Layer) -> str:
        """Return the name of a layer as an attribute."""
        if layer.path not in self.names:
            name = re.sub(r"\W", "_", layer.path, flags=re.ASCII)
            name = f"layer{name}" if name[:1] in "_0123456789" or keyword.iskeyword(name) else name
            while name in self._taken:
                name += "_"
            self._taken.add(name)
            self.names[layer.path] = name
        return self.names[layer.path]

    def module(self, layer: Layer, made: str) -> str:
        """Add a module, and return how it is called."""
        name = self.name(layer)
        self.modules.append(f"self.{name} = nn.{made}")
        return f"self.{name}"

    def weight(self, layer: Layer, key: str, ours: str, *axes: int, order: Any = None) -> None:
        """Add an entry of the ``state_dict``; without axes they are as here, or there are none."""
        path = f"{layer.path}.{ours}" if ours else ""
        self.weights.append(Weight(f"{self.name(layer)}.{key}", path, axes, order))

    def line(self, text: str) -> None:
        """Add a line of the forward pass."""
        self.body.append(text)


Writer = Callable[[Code, Any, str], None]
TORCH: Registry[Writer] = Registry("layer that can be exported to PyTorch")
"""By type of layer: a function of the code, the layer and the variable to change. Samples of two
dimensions or more have their channels first."""


class Module(NamedTuple):
    """A network as a PyTorch module: its source, and the entries of its ``state_dict``."""

    source: str
    weights: list[Weight]


def write_layers(code: Code, layers: Sequence[Layer], x: str) -> None:
    """Write layers one after another, from variable `x` to `x`."""
    for k, layer in enumerate(layers):
        if layer.type == "flatten":
            _flatten(code, layer, layers[k + 1 :], x)
        else:
            TORCH[layer.type](code, layer, x)


def _flatten(code: Code, layer: Layer, following: Sequence[Layer], x: str) -> None:
    """Flatten channel by channel where a dense layer takes the features; else as we do."""
    order = channel_by_channel(layer.input_shape)
    dense = next((found for found in following if not _is_value_by_value(found)), None)
    if order is not None and dense is not None and dense.type == "dense":
        code.orders[dense.path] = order
    elif order is not None:
        code.line(f"{x} = {x}.movedim(1, -1)")
    code.line(f"{x} = {x}.flatten(1)")


def _is_value_by_value(layer: Layer) -> bool:
    return layer.operation == "pointwise" or layer.type in VALUE_BY_VALUE


def torch_module(network: Network, name: str = "Model", about: str = "", extra: str = "") -> Module:
    """Return a network as the source of a PyTorch module.

    Parameters
    ----------
    network : Network
        It is built.
    name : str
        The name of the class.
    about : str
        The first line of the file.
    extra : str
        Further lines at its end.

    Raises
    ------
    OptionError
        If a layer has no counterpart; it is named.
    """
    from cnnexp.exchange import torch_layers  # noqa: F401 (it fills the table)

    refuse_unknown(network, {*TORCH, "flatten"}, "PyTorch")
    code = Code(_names_of_modules())
    *before, last = network.layers
    ends_in_softmax = last.type == "softmax"
    write_layers(code, before if ends_in_softmax else network.layers, "x")
    takes, gives = (_sizes(shape) for shape in (network.input_shape, network.output_shape))
    source = [
        f'"""{about}"""' if about else "",
        "import torch",
        "import torch.nn.functional as F",
        "from torch import nn",
        "",
        "",
        f"class {name}(nn.Module):",
        f'    """Takes samples of shape {takes}, and gives {gives}."""',
        "",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        {line}" for line in code.modules),
        "",
        f"    def {'logits' if ends_in_softmax else 'forward'}(self, x):",
        *(f"        {line}" for line in code.body),
        "        return x",
    ]
    if ends_in_softmax:
        source += [
            "",
            "    def forward(self, x):",
            "        return torch.softmax(self.logits(x), 1)",
        ]
    return Module("\n".join([*source, *([extra] if extra else []), ""]), code.weights)


def _sizes(shape: Sequence[int]) -> str:
    """Return the shape of samples as PyTorch has it, with n of them."""
    first = (shape[-1], *shape[:-1]) if len(shape) > 1 else tuple(shape)
    return f"({', '.join(['n', *map(str, first)])})"


def _names_of_modules() -> set[str]:
    """Return the names that mean something in every module."""
    try:
        from torch import nn
    except ImportError:
        return set()
    return set(dir(nn.Module))
