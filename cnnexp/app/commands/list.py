"""``cnnexp list KIND``: what there is to choose from, in a line each, with options and defaults."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import starmap
from typing import Any, NamedTuple

from cnnexp.app.arguments import parser_of
from cnnexp.app.commands import SUMMARIES
from cnnexp.app.compose.own import KEY, named_plugins
from cnnexp.app.locations import config_files
from cnnexp.app.reference.docstrings import first_line, parameters_of
from cnnexp.app.reference.presets import comment
from cnnexp.app.reference.settings import NO_DEFAULT, about, default_of, sections, set_by_file
from cnnexp.app.reference.variables import VARIABLES
from cnnexp.app.settings.schema import ImplConfig
from cnnexp.data import SOURCES
from cnnexp.data.augmentation import AUGMENTATIONS
from cnnexp.data.dataset import Preparation
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.engine.operations import Implementation
from cnnexp.errors import UnknownName, did_you_mean
from cnnexp.nn.initializers import INITIALIZERS, constant
from cnnexp.nn.layer import LAYERS
from cnnexp.nn.losses import LOSSES, METRICS
from cnnexp.registry import Registry
from cnnexp.runs.plugins import load_plugins
from cnnexp.trackers import TRACKERS
from cnnexp.train import CALLBACKS, OPTIMIZERS, SCHEDULES
from cnnexp.train.optimizer import Optimizer

REGULARIZERS = {"weight_decay": "L2", "l1": "L1", "max_norm": "max-norm"}


class Entry(NamedTuple):
    """One thing: its name, what it is, and its options with their defaults."""

    name: str
    what: str
    options: str = ""


def _of_table(table: Registry[Any], group: str = "", *more: type) -> Iterator[Entry]:
    """Yield the rows of a table of classes.

    Parameters
    ----------
    table : Registry
        The table.
    group : str
        The config group whose options are the rows; what its YAML sets are the defaults.
    *more : type
        Dataclasses with further options of every row.
    """
    for name in table:
        thing = table[name]
        given = [cls for cls in (thing, *more) if isinstance(cls, type)]
        classes = [cls for cls in given if dataclasses.is_dataclass(cls)]
        values = {f.name: default_of(f) for cls in classes for f in dataclasses.fields(cls)}
        values |= set_by_file(group, name) if group else {}
        said = [f"{key}={'…' if v == NO_DEFAULT else v}" for key, v in values.items()]
        what = _about(thing)
        yield Entry(name, what, " ".join(said))


def _about(thing: Any) -> str:
    """Return what something is, in a sentence."""
    if isinstance(thing, Implementation):
        return thing.about
    return about(thing) if isinstance(thing, type) else first_line(thing)


def _initializers() -> Iterator[Entry]:
    yield from _of_table(INITIALIZERS)
    yield Entry("NUMBER", f"{first_line(constant)} For example initializer=0.1")


def _regularizers() -> Iterator[Entry]:
    """Yield the options of every optimizer that hold weights small, as its docstring has them."""
    meanings = parameters_of(Optimizer)
    defaults = {field.name: default_of(field) for field in dataclasses.fields(Optimizer)}
    apart = ", ".join(name for name in OPTIMIZERS if OPTIMIZERS[name].decoupled)
    meanings["weight_decay"] += f" Decoupled, in its update, with {apart}."
    for name, what in REGULARIZERS.items():
        yield Entry(f"optimizer.{name}", f"{what}: {meanings[name]}", f"{name}={defaults[name]}")


def _files(group: str) -> Iterator[Entry]:
    """Yield the options of a config group, with the comments of their files."""
    return (Entry(name, comment(path)) for name, path in config_files(group).items())


def _settings() -> Iterator[Entry]:
    seen: dict[str, str] = {}
    for section in sections():
        for setting in section.settings:
            seen.setdefault(setting.key, setting.meaning)
    for key, meaning in seen.items():
        yield Entry(key, re.split(r"(?<=\w\w[.])\s", meaning.replace("`", ""))[0])


class Kind(NamedTuple):
    """Something that can be listed: what it is, its entries, and how they are used."""

    what: str
    entries: Callable[[], Iterator[Entry]]
    usage: str


KINDS: Mapping[str, Kind] = {
    "layers": Kind(
        "what a model is made of",
        lambda: _of_table(LAYERS),
        "in a model's YAML: {type: conv, filters: 32, kernel_size: 3}",
    ),
    "models": Kind("networks", lambda: _files("model"), "model=NAME"),
    "impls": Kind(
        "implementations of convolution and pooling",
        lambda: _of_table(IMPLEMENTATIONS, "impl", ImplConfig),
        "impl=NAME, impl.threads=2",
    ),
    "data": Kind(
        "data sets", lambda: _of_table(SOURCES, "data", Preparation), "data=NAME, data.limit=1000"
    ),
    "optimizers": Kind(
        "how a gradient becomes a step",
        lambda: _of_table(OPTIMIZERS, "optimizer"),
        "optimizer=NAME, optimizer.momentum=0",
    ),
    "schedules": Kind(
        "how the learning rate changes", lambda: _of_table(SCHEDULES, "schedule"), "schedule=NAME"
    ),
    "losses": Kind("what training minimises", lambda: _of_table(LOSSES, "loss"), "loss=NAME"),
    "metrics": Kind("further figures to log", lambda: _of_table(METRICS), "metrics=[NAME]"),
    "augmentations": Kind(
        "random changes of training images",
        lambda: _of_table(AUGMENTATIONS),
        "augment=NAME (list augment), or 'augment.transforms=[{type: rotate, degrees: 5}]'",
    ),
    "augment": Kind(
        "presets of augmentation",
        lambda: _files("augment"),
        "augment=NAME, python -m cnnexp help augment=NAME",
    ),
    "regularizers": Kind(
        "ways to keep weights small; see also the layers dropout and spatial_dropout",
        _regularizers,
        "optimizer.weight_decay=0.0005 optimizer.decay_biases=false",
    ),
    "initializers": Kind(
        "ways to draw initial weights", _initializers, "model.layers.0.initializer=NAME"
    ),
    "callbacks": Kind(
        "code that training calls",
        lambda: _of_table(CALLBACKS),
        "callbacks=[NAME], callbacks=[{type: NAME, option: value}]",
    ),
    "trackers": Kind(
        "other programs that follow a run",
        lambda: _of_table(TRACKERS),
        "trackers=[NAME], trackers=[{type: NAME, option: value}]",
    ),
    "experiments": Kind(
        "studies with all their settings", lambda: _files("experiments"), "experiments=NAME"
    ),
    "settings": Kind("all settings, one per line", _settings, "python -m cnnexp help KEY"),
    "variables": Kind(
        "environment variables",
        lambda: (
            Entry(v.name, v.meaning.replace("`", ""), f"default: {v.default}") for v in VARIABLES
        ),
        "export NAME=VALUE",
    ),
    "commands": Kind(
        "commands", lambda: starmap(Entry, SUMMARIES.items()), "python -m cnnexp COMMAND --help"
    ),
}


def main(words: list[str]) -> int:
    """List things of one kind, or the kinds."""
    parser = parser_of(
        "list", "kinds\n" + "\n".join(f"  {name:<14}{kind.what}" for name, kind in KINDS.items())
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help="one of the kinds below")
    plugins = named_plugins(words)
    name = parser.parse_args([word for word in words if not word.startswith(KEY)]).kind
    if name is None:
        _print([Entry(name, kind.what) for name, kind in KINDS.items()])
        print("\npython -m cnnexp list KIND [plugins=[my_layers]]")
        return 0
    if name not in KINDS:
        raise UnknownName(
            f"list: there is no kind '{name}'.{did_you_mean(name, KINDS)}"
            f" Kinds: {', '.join(KINDS)}."
        )
    load_plugins(plugins)
    _print(list(KINDS[name].entries()))
    print(f"\n{KINDS[name].usage}")
    return 0


def _print(entries: list[Entry]) -> None:
    """Print names under each other, and the options of each below it."""
    if not entries:
        print("none")
    wide = max((len(entry.name) for entry in entries), default=0) + 2
    for entry in entries:
        print(f"{entry.name:<{wide}}{entry.what}".rstrip())
        if entry.options:
            print(f"{'':<{wide}}{entry.options}")
