"""What a layer is.

A layer is made in three steps, as in Keras: its options are checked when it is created, its
parameters are drawn in `build` once the shape of the input is known, and passes run after that.

**A layer owns its parameters and its state; a pass owns its cache.** ``forward`` returns its
result and a cache, ``backward`` takes that cache and returns gradients. Nothing that depends on a
batch is stored on a layer, so micro-batches can run in threads, and a cache can be looked into.

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

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context, Window
from cnnexp.errors import CnnexpError, OptionError, ShapeError
from cnnexp.registry import Registry

if TYPE_CHECKING:
    from cnnexp.engine import Gradients, Reduction

Shape = tuple[int, ...]


class Reach(NamedTuple):
    """What one pixel of a layer's result depends on, along rows and columns.

    Attributes
    ----------
    extent : pair of int
        Pixels of the input.
    step : pair of float
        Pixels of the input from one pixel of the result to the next.
    """

    extent: tuple[int, int]
    step: tuple[float, float]


class Layer:
    """Base of all layers. The dataclass fields of a subclass are its options.

    A subclass either names an `operation` of the engine, or has its own `forward` and `backward`.

    Attributes
    ----------
    type : str
        The name in the table of layers.
    operation, training_operation : str
        Its operation in the engine, empty if it has its own `forward` and `backward`; the second
        one is for `train_forward` and `train_backward`.
    geometry : object
        The argument of the operation besides the parameters, known after `build`.
    is_activation : bool
        Whether ``activation=…`` of another layer may name it.
    cross_sample : bool
        Whether in training the result for one sample depends on the others. Such a layer has
        `train_forward` and `train_backward` as well.
    partial_size : int
        Numbers of the largest partial sum that a cross-sample layer yields; known after `build`.
    kinds : mapping of str to str
        Whether a parameter is a ``weight``, a ``bias`` or a ``scale``, where its name (``b`` is a
        bias, others are weights) does not tell.
    outer : tuple of str
        Parameters whose gradient it takes from `Context.outer`.
    params, state : mapping of str to array
        Trained arrays, and arrays that training passes update, such as running statistics. Empty
        until `build`.
    given_name, name, path : str
        The name that a config gives it, if any; the name among its neighbours, for example
        ``conv1``; and that with the names of the blocks around it, for example ``block1.conv1``.
    input_shape, output_shape : tuple of int
        Shapes of one sample, known after `build`.
    """

    type: ClassVar[str] = ""
    operation: ClassVar[str] = ""
    training_operation: ClassVar[str] = ""
    is_activation: ClassVar[bool] = False
    cross_sample: ClassVar[bool] = False
    kinds: ClassVar[Mapping[str, str]] = MappingProxyType({"b": "bias"})
    outer: ClassVar[tuple[str, ...]] = ()
    branch_options: ClassVar[tuple[str, ...]] = ()

    params: Mapping[str, Array] = MappingProxyType({})
    state: Mapping[str, Array] = MappingProxyType({})
    geometry: Any = None
    partial_size: int = 0
    given_name: str = ""
    name: str = ""
    path: str = ""
    input_shape: Shape
    output_shape: Shape

    def children(self) -> Mapping[str, Sequence[Layer]]:
        """Return the layers inside, a list for each branch by its name; none for most layers."""
        return {}

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
        implementation and dtype. They come from the seed and the layer's path.
        """
        self.input_shape = input_shape
        self.output_shape = self.infer_shape(input_shape)
        self.params, self.state = {}, {}

    @property
    def multiply_adds(self) -> int:
        """Multiplications (each with its addition) in one forward pass of one sample."""
        return 0

    @property
    def reach(self) -> Reach | None:
        """How far a pixel of the result looks; None: over the whole image. Known after `build`."""
        if isinstance(self.geometry, Window):
            rows, cols = self.geometry.rows, self.geometry.cols
            return Reach((rows.reach, cols.reach), (rows.stride, cols.stride))
        return Reach((1, 1), (1, 1))

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the result for samples `A_prev` (n_m, …), and a cache for `backward`."""
        assert context.operation is not None
        result: tuple[Array, Any] = context.operation.forward(
            A_prev, self.params, self.geometry, context
        )
        return result

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array | None, Gradients]:
        """Return the gradient for the input, and those for the parameters by name.

        Gradients of parameters are sums over the samples given.
        """
        assert context.operation is not None
        result: tuple[Array | None, Gradients] = context.operation.backward(
            dA, self.params, self.geometry, cache, context
        )
        return result

    def train_forward(self, A_prev: Array, context: Context) -> Reduction:
        """Return the result of `forward` in training, where samples depend on each other.

        ``total = yield partial`` passes on a sum over this micro-batch and receives the sum over
        all micro-batches of the mini-batch. New values of the state go to `context.state_updates`.
        """
        assert context.training_operation is not None
        run: Reduction = context.training_operation.forward(
            A_prev, self.params, self.geometry, context
        )
        return (yield from run)

    def train_backward(self, cache: Any, dA: Array, context: Context) -> Reduction:
        """Return the gradients after `train_forward`; it yields partial sums likewise."""
        assert context.training_operation is not None
        run: Reduction = context.training_operation.backward(
            dA, self.params, self.geometry, cache, context
        )
        return (yield from run)

    def merge_state(self, updates: Sequence[Mapping[str, Array]]) -> Mapping[str, Array]:
        """Return the state after a step, given the updates of each micro-batch in order.

        The last one by default, which is right if all of them are equal.
        """
        return updates[-1]


class Container(Layer, ABC):
    """A layer made of layers: branches that get the same input, whose results are joined.

    `children` names the branches. Plans run them; the container only joins their results.
    """

    branch_options: ClassVar[tuple[str, ...]] = ("layers",)

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the joined results."""
        shapes = [chain_shape(layers, input_shape) for layers in self.children().values()]
        return self.join_shape(shapes)

    @property
    def multiply_adds(self) -> int:
        """The sum of all layers inside."""
        return sum(layer.multiply_adds for branch in self.children().values() for layer in branch)

    @abstractmethod
    def join_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape of the result, given those of the branches."""

    @abstractmethod
    def join(self, results: Sequence[Array], context: Context) -> tuple[Array, Any]:
        """Return the joined results of the branches, and a cache."""

    @abstractmethod
    def split(self, cache: Any, dA: Array, context: Context) -> Sequence[Array]:
        """Return the gradient for the result of each branch."""


LARGEST_SAMPLE = 1 << 40  # numbers: far more than any memory has room for


def shape_after(layer: Layer, shape: Shape) -> Shape:
    """Return the shape after a layer, checked for a size that a computer can have.

    Raises
    ------
    ShapeError
        If the layer cannot take samples of this shape, or would give far too many numbers.
    """
    found = layer.infer_shape(shape)
    if math.prod(found) > LARGEST_SAMPLE:
        raise ShapeError(
            f"gives {_shortened(math.prod(found))} numbers for each sample; at most"
            f" {LARGEST_SAMPLE:,} are possible"
        )
    return found


def _shortened(number: int) -> str:
    """Return a large whole number, which may have more digits than Python would print."""
    return f"about 10^{round(number.bit_length() * math.log10(2))}"


def chain_shape(layers: Sequence[Layer], shape: Shape) -> Shape:
    """Return the shape after some layers, and name the layer that cannot take its input."""
    for layer in layers:
        try:
            shape = shape_after(layer, shape)
        except CnnexpError as error:
            raise type(error)(f"{layer.name or layer.type}: {error}") from None
    return shape


def walk(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Yield layers and all layers inside them, a container before what it holds."""
    for layer in layers:
        yield layer
        for branch in layer.children().values():
            yield from walk(branch)


LayerClass = TypeVar("LayerClass", bound=Layer)


class LayerTable(Registry[type[Layer]]):
    """The table of layers; the name of an entry becomes the `type` of its class."""

    def register(self, name: str) -> Callable[[type[LayerClass]], type[LayerClass]]:
        """Return a decorator that enters a layer class under `name`."""
        enter = super().register(name)

        def enter_and_tell(layer: type[LayerClass]) -> type[LayerClass]:
            enter(layer)
            layer.type = name
            return layer

        return enter_and_tell


LAYERS = LayerTable("layer")


def make_layer(options: Mapping[str, Any]) -> Layer:
    """Make a layer, and the layers inside it, from options as a config gives them.

    Examples
    --------
    >>> import cnnexp
    >>> make_layer({"type": "dense", "units": 10, "name": "output"}).given_name
    'output'
    """
    given = {key: value for key, value in options.items() if key not in ("type", "name")}
    layer_class = LAYERS[options["type"]]
    for key in layer_class.branch_options:
        if key in given:
            given[key] = [make_layer(inner) for inner in given[key]]
    layer = layer_class(**given)
    layer.given_name = options.get("name") or ""
    return layer


def name_layers(layers: Sequence[Layer], around: str = "") -> None:
    """Name layers by type and number, for example conv1, relu1, conv2, unless they have a name.

    Raises
    ------
    OptionError
        If two layers of a list have the same name, or a name has a dot.
    """
    counts: dict[str, int] = {}
    taken: set[str] = set()
    for layer in layers:
        counts[layer.type] = counts.get(layer.type, 0) + 1
        layer.name = layer.given_name or f"{layer.type}{counts[layer.type]}"
        if layer.name in taken or "." in layer.name:
            raise OptionError(
                f"name: two layers are named '{layer.name}'."
                if layer.name in taken
                else f"name must have no dot. Got '{layer.name}'."
            )
        taken.add(layer.name)
        layer.path = f"{around}{layer.name}"
        for branch, inner in layer.children().items():
            name_layers(inner, f"{layer.path}.{branch}." if branch else f"{layer.path}.")


def expand_activations(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with a separate layer for each ``activation``."""
    if not isinstance(layers, Sequence) or isinstance(layers, str):
        raise OptionError(f"layers must be a list of layers. Got {layers!r}.")
    expanded: list[Layer] = []
    for layer in layers:
        if not isinstance(layer, Layer):
            raise OptionError(f"a network is made of layers, such as Dense(10). Got {layer!r}.")
        expanded.append(layer)
        activation = getattr(layer, "activation", None)
        if activation is not None:
            expanded.append(LAYERS[activation]())
    return expanded


def check_activation(activation: str | None) -> None:
    """Raise OptionError unless a name is that of an activation."""
    if activation is None:
        return
    known = [name for name in LAYERS if LAYERS[name].is_activation]
    if activation not in known:
        raise OptionError(f"activation must be one of {', '.join(known)}. Got '{activation}'.")
