"""What a layer is.

A layer is made in three steps, as in Keras: its options are checked when it is created, its
parameters are drawn in `build` once the shape of the input is known, and passes run after that.

**A layer owns its parameters; a pass owns its cache.** ``forward`` returns its result and a cache,
``backward`` takes that cache and returns gradients. Nothing that depends on a batch is stored on a
layer, so pieces of a batch can run in threads, and a cache can be looked into.

A new kind of layer is a dataclass whose fields are its options::

    @LAYERS.register("scale")
    @dataclass
    class Scale(Layer):
        factor: float = 2.0

        def forward(self, A_prev, context):
            return A_prev * self.factor, None

        def backward(self, cache, dA, context):
            return dA * self.factor, {}
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context, Gradients
from cnnexp.registry import Registry

Shape = tuple[int, ...]


class Layer(ABC):
    """Base of all layers. The dataclass fields of a subclass are its options.

    Attributes
    ----------
    type : str
        The name in the table of layers.
    couples_samples : bool
        Whether the result for one sample depends on the others. The pass then hands the whole
        batch to this layer instead of pieces.
    deferred : tuple of str
        Parameters whose gradients it can return as `Factors`, to be multiplied once a batch.
    params : mapping of str to array
        The parameters, empty until `build`.
    name : str
        The layer's name in a network, for example ``conv1``.
    input_shape, output_shape : tuple of int
        Shapes of one sample, known after `build`.
    """

    type: ClassVar[str] = ""
    couples_samples: ClassVar[bool] = False
    deferred: ClassVar[tuple[str, ...]] = ()

    params: Mapping[str, Array] = MappingProxyType({})
    name: str = ""
    input_shape: Shape
    output_shape: Shape

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of one sample's result.

        Raises
        ------
        ShapeError
            If the layer cannot take samples of this shape.
        """
        return input_shape

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Fix the shapes and draw the parameters.

        Draws are made in float64 and in canonical order, so that they are the same for every
        implementation and dtype.
        """
        self.input_shape = input_shape
        self.output_shape = self.infer_shape(input_shape)
        self.params = {}

    @property
    def multiply_adds(self) -> int:
        """Multiplications (each with its addition) in one forward pass of one sample."""
        return 0

    @abstractmethod
    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the result for samples `A_prev` (n_m, …), and a cache for `backward`."""

    @abstractmethod
    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array | None, Gradients]:
        """Return the gradient for the input, and those for the parameters by name.

        Gradients of parameters are sums over the samples given.
        """


LayerClass = TypeVar("LayerClass", bound=Layer)


class LayerTable(Registry[type[Layer]]):
    """The table of layers; a class learns the name it is entered under."""

    def register(self, name: str) -> Callable[[type[LayerClass]], type[LayerClass]]:
        """Return a decorator that enters a layer class under `name`."""
        enter = super().register(name)

        def enter_and_tell(layer: type[LayerClass]) -> type[LayerClass]:
            enter(layer)
            layer.type = name
            return layer

        return enter_and_tell


LAYERS = LayerTable("layer")
