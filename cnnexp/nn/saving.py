"""Networks as copies, as pickles, and as files; and training from arrays in one call.

A network is kept as what it is made of: the options of its layers, its own options, and its weights
by path. Memory, threads and worker processes are made anew. A file is a NumPy archive of the
weights, and of the options as JSON: reading it runs no code.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from cnnexp.engine import IMPLEMENTATIONS, Array, Implementation, Limits
from cnnexp.errors import CnnexpError, DataError, OptionError, foreign
from cnnexp.nn.layer import LAYERS, Layer, Shape, make_layer
from cnnexp.nn.losses import LOSSES, Loss

OPTIONS = "network.json"  # the name of the options in the archive
FORMAT = 1
MOST_UNPACKED = 1 << 30  # bytes of the arrays of a file that is packed; `save` packs nothing
LARGEST_OPTIONS = 1 << 20
SIZES = ("threads", "micro_batch", "inference_micro_batch")


class Saving(ABC):
    """What a network does to be kept elsewhere."""

    layers: list[Layer]
    implementation: Implementation
    dtype: np.dtype[Any]
    seed: int
    threads: int | str
    micro_batch: int | str
    inference_micro_batch: int | str
    fuse: bool
    limits: Limits
    loss: Loss
    metrics: dict[str, Any]
    steps_done: int
    built: bool
    _chosen: int  # the automatic size of a micro-batch, 0 if another one was given

    @property
    @abstractmethod
    def input_shape(self) -> Shape:
        """Shape of one sample; known once the network is built."""

    @abstractmethod
    def build(self, input_shape: Shape) -> Any:
        """Draw the parameters for samples of this shape."""

    @abstractmethod
    def weights(self) -> dict[str, Array]:
        """Return copies of all parameters and of the state by path."""

    @abstractmethod
    def load_weights(self, values: Mapping[str, Array]) -> Any:
        """Copy parameters and state from a dictionary as `weights` returns it."""

    _options: ClassVar[tuple[str, ...]] = ("seed", *SIZES, "fuse")

    def _arguments(self) -> dict[str, Any]:
        """Return the options that the network was made with."""
        found = {name: getattr(self, name) for name in self._options}
        return found | {
            "impl": self.implementation,
            "dtype": self.dtype.name,
            "loss": self.loss,
            "metrics": list(self.metrics),
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return what the network is made of."""
        return {
            "layers": [unbuilt(layer) for layer in self.layers],
            "arguments": self._arguments() | {"impl": _known(self.implementation)},
            "limits": None if self.limits == self.implementation.limits else self.limits,
            "input_shape": self.input_shape if self.built else None,
            "weights": self.weights() if self.built else None,
            "steps_done": self.steps_done,
            "chosen": self._chosen,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the network from what `__getstate__` returned."""
        self.__init__(  # type: ignore[misc]
            state["layers"], limits=state["limits"], **state["arguments"]
        )
        if state["input_shape"] is not None:
            self.build(state["input_shape"])
            self.load_weights(state["weights"])
        self.steps_done, self._chosen = state["steps_done"], state.get("chosen", 0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to one file, from which `load` makes it again.

        Parameters
        ----------
        path : str or path
            The file, by custom ``.npz``. It is written whole or not at all.

        Raises
        ------
        ShapeError
            If the network is not built.
        OptionError
            If a layer, the loss or the implementation has no name in its table.
        """
        import io
        import json
        import zipfile
        from pathlib import Path

        weights = self.weights()
        text = json.dumps(self._description())
        buffer = io.BytesIO()
        np.savez(buffer, **weights)  # type: ignore[arg-type]
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr(OPTIONS, text)
        temporary = Path(f"{os.fspath(path)}.tmp")
        temporary.write_bytes(buffer.getvalue())
        temporary.replace(path)

    def _description(self) -> dict[str, Any]:
        """Return the options as plain JSON."""
        impl = _named(IMPLEMENTATIONS, self.implementation, "implementation")
        loss = {"name": _named(LOSSES, type(self.loss), "loss")} | _fields_of(self.loss)
        return {
            "format": FORMAT,
            "layers": [layer_options(unbuilt(layer)) for layer in self.layers],
            "arguments": self._arguments() | {"impl": impl, "loss": loss},
            "input_shape": list(self.input_shape),
            "steps_done": self.steps_done,
            "chosen": self._chosen,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """Return the network of a file that `save` wrote.

        Parameters
        ----------
        path : str or path
            The file.
        **options
            Arguments of `Network` that are to be others: ``impl``, ``threads`` and so on.

        Raises
        ------
        DataError
            If the file cannot be read, or is not of a network.
        UnknownName
            If it names a layer or a loss that is not in the tables: import the module that
            registers it first.
        """
        with foreign(path, error=DataError):
            return cls._from_archive(os.fspath(path), options)

    @classmethod
    def _from_archive(cls, path: str, options: dict[str, Any]) -> Self:
        import json
        import zipfile
        from pathlib import Path

        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > max(MOST_UNPACKED, Path(path).stat().st_size):
                raise DataError(
                    f"{path}: its arrays are packed, and would take {size:,} bytes; at most"
                    f" {MOST_UNPACKED:,} are unpacked. A file of Network.save has them as they are."
                )
            if OPTIONS not in archive.namelist():
                raise DataError(f"{path}: no network: there is no {OPTIONS} in it.")
            if archive.getinfo(OPTIONS).file_size > LARGEST_OPTIONS:
                raise DataError(f"{path}: its {OPTIONS} is longer than that of any network.")
            found = json.loads(archive.read(OPTIONS))
        if found["format"] != FORMAT:
            raise DataError(f"{path}: expected format {FORMAT}, found {found['format']!s:.20}.")
        try:
            return cls._made_of(found, path, options)
        except CnnexpError as error:
            raise type(error)(f"{path}: {error}") from None

    @classmethod
    def _made_of(cls, found: dict[str, Any], path: str, options: dict[str, Any]) -> Self:
        """Return the network that the options in a file describe, with the weights in it."""
        arguments = found["arguments"]
        loss = dict(arguments["loss"])
        arguments["loss"] = LOSSES[loss.pop("name")](**loss)
        network = cls([make_layer(entry) for entry in found["layers"]], **(arguments | options))  # type: ignore[call-arg]
        network.build(tuple(found["input_shape"]))
        with np.load(path, allow_pickle=False) as archive:
            network.load_weights({name: archive[name] for name in archive.files if name != OPTIONS})
        network.steps_done = int(found["steps_done"])
        if "micro_batch" not in options:
            network._chosen = int(found.get("chosen", 0))
        return network

    def fit(self, X: Array, Y: Array, **options: Any) -> list[dict[str, float]]:
        """Train on arrays, and return the figures of each epoch, ready for pandas.

        See `cnnexp.train.fitting.fit` for all options: epochs, batch_size, learning_rate,
        optimizer, schedule, validation, callbacks, early_stopping, best_weights, ema, seed.

        Examples
        --------
        >>> from cnnexp import Dense, Network, Softmax
        >>> X, Y = np.eye(3, dtype="float32").repeat(20, axis=0), np.arange(3).repeat(20)
        >>> net = Network([Dense(3), Softmax()])
        >>> history = net.fit(X, Y, epochs=30, learning_rate=0.5)
        >>> len(history), history[-1]["train_error"]
        (30, 0.0)
        """
        from cnnexp.train.fitting import fit

        return fit(self, X, Y, **options)  # type: ignore[arg-type]


def _known(implementation: Implementation) -> str | Implementation:
    """Return the name of an implementation of the table, others as they are."""
    name = implementation.name
    known = name in IMPLEMENTATIONS and IMPLEMENTATIONS[name] is implementation
    return name if known else implementation


def unbuilt(layer: Layer, expanded: bool = True) -> Layer:
    """Return a new layer with the options of another, and nothing that `build` made.

    Parameters
    ----------
    layer : Layer
        The layer.
    expanded : bool
        Whether its activation stands after it as a layer of its own by now.
    """
    if not dataclasses.is_dataclass(layer):
        made = copy.copy(layer)
        made.params, made.state = {}, {}
        return made
    values = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer) if f.init}
    if expanded and "activation" in values:
        values["activation"] = None
    for name in layer.branch_options:
        if (inside := values.get(name)) is not None:
            run = any(inside is branch for branch in layer.children().values())
            values[name] = [unbuilt(inner, expanded=run) for inner in inside]
    made = type(layer)(**values)
    made.given_name = layer.given_name
    return made


def layer_options(layer: Layer) -> dict[str, Any]:
    """Return the options of a layer as `make_layer` takes them.

    Examples
    --------
    >>> from cnnexp import MaxPool2D
    >>> layer_options(MaxPool2D(2))["kernel_size"]
    2
    """
    found: dict[str, Any] = {"type": _named(LAYERS, type(layer), "layer")}
    if layer.given_name:
        found["name"] = layer.given_name
    return found | _fields_of(layer)


def _fields_of(thing: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, with layers as their options."""

    def plain(value: Any) -> Any:
        if isinstance(value, Layer):
            return layer_options(value)
        return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    names = [f.name for f in dataclasses.fields(thing) if f.init]
    return {name: plain(getattr(thing, name)) for name in names}


def _named(table: Any, thing: Any, kind: str) -> str:
    """Return the name of a thing in its table."""
    name: str = table.name_of(thing)
    if name not in table or table[name] is not thing:
        raise OptionError(
            f"the {kind} {thing!r} has no name, so it cannot be saved. Register it with a name."
        )
    return name
