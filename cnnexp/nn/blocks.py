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
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.layer import LAYERS, Container, Layer, Shape, expand_activations


@LAYERS.register("block")
@dataclass
class Block(Container):
    """Layers in a row under one name.

    Parameters
    ----------
    layers : list of layers
        From input to output.
    """

    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layers = expand_activations(self.layers)
        if not self.layers:
            raise OptionError("layers is empty: a block needs at least one layer.")

    def children(self) -> Mapping[str, Sequence[Layer]]:
        """Return the layers."""
        return {"": self.layers}

    def join_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape of the last layer's result."""
        return shapes[0]

    def join(self, results: Sequence[Array], context: Context) -> tuple[Array, Any]:
        """Return the last layer's result."""
        return results[0], None

    def split(self, cache: Any, dA: Array, context: Context) -> Sequence[Array]:
        """Return the gradient as it is."""
        return [dA]


@LAYERS.register("residual")
@dataclass
class Residual(Block):
    """The sum of what some layers give and of the input, or of a projection of the input.

    Parameters
    ----------
    layers : list of layers
        From input to output.
    shortcut : list of layers
        What the input passes before it is added. Empty: the input itself, which then must have
        the shape of the result. A projection is a convolution of 1x1 pixels.

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
