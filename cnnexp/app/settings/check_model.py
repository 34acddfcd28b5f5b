"""Checking what samples go through: augmentations, and layers.

Their options are checked, all shapes from the images to the end, and whether both suit the loss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cnnexp.app.settings.options import Plain, check_options, shown, unknown
from cnnexp.data import Dataset
from cnnexp.data.augmentation import AUGMENTATIONS, Geometric
from cnnexp.data.augmentation.pipeline import not_images
from cnnexp.errors import CnnexpError
from cnnexp.nn.layer import LAYERS, Layer, Shape, expand_activations, shape_after
from cnnexp.nn.layers import Dense
from cnnexp.nn.losses import LOSSES, OF_CLASSES
from cnnexp.registry import Registry
from cnnexp.train.batches import no_mixing

SOFTMAX = ("softmax", "log_softmax")


class Images(NamedTuple):
    """What a network is to be built for, as far as that is known yet.

    Attributes
    ----------
    name : str
        The data set.
    shape : tuple of int or None
        Shape of one sample: rows, columns and channels, or the features of a table.
    classes : int or None
        Number of classes; 0 if the targets are real values.
    targets : tuple of int or None
        Shape of one sample's real values.
    """

    name: str
    shape: tuple[int, ...] | None
    classes: int | None
    targets: tuple[int, ...] | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> Images:
        """Return what a network for a data set must take and give."""
        classes = len(dataset.classes)
        return cls(dataset.name, dataset.image_shape, classes, dataset.target_shape)

    @property
    def outputs(self) -> int | None:
        """Units of a last dense layer: one for each class, or for each real value."""
        if self.targets is not None:
            return self.targets[0] if len(self.targets) == 1 else None
        return self.classes


def check_model(config: Plain, images: Images, faults: list[str]) -> None:
    """Check all layers, and all shapes from the images to the last layer.

    Where the last dense layer has no units, it gets as many as there are classes or real values.
    Where a network learns to return its input, a last convolution without filters gets as many as
    there are channels.
    """
    entries, returns_input = config["model"]["layers"], config["model"].get("target") == "input"
    if not entries:
        faults.append("model.layers must be a list of at least one layer.")
        return
    if returns_input:
        images = images._replace(classes=0, targets=images.shape or ())
        entries = _fill_in_channels(entries, images.shape)
    if images.targets is not None:
        _check_measures(config, images, faults)
    _fill_in_units(entries, images.outputs)
    found = [_check_layer(f"model.layers.{k}", entry, faults) for k, entry in enumerate(entries)]
    layers = [layer for layer in found if layer is not None]
    if len(layers) == len(found) and not _unsuited(config, images):
        _check_end(config, layers, images, faults)
    if images.shape is not None:
        _check_shapes(found, images, returns_input, faults)


def _check_end(config: Plain, layers: Sequence[Layer], images: Images, faults: list[str]) -> None:
    """Check that the network ends with what its loss needs, and can give what its targets are."""
    name = config["loss"]["name"]
    needed = LOSSES[name].fuses if name in LOSSES else ""
    last = expand_activations(layers)[-1]
    if needed and last.type != needed:
        faults.append(
            f"model.layers.{len(layers) - 1} ({last.type}): the last layer must be {needed},"
            f" because the loss is {name.replace('_', '-')}. Give the last dense layer"
            f" activation={needed}."
        )
    elif not needed and last.type in SOFTMAX and _cannot_add_up(config, images):
        faults.append(_ends_in_softmax(config, layers, last.type))


def _cannot_add_up(config: Plain, images: Images) -> bool:
    """Say whether targets are real values that are no fractions of 1: one each, or scaled."""
    if images.targets is None or config["model"].get("target") == "input":
        return False
    return images.targets == (1,) or config["data"].get("target_scaling") != "none"


def _ends_in_softmax(config: Plain, layers: Sequence[Layer], softmax: str) -> str:
    """Say why a network cannot learn real values, and what can."""
    last, model = f"model.layers.{len(layers) - 1}", config["model"]["name"]
    instead = f"leave out {last}" if layers[-1].type == softmax else f"{last}.activation=null"
    outputs = "outputs" if softmax == "softmax" else "outputs are logarithms of numbers that"
    return (
        f"model={model}: it ends in a {softmax}, whose {outputs} add up to 1, and the targets of"
        f" data={config['data']['name']} are real values, so it cannot learn them. Choose"
        f" model=regression, or a last layer without {softmax}: {instead}.{_another_column(config)}"
    )


def _check_measures(config: Plain, images: Images, faults: list[str]) -> None:
    """Check that loss and metrics have a meaning for real values."""
    loss, of = config["loss"]["name"], f"data={images.name} are real values"
    of_input = config["model"].get("target") == "input"
    if of_input:
        of = f"model={config['model']['name']} are the samples themselves (model.target=input)"
    if _unsuited(config, images):
        suitable = [other for other in LOSSES if not LOSSES[other].needs_classes]
        faults.append(
            f"loss={loss}: it is for classes, and the targets of {of}. Losses for these:"
            f" {', '.join(suitable)}; the last layer then has no softmax, as in model=regression."
            f"{_another_column(config)}"
        )
    elif of_input and loss in LOSSES and set(LOSSES[loss].metrics) & set(OF_CLASSES):
        faults.append(
            f"loss={loss}: its error is for classes, and the targets of {of}. Choose"
            " mean_squared_error, mean_absolute_error or huber."
        )
    faults += [
        f"metrics: {metric} is for classes, and the targets of {of}."
        for metric in config["metrics"]
        if metric in OF_CLASSES
    ]


def doubtful_task(config: Plain, images: Images) -> list[str]:
    """Ask what whole numbers in a table are, where the loss is one for real values."""
    loss, metrics = LOSSES[config["loss"]["name"]], config["metrics"]
    data = config["data"]
    if config["model"].get("target") == "input":
        return []
    of_values = not loss.needs_classes and not loss.metrics and "error" not in metrics
    if not (images.classes and of_values and "target" in data and data.get("task") is None):
        return []
    return [
        f"data.task: the targets are whole numbers or text, taken for {images.classes} classes, and"
        f" loss={config['loss']['name']} is one for real values. Say data.task=regression if they"
        " are values, or data.task=classification."
    ]


def _another_column(config: Plain) -> str:
    """Say how the classes of a table are found, if its last column was taken for want of a name."""
    unnamed = "target" in config["data"] and config["data"]["target"] is None
    return " The targets are the last column; data.target=NAME takes another." if unnamed else ""


def _unsuited(config: Plain, images: Images) -> bool:
    """Say whether the loss is for classes, and the targets are real values."""
    name = config["loss"]["name"]
    return images.targets is not None and name in LOSSES and LOSSES[name].needs_classes


def _fill_in_channels(entries: list[Any], shape: tuple[int, ...] | None) -> list[Any]:
    """Let a last convolution have as many filters as images have channels.

    Where these are not known yet, return entries with a number that stands for it.
    """
    last = entries[-1]
    layer = LAYERS[last["type"]] if isinstance(last, dict) and last.get("type") in LAYERS else None
    if layer is None or layer.operation != "conv" or last.get("filters") is not None:
        return entries
    if shape is None:
        return [*entries[:-1], last | {"filters": 1}]
    last["filters"] = shape[-1]
    return entries


def _fill_in_units(entries: list[Any], outputs: int | None) -> None:
    """Let the last dense layer have as many units as there are classes or real values."""
    dense = [entry for entry in entries if isinstance(entry, dict) and entry.get("type") == "dense"]
    if outputs is not None and dense and dense[-1].get("units") is None:
        dense[-1]["units"] = outputs


def _kind_of(
    path: str, entry: Any, table: Registry[Any], example: str, faults: list[str]
) -> str | None:
    """Return the type that an entry of a list names, or add to the faults why it is none."""
    if not isinstance(entry, dict) or "type" not in entry:
        faults.append(
            f"{path}: must be a mapping with a type, for example {example}. Got {shown(entry)}."
        )
        return None
    if entry["type"] not in table:
        faults.append(f"{path}.type: {unknown(table, entry['type'])}")
        return None
    return str(entry["type"])


def _check_layer(path: str, options: Any, faults: list[str]) -> Layer | None:
    """Make one layer of a config with those inside it, or add its faults."""
    kind = _kind_of(path, options, LAYERS, "{type: conv, filters: 32, kernel_size: 3}", faults)
    if kind is None:
        return None
    before, name = len(faults), options.get("name")
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


def _check_shapes(
    layers: Sequence[Layer | None], images: Images, returns_input: bool, faults: list[str]
) -> None:
    """Follow the shape of one image through the network, up to the first layer with a fault."""
    shape: Shape = images.shape or ()
    for k, layer in enumerate(layers):
        if layer is None:
            return
        if isinstance(layer, Dense) and layer.units is None and images.outputs is None:
            return  # known once the data are read; then all this is checked again
        try:
            for part in expand_activations([layer]):
                shape = shape_after(part, shape)
        except CnnexpError as error:
            text = f"model.layers.{k} ({layer.type}): {error}.{_hint(images, str(error))}"
            faults.append(text.replace("..", "."))
            return
    if fault := _fault_of_result(shape, images, returns_input):
        kind = layers[-1].type if layers[-1] is not None else ""
        faults.append(f"model.layers.{len(layers) - 1} ({kind}): gives {fault}.")


def _hint(images: Images, error: str) -> str:
    """Say what may be meant where a layer does not take what it is given."""
    if len(images.shape or ()) == 1:
        return (
            f" data={images.name} is a table of {_size(images.shape or ())} features: use dense"
            " layers alone, as model=flat does for classes and model=regression for real values."
        )
    if images.name == "digits" and "does not fit" in error:
        return " The digits have 8x8 pixels; data=mnist has images of 28x28."
    return ""


def _fault_of_result(shape: Shape, images: Images, returns_input: bool) -> str:
    """Say why what a network gives is not what its targets need; nothing, if it is."""
    given = f"{_size(shape)} numbers for each sample, and"
    if images.targets is not None:
        wanted = f"the real values of data={images.name} are"
        if returns_input:
            wanted = "the network is to return its input (model.target=input), which is"
        return "" if shape == images.targets else f"{given} {wanted} {_size(images.targets)}"
    if images.classes is None:
        return ""
    if len(shape) != 1:
        return f"{given} not one row. A network ends with flatten and dense"
    if shape[0] >= images.classes:
        return ""
    return (
        f"{given} data={images.name} has {images.classes} classes: units must be at least"
        f" {images.classes}"
    )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)


def check_augment(config: Plain, images: Images, faults: list[str]) -> None:
    """Check all augmentations, and fill in the defaults of their options."""
    group = config["augment"]
    entries = group["transforms"]
    if entries and group["name"] == "none":
        group["name"] = "own"  # typed on the command line
    kinds = [
        _check_augmentation(f"augment.transforms.{k}", entry, config, faults)
        for k, entry in enumerate(entries)
    ]
    if entries and images.shape is not None and len(images.shape) != 3:
        faults.append(f"augment.transforms: {not_images(images.shape)}")
    if config["model"].get("target") == "input":
        faults += [
            f"augment.transforms.{k} ({kind}): it moves pixels, and the targets of"
            f" model={config['model']['name']} stay where they are (model.target=input). Noise and"
            " erase are what such a network can learn to undo."
            for k, kind in enumerate(kinds)
            if kind is not None and issubclass(AUGMENTATIONS[kind], Geometric)
        ]


def _check_augmentation(path: str, options: Any, config: Plain, faults: list[str]) -> str | None:
    """Check one augmentation, and return its type."""
    kind = _kind_of(path, options, AUGMENTATIONS, "{type: rotate, degrees: 10}", faults)
    if kind is None:
        return None
    values, loss = {k: v for k, v in options.items() if k != "type"}, config["loss"]["name"]
    for made in check_options([AUGMENTATIONS[kind]], values, f"{path} ({kind}): ", faults):
        options.update({f.name: getattr(made, f.name) for f in dataclasses.fields(made)})
    if AUGMENTATIONS[kind].mixes and loss in LOSSES and not LOSSES[loss].soft_targets:
        faults.append(f"{path} ({kind}): {no_mixing(loss)}")
    return kind
