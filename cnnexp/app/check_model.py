"""Checking the layers of a config: their options, and all shapes from the images to the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cnnexp.app.options import check_options
from cnnexp.errors import CnnexpError
from cnnexp.nn.layer import LAYERS, Layer, Shape, expand_activations, shape_after
from cnnexp.nn.layers import Dense
from cnnexp.nn.losses import LOSSES

Plain = dict[str, Any]


class Images(NamedTuple):
    """What a network is to be built for; shape and number of classes may not be known yet."""

    name: str
    shape: tuple[int, ...] | None
    classes: int | None


def check_model(config: Plain, images: Images, faults: list[str]) -> None:
    """Check all layers, and all shapes from the images to the last layer.

    Where the last dense layer has no units, it gets as many as there are classes.
    """
    entries = config["model"]["layers"]
    if not isinstance(entries, list) or not entries:
        faults.append("model.layers must be a list of at least one layer.")
        return
    _fill_in_classes(entries, images.classes)
    found = [_check_layer(f"model.layers.{k}", entry, faults) for k, entry in enumerate(entries)]
    layers = [layer for layer in found if layer is not None]
    if len(layers) == len(found):
        _check_end(config, layers, faults)
    if images.shape is not None:
        _check_shapes(found, images, faults)


def _check_end(config: Plain, layers: Sequence[Layer], faults: list[str]) -> None:
    """Check that the network ends with the activation that its loss needs."""
    name = config["loss"]["name"]
    needed = LOSSES[name].fuses if name in LOSSES else ""
    last = expand_activations(layers)[-1]
    if needed and last.type != needed:
        faults.append(
            f"model.layers.{len(layers) - 1} ({last.type}): the last layer must be {needed},"
            f" because the loss is {name.replace('_', '-')}. Give the last dense layer"
            f" activation={needed}."
        )


def _fill_in_classes(entries: list[Any], classes: int | None) -> None:
    """Let the last dense layer have as many units as there are classes."""
    dense = [entry for entry in entries if isinstance(entry, dict) and entry.get("type") == "dense"]
    if classes is not None and dense and dense[-1].get("units") is None:
        dense[-1]["units"] = classes


def _check_layer(path: str, options: Any, faults: list[str]) -> Layer | None:
    """Make one layer of a config with those inside it, or add its faults."""
    if not isinstance(options, dict) or "type" not in options:
        faults.append(
            f"{path}: must be a mapping with a type, for example {{type: conv, filters: 32,"
            f" kernel_size: 3}}. Got {options!r}."
        )
        return None
    kind, name = options["type"], options.get("name")
    if not isinstance(kind, str) or kind not in LAYERS:
        faults.append(f"{path}.type: {LAYERS.complaint(str(kind))}")
        return None
    before = len(faults)
    if name is not None and (not isinstance(name, str) or not name or "." in name):
        faults.append(f"{path}.name must be a text without a dot. Got {name!r}.")
    values = {key: value for key, value in options.items() if key not in ("type", "name")}
    inner = dict(_check_branches(path, LAYERS[kind], values, faults))
    if len(faults) > before:
        return None
    plain = {key: value for key, value in values.items() if key not in inner}
    made = check_options([LAYERS[kind]], plain, f"{path} ({kind}): ", faults, inner)
    options.update(plain)
    if not made:
        return None
    layer: Layer = made[0]
    layer.given_name = name or ""
    return layer


def _check_branches(
    path: str, layer: type[Layer], values: Plain, faults: list[str]
) -> Iterator[tuple[str, list[Layer | None]]]:
    """Yield the layers inside a block, by the name of the option that lists them."""
    for option in layer.branch_options:
        entries = values.get(option)
        if entries is None:
            continue
        if not isinstance(entries, list):
            faults.append(f"{path}.{option} must be a list of layers. Got {entries!r}.")
            continue
        yield (
            option,
            [_check_layer(f"{path}.{option}.{k}", e, faults) for k, e in enumerate(entries)],
        )


def _check_shapes(layers: Sequence[Layer | None], images: Images, faults: list[str]) -> None:
    """Follow the shape of one image through the network, up to the first layer with a fault."""
    shape: Shape = images.shape or ()
    for k, layer in enumerate(layers):
        if layer is None:
            return
        if isinstance(layer, Dense) and layer.units is None and images.classes is None:
            return  # known once the data are read; then all this is checked again
        try:
            for part in expand_activations([layer]):
                shape = shape_after(part, shape)
        except CnnexpError as error:
            hint = ""
            if images.name == "digits" and "does not fit" in str(error):
                hint = " The digits have 8x8 pixels; data=mnist has images of 28x28."
            faults.append(f"model.layers.{k} ({layer.type}): {error}.{hint}".replace("..", "."))
            return
    last, kind = len(layers) - 1, layers[-1].type if layers[-1] is not None else ""
    if images.classes is None:
        return
    if len(shape) != 1:
        faults.append(
            f"model.layers.{last} ({kind}): gives {_size(shape)} numbers for each sample and not"
            " one row. A network ends with flatten and dense."
        )
    elif shape[0] < images.classes:
        faults.append(
            f"model.layers.{last} ({kind}): gives {shape[0]} numbers for each sample, and"
            f" data={images.name} has {images.classes} classes: units must be at least"
            f" {images.classes}."
        )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
