"""``cnnexp check-layer``: whether a layer does what every layer must do."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
from typing import Any

import yaml

from cnnexp.app.arguments import parser_of
from cnnexp.app.settings.options import check_options, unknown
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.errors import ConfigError, OptionError, ShapeError, did_you_mean
from cnnexp.nn.layer import LAYERS, Layer, Shape
from cnnexp.nn.layer_check import check_layer
from cnnexp.runs.plugins import load_plugins

SHAPES: tuple[Shape, ...] = ((6, 5, 4), (8,))

EPILOG = """\
The layer is named by its module and its class, or by its name in the table of layers. Options of
the layer follow as KEY=VALUE. Exit code 0: it keeps all rules; 1: it breaks one.

examples
  python -m cnnexp check-layer my_layers.Swish
  python -m cnnexp check-layer my_layers.Swish beta=2 --shape 8,8,3
  python -m cnnexp check-layer group_norm groups=2
"""


def main(words: list[str]) -> int:
    """Check a layer, and print a line for each rule."""
    given = _parser().parse_intermixed_args(words)
    layer_class = find_layer(given.layer)
    options = options_of(layer_class, given.options)
    shape = _shape(given.shape) if given.shape else _shape_that_fits(layer_class, options)
    found = check_layer(lambda: layer_class(**options), shape, given.impl)
    size = "x".join(map(str, shape))
    print(f"{layer_class.__name__}, samples of {size}, impl={given.impl}")
    said: set[str] = set()
    for check in found:
        print(f"  {'FAILS' if check.fault else 'ok   '}  {check.rule}")
        if check.fault:
            print(f"         {'the same' if check.fault in said else check.fault}")
            said.add(check.fault)
    faults = sum(bool(check.fault) for check in found)
    print(f"{faults} of {len(found)} rules are broken" if faults else "all rules are kept")
    return 1 if faults else 0


def find_layer(name: str) -> type[Layer]:
    """Return the class of a layer, by its name in the table or as MODULE.CLASS.

    Raises
    ------
    OptionError
        If there is no such layer.
    """
    if name in LAYERS:
        return LAYERS[name]
    module, _, cls = name.rpartition(".")
    if not module:
        how = f"One of your own is named with its module: MODULE.{name}."
        raise OptionError(unknown(LAYERS, name, how))
    load_plugins([module])
    own = importlib.import_module(module)
    found = getattr(own, cls, None)
    if not (inspect.isclass(found) and issubclass(found, Layer)):
        known = [k for k, v in vars(own).items() if inspect.isclass(v) and issubclass(v, Layer)]
        raise OptionError(f"{module} has no layer '{cls}'.{did_you_mean(cls, known)}")
    return found


def options_of(layer_class: type[Layer], words: list[str]) -> dict[str, Any]:
    """Return the options of a layer, with their types checked.

    Raises
    ------
    ConfigError
        With all faults.
    """
    faults = [f"{word}: cannot be read as key=value." for word in words if "=" not in word]
    values = {}
    for word in words:
        key, _, value = word.partition("=")
        try:
            values[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):
            faults.append(f"{word[:80]}: cannot be read as key=value.")
    name = layer_class.type or layer_class.__name__
    if not faults:
        check_options([layer_class], values, f"{name}: ", faults)
    if missing := [key for key in _required(layer_class) if key not in values and faults]:
        typed = " ".join([*words, *(f"{key}=VALUE" for key in missing)])
        raise OptionError(
            f"{name} has options that must be given. Write them behind its name:"
            f" python -m cnnexp check-layer {name} {typed}" + "".join(f"\n  {f}" for f in faults)
        )
    if faults:
        raise ConfigError(faults)
    return values


def _required(layer_class: type[Layer]) -> list[str]:
    """Return the options of a layer that have no default."""
    if not dataclasses.is_dataclass(layer_class):
        return []
    nothing = dataclasses.MISSING
    return [
        field.name
        for field in dataclasses.fields(layer_class)
        if field.init and field.default is nothing and field.default_factory is nothing
    ]


def _on_host() -> list[str]:
    """Return the implementations that take arrays of NumPy, as layers are checked with."""
    return sorted(name for name in IMPLEMENTATIONS if IMPLEMENTATIONS[name].device is None)


def _shape(text: str) -> Shape:
    try:
        shape = tuple(int(size) for size in text.split(","))
    except ValueError:
        shape = ()
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise OptionError(f"--shape must be rows,columns,channels, or one number. Got {text}.")
    return shape


def _shape_that_fits(layer_class: type[Layer], options: dict[str, Any]) -> Shape:
    """Return the first shape that the layer takes."""
    reasons = []
    for shape in SHAPES:
        try:
            layer_class(**options).infer_shape(shape)
        except ShapeError as error:
            reasons.append(str(error))
        else:
            return shape
    raise OptionError(f"--shape is needed: {reasons[0]}")


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("check-layer", EPILOG)
    add = parser.add_argument
    add("layer", metavar="LAYER", help="MODULE.CLASS, or a name in the table of layers")
    add("options", nargs="*", default=[], metavar="KEY=VALUE", help="options of the layer")
    add("--impl", default="fast", choices=_on_host(), help="the implementation: fast")
    add("--shape", metavar="6,5,4", help="of one sample; found by trying if not given")
    return parser
