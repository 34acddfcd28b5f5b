"""Blocks: layers made of layers.

In YAML a block has its own list of layers::

    - type: residual
      layers:
        - {type: conv, filters: 16, kernel_size: 3, padding: same, activation: relu}
        - {type: conv, filters: 16, kernel_size: 3, padding: same}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnexp.engine import Array, Context
from cnnexp.engine.window import Padding, Pair
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.convolutions import DepthwiseConv2D, PointwiseConv2D
from cnnexp.nn.layer import (
    LAYERS,
    Container,
    Layer,
    Shape,
    check_activation,
    expand_activations,
)


class _Chain(Container):
    """A container with one branch, whose result is its own."""

    def join_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape of the last layer's result."""
        return shapes[0]

    def join(self, results: Sequence[Array], context: Context) -> tuple[Array, Any]:
        """Return the last layer's result."""
        return results[0], None

    def split(self, cache: Any, dA: Array, context: Context) -> Sequence[Array]:
        """Return the gradient as it is."""
        return [dA]


@LAYERS.register("block")
@dataclass
class Block(_Chain):
    """Layers in a row under one name.

    Parameters
    ----------
    layers : list of layers
        From input to output.

    References
    ----------
    K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image
    Recognition, 2014, https://arxiv.org/abs/1409.1556 (networks as a row of blocks)
    """

    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layers = expand_activations(self.layers)
        if not self.layers:
            raise OptionError("layers is empty: a block needs at least one layer.")

    def children(self) -> Mapping[str, Sequence[Layer]]:
        """Return the layers."""
        return {"": self.layers}


@LAYERS.register("residual")
@dataclass
class Residual(Block):
    """Some layers with a shortcut: their result plus the input, or plus a projection of the input.

    Parameters
    ----------
    layers : list of layers
        From input to output.
    shortcut : list of layers
        Layers between the input and the sum. Empty: the input itself is added, and must have the
        shape of the result. A projection is a convolution of 1x1 pixels.

    References
    ----------
    K. He et al., Deep Residual Learning for Image Recognition, 2015,
    https://arxiv.org/abs/1512.03385

    Examples
    --------
    >>> from cnnexp import Conv2D
    >>> body = [Conv2D(16, 3, stride=2, padding="same")]
    >>> Residual(body, shortcut=[Conv2D(16, 1, stride=2)]).infer_shape((28, 28, 4))
    (14, 14, 16)
    """

    branch_options = ("layers", "shortcut")

    shortcut: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shortcut = expand_activations(self.shortcut)

    def children(self) -> Mapping[str, Sequence[Layer]]:
        """Return the layers, and those of the shortcut."""
        return {"": self.layers, "shortcut": self.shortcut}

    def join_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape that both branches must have."""
        body, short = shapes
        if body != short:
            hint = ""
            if len(body) == 3 and not self.shortcut:
                hint = (
                    ". Give it a projection, for example"
                    f" shortcut: [{{type: conv, filters: {body[2]}, kernel_size: 1}}], with the"
                    " stride of its layers"
                )
            raise ShapeError(
                f"cannot add: its layers give shape {body}, its shortcut {short}{hint}"
            )
        return body

    def join(self, results: Sequence[Array], context: Context) -> tuple[Array, Any]:
        """Return the sum."""
        return np.add(results[0], results[1], out=context.like("A", results[0])), None

    def split(self, cache: Any, dA: Array, context: Context) -> Sequence[Array]:
        """Return the gradient for both branches."""
        return [dA, dA]


@LAYERS.register("concat")
@dataclass
class Concat(Container):
    """Several layers on the same input, their channels side by side, as in an inception block.

    Parameters
    ----------
    layers : list of layers
        Each is a branch; a `block` makes a branch of several layers. Rows and columns of all
        results must agree.

    References
    ----------
    C. Szegedy et al., Going Deeper with Convolutions, 2014, https://arxiv.org/abs/1409.4842

    Examples
    --------
    >>> from cnnexp import Conv2D
    >>> Concat([Conv2D(4, 1), Conv2D(8, 3, padding="same")]).infer_shape((14, 14, 16))
    (14, 14, 12)
    """

    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.layers:
            raise OptionError("layers is empty: concat needs at least one branch.")
        self.branches = [expand_activations([layer]) for layer in self.layers]

    def children(self) -> Mapping[str, Sequence[Layer]]:
        """Return a branch for each layer."""
        return {f"branch{k}": branch for k, branch in enumerate(self.branches, 1)}

    def join_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape with the channels of all branches."""
        if len({shape[:-1] for shape in shapes}) > 1:
            found = ", ".join("x".join(map(str, shape)) for shape in shapes)
            raise ShapeError(f"its branches must agree but for channels. They give {found}")
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def join(self, results: Sequence[Array], context: Context) -> tuple[Array, Any]:
        """Return the results side by side, in batch-last layout."""
        sizes, first = [result.shape[-1] for result in results], results[0]
        A = context.array("A", (sum(sizes), *first.shape[1:-1], len(first)), first.dtype)
        joined = A.swapaxes(0, -1)
        np.concatenate(results, axis=-1, out=joined)
        return joined, np.cumsum(sizes)[:-1].tolist()

    def split(self, cache: Any, dA: Array, context: Context) -> Sequence[Array]:
        """Return the channels of each branch."""
        return np.split(dA, cache, axis=-1)


@LAYERS.register("separable_conv")
@dataclass
class SeparableConv2D(_Chain):
    """A depthwise convolution and a pointwise one: a convolution with far fewer weights.

    Parameters
    ----------
    filters, activation, initializer
        See `Conv2D`.
    kernel_size, stride, padding
        See `Conv2D`; of the depthwise part, as stride and padding are.

    References
    ----------
    F. Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, 2016,
    https://arxiv.org/abs/1610.02357

    Examples
    --------
    >>> SeparableConv2D(64, 3, padding="same").infer_shape((14, 14, 32))
    (14, 14, 64)
    """

    branch_options = ()

    filters: int
    kernel_size: Pair
    stride: Pair = 1
    padding: Padding = "valid"
    activation: str | None = None
    initializer: str | float = "he_normal"

    def __post_init__(self) -> None:
        self.parts: list[Layer] = [
            DepthwiseConv2D(
                self.kernel_size, self.stride, self.padding, initializer=self.initializer
            ),
            PointwiseConv2D(self.filters, initializer=self.initializer),
        ]
        check_activation(self.activation)

    def children(self) -> Mapping[str, Sequence[Layer]]:
        """Return both convolutions."""
        return {"": self.parts}
