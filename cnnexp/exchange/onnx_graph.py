"""A network as an ONNX graph.

Inside the graph, channels stand before rows and columns, as ONNX's operators want them. Outside
they stand last, as in this package, unless `channels_first` is asked for. The number of samples is
free. Numbers are float32, also those of a network in float64.

References
----------
ONNX operator schemas, https://onnx.ai/onnx/operators
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnexp.engine import Array
from cnnexp.errors import OptionError
from cnnexp.exchange.refusals import refuse_unknown
from cnnexp.nn.layer import Layer
from cnnexp.nn.network import Network
from cnnexp.registry import Registry

OPSET, IR_VERSION = 17, 8  # of 2022; every runtime since then reads them
INPUT, OUTPUT = "input", "output"


class Graph:
    """Nodes and constants of a graph that is being made; values go by names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.layer = ""  # the path of the layer that is being written
        self._taken: set[str] = {INPUT, OUTPUT}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node, and return the name of its result."""
        from onnx import helper

        result = self._name(f"{self.layer}.{operator}")
        self.nodes.append(
            helper.make_node(operator, list(inputs), [result], name=result, **attributes)
        )
        return result

    def constant(self, values: Any, name: str = "constant") -> str:
        """Add a constant, and return its name; numbers that are no integers become float32."""
        from onnx import numpy_helper

        array = np.asarray(values)
        kind = np.int64 if array.dtype.kind in "iu" else np.float32
        return self._constant(array.astype(kind), name, numpy_helper)

    def double(self, values: Any, name: str) -> str:
        """Add a constant in float64, and return its name."""
        from onnx import numpy_helper

        return self._constant(np.asarray(values, np.float64), name, numpy_helper)

    def _constant(self, array: Array, name: str, numpy_helper: Any) -> str:
        name = self._name(f"{self.layer}.{name}" if self.layer else name)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _name(self, wanted: str) -> str:
        """Return a name that is not taken yet."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def channels_first(self, x: str, dimensions: int) -> str:
        """Put the last axis of samples, which have so many dimensions, before the others."""
        if dimensions < 2:
            return x
        return self.add("Transpose", x, perm=[0, dimensions, *range(1, dimensions)])

    def channels_last(self, x: str, dimensions: int) -> str:
        """Put the first axis of samples behind the others."""
        if dimensions < 2:
            return x
        return self.add("Transpose", x, perm=[0, *range(2, dimensions + 1), 1])

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Give samples another shape."""
        return self.add("Reshape", x, self.constant(np.array([-1, *shape]), "shape"))


Writer = Callable[[Graph, Any, str], str]
ONNX: Registry[Writer] = Registry("layer that can be exported to ONNX")
"""By type of layer: a function of the graph, the layer and its input's name that returns that of
its result. Samples of two dimensions or more have their channels first."""


def write_layers(graph: Graph, layers: Sequence[Layer], x: str) -> str:
    """Write layers one after another, and return the name of the last result."""
    for layer in layers:
        before, graph.layer = graph.layer, layer.path
        x = ONNX[layer.type](graph, layer, x)
        graph.layer = before
    return x


def onnx_model(
    network: Network,
    *,
    scale: Any = None,
    target_scale: Any = None,
    channels_first: bool = False,
    about: Mapping[str, str] | None = None,
) -> bytes:
    """Return a network as the bytes of an ``.onnx`` file.

    Parameters
    ----------
    network : Network
        It is built.
    scale : Scale, optional
        How the values of its samples were scaled. The graph then begins with it, and takes values
        as files hold them: pixels from 0 to 255, for example.
    target_scale : Scale, optional
        How the values that it learnt were scaled. The graph then ends with the inverse.
    channels_first : bool
        Whether images go in, and come out, as (n, channels, rows, columns).
    about : mapping, optional
        Texts for the metadata.

    Raises
    ------
    OptionError
        If a layer has no counterpart, which is named, or the package ``onnx`` is not there.
    """
    need_onnx()
    from cnnexp.exchange import onnx_layers  # noqa: F401 (it fills the table)

    refuse_unknown(network, ONNX, "ONNX")
    graph = Graph()
    dimensions = len(network.input_shape)
    x = INPUT if scale is None else _scaled(graph, INPUT, scale)
    x = x if channels_first else graph.channels_first(x, dimensions)
    x = write_layers(graph, network.layers, x)
    dimensions = len(network.output_shape)
    x = x if channels_first else graph.channels_last(x, dimensions)
    x = x if target_scale is None else _unscaled(graph, x, target_scale)
    graph.nodes.append(_identity(x))
    return _serialized(graph, network, channels_first, about or {})


def need_onnx() -> None:
    """Raise OptionError if the package ``onnx`` is not there."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise OptionError(
            "export to .onnx needs the package onnx, which is not installed:"
            " pip install 'cnnexp[onnx]'"
        ) from None


def _identity(x: str) -> Any:
    """Return the node that gives the result its name."""
    from onnx import helper

    return helper.make_node("Identity", [x], [OUTPUT], name=OUTPUT)


def _scaled(graph: Graph, x: str, scale: Any) -> str:
    """Scale as `Scale` does: single numbers in float32, those of columns in float64."""
    from onnx import TensorProto

    if not isinstance(scale.factor, np.ndarray):
        x = graph.add("Mul", x, graph.constant(np.float32(scale.factor), "factor"))
        return graph.add("Sub", x, graph.constant(np.float32(scale.shift), "shift"))
    x = graph.add("Cast", x, to=TensorProto.DOUBLE)
    x = graph.add("Mul", x, graph.double(scale.factor, "factor"))
    x = graph.add("Sub", x, graph.double(scale.shift, "shift"))
    return graph.add("Cast", x, to=TensorProto.FLOAT)


def _unscaled(graph: Graph, x: str, scale: Any) -> str:
    """Undo a scale, as `Scale.undo` does."""
    from onnx import TensorProto

    x = graph.add("Cast", x, to=TensorProto.DOUBLE)
    x = graph.add("Add", x, graph.double(scale.shift, "target_shift"))
    x = graph.add("Div", x, graph.double(scale.factor, "target_factor"))
    return graph.add("Cast", x, to=TensorProto.FLOAT)


def _serialized(
    graph: Graph, network: Network, channels_first: bool, about: Mapping[str, str]
) -> bytes:
    """Return the checked model as bytes."""
    import onnx
    from onnx import TensorProto, helper

    def described(name: str, shape: Sequence[int]) -> Any:
        if channels_first:
            shape = (shape[-1], *shape[:-1])
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])

    made = helper.make_graph(
        graph.nodes,
        "cnnexp",
        [described(INPUT, network.input_shape)],
        [described(OUTPUT, network.output_shape)],
        graph.constants,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(
        made, opset_imports=[opset], ir_version=IR_VERSION, producer_name="cnnexp"
    )
    helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content
