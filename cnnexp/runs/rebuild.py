"""From a checked config, as a run records it, to its data set and its network."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, NamedTuple

from cnnexp.data import SOURCES, Dataset, Source
from cnnexp.data.augmentation import AUGMENTATIONS, Augmentation
from cnnexp.data.dataset import Preparation
from cnnexp.data.scale import Scale
from cnnexp.data.sources import Raw
from cnnexp.errors import OptionError
from cnnexp.nn.arguments import computes_here
from cnnexp.nn.initializers import at_most
from cnnexp.nn.layer import Layer, make_layer
from cnnexp.nn.losses import LOSSES, Loss
from cnnexp.nn.network import Network
from cnnexp.registry import made

Config = dict[str, Any]
ALWAYS = 1 << 24  # numbers of an array that any computer has room for
SIMPLE = {int, float, str, bool, types.NoneType}


def options_of(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return those values that are fields of a dataclass.

    Raises
    ------
    OptionError
        If one is not of the type of its field: a number, a text, true or false.
    """
    names = {field.name for field in dataclasses.fields(cls)}
    found = {key: value for key, value in values.items() if key in names}
    hints = typing.get_type_hints(cls)
    for key, value in found.items():
        allowed = {*_parts(hints[key])} | ({int} if float in _parts(hints[key]) else set())
        if allowed <= SIMPLE and type(value) not in allowed:
            raise OptionError(f"{key} cannot be {value!r:.60}.")
    return found


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return the types of which a value may be one."""
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if is_union else (hint,)


def build_layers(config: Config) -> list[Layer]:
    """Make the layers that a config lists."""
    return [make_layer(options) for options in config["model"]["layers"]]


class DatasetPlan(NamedTuple):
    """What a config says of its data set; nothing is read yet.

    Attributes
    ----------
    source, preparation : Source, Preparation
        Where samples come from, and how they are prepared.
    dtype : str
        Their type as numbers.
    returns_input : bool
        Whether the samples themselves are the targets.
    """

    source: Source
    preparation: Preparation
    dtype: str
    returns_input: bool

    def load(
        self,
        scale: Scale | None = None,
        target_scale: Scale | None = None,
        raw: Raw | None = None,
        preparation: Preparation | None = None,
    ) -> Dataset:
        """Read and prepare the data set, with its own scales if none are given.

        What was read already, and another preparation, may be given as well.
        """
        chosen = preparation or self.preparation
        dataset = Dataset.prepare(self.source, chosen, self.dtype, scale, target_scale, raw)
        return dataset.reconstruction() if self.returns_input else dataset


def build_source(config: Config) -> Source:
    """Make the source of a config's data set; nothing is read."""
    source_class = SOURCES[config["data"]["name"]]
    return source_class(**options_of(source_class, config["data"]))


def plan_dataset(config: Config) -> DatasetPlan:
    """Return what a config says of its data set."""
    options, dtype = config["data"], config["dtype"]
    if dtype not in ("float32", "float64"):
        raise OptionError(f"dtype must be float32 or float64. Got {dtype!r}.")
    preparation = Preparation(**options_of(Preparation, options))
    returns_input = config["model"].get("target") == "input"
    return DatasetPlan(build_source(config), preparation, dtype, returns_input)


def readable(config: Config) -> dict[str, Any]:
    """Return arguments of `Network` that replace an implementation which cannot compute here.

    A run that was trained on a GPU, or with an extra, is read, evaluated and exported wherever
    there is none: `fast` gives the same results, but for rounding.
    """
    if computes_here(config["impl"]["name"]):
        return {}
    sizes = ("threads", "micro_batch", "inference_micro_batch")
    return {"impl": "fast"} | dict.fromkeys(sizes, "auto")


def build_loss(config: Config) -> Loss:
    """Make the loss of a config."""
    return made(LOSSES, config["loss"], "name")


def build_augmentations(config: Config) -> list[Augmentation]:
    """Make the augmentations that a config lists."""
    return [made(AUGMENTATIONS, options, "type") for options in config["augment"]["transforms"]]


def build_network(
    config: Config, image_shape: tuple[int, ...], largest: int | None = None, **overrides: Any
) -> Network:
    """Make and build the network of a config; `overrides` are arguments of `Network`.

    A config from elsewhere may ask for any size: no weights have more than `largest` numbers, or
    `ALWAYS`, so that weights which do not fit are told by their names and shapes.
    """
    impl = config["impl"]
    arguments = {
        "impl": impl["name"],
        "dtype": config["dtype"],
        "seed": config["seed"],
        "threads": impl.get("threads", "auto"),
        "micro_batch": impl.get("micro_batch", "auto"),
        "inference_micro_batch": impl.get("inference_micro_batch", "auto"),
        "fuse": impl.get("fuse", True),
        "loss": build_loss(config),
        "metrics": config["metrics"],
    }
    network = Network(build_layers(config), **(arguments | overrides))
    if largest is None:
        return network.build(image_shape)
    with at_most(max(largest, ALWAYS)):
        return network.build(image_shape)
