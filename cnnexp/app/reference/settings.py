"""Every setting of a run as data: key, type, default, allowed values, meaning.

Nothing is written down here. Keys, types and defaults come from the dataclasses that take the
settings, meanings from their docstrings, and allowed values from their ranges, or from the messages
with which they refuse others: each option is tried with values that are often wrong.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cnnexp.app.locations import CHOICES, config_files, config_root
from cnnexp.app.reference.docstrings import Parameter, documented, first_line
from cnnexp.app.reference.presets import values_in_presets
from cnnexp.app.reference.since import since
from cnnexp.app.settings.options import describe
from cnnexp.app.settings.schema import (
    TABLES,
    AugmentConfig,
    Config,
    ImplConfig,
    ModelConfig,
    SweepConfig,
    figure_names,
)
from cnnexp.data import SOURCES
from cnnexp.data.augmentation import AUGMENTATIONS
from cnnexp.data.dataset import Preparation
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.errors import CnnexpError
from cnnexp.nn.layer import LAYERS, Layer
from cnnexp.registry import Registry
from cnnexp.runs.policy import CheckpointPolicy
from cnnexp.trackers import TRACKERS
from cnnexp.train import CALLBACKS, OPTIMIZERS
from cnnexp.train.optimizer import Optimizer
from cnnexp.train.stopping import EarlyStopping

NO_DEFAULT = "required"
OURS = "cnnexp."  # how the modules of this package begin
OBJECTIVE = "sweep.objective"
LISTS: tuple[tuple[str, str, Registry[Any]], ...] = (  # settings that are lists of things by name
    ("transform", "augment.transforms.N", AUGMENTATIONS),
    ("callback", "callbacks.N", CALLBACKS),
    ("tracker", "trackers.N", TRACKERS),
)
ONE_OF = re.compile(r"^\{(.*)\}$")
REFUSALS = (r"must be (.+?)\. Got", r"must lie (.+?)\. Got", r"must (have .+?)\. Got")
WRONG: tuple[Any, ...] = (-1, -0.5, 0, 0.0, 1.0, 1.5, 2.0, float("inf"), "no such value", [-1.0])


class Setting(NamedTuple):
    """One key.

    Attributes
    ----------
    key : str
        As it is typed, for example ``optimizer.momentum``.
    type : str
        What it takes, in words.
    default : str
        As YAML writes it; ``required`` where there is none.
    allowed : str
        Which values of the type are accepted; empty: all.
    meaning : str
        What it does.
    since : str
        The version that was the first to have it; empty for options of plugins.
    """

    key: str
    type: str
    default: str
    allowed: str
    meaning: str
    since: str = ""


class Section(NamedTuple):
    """Settings that belong together: those of one choice of a group, for example.

    Attributes
    ----------
    name : str
        For example ``optimizer=adam``, or ``type: conv``.
    what : str
        What it is, in a sentence.
    settings : tuple of Setting
        In the order of the dataclass.
    foreign : bool
        Whether a plugin has brought it.
    """

    name: str
    what: str
    settings: tuple[Setting, ...]
    foreign: bool = False


def sections() -> Iterator[Section]:
    """Yield all settings: those of a run, then those of every choice of every group."""
    return map(_dated, _sections())


def _sections() -> Iterator[Section]:
    yield Section("a run", first_line(Config), tuple(_of_run()))
    yield _with_type(_section("model", "model", ModelConfig), "model.layers.N", LAYERS)
    yield _with_type(_section("augment", "augment", AugmentConfig), *LISTS[0][1:])
    for _, key, registry in LISTS[1:]:
        name = key.partition(".")[0]
        yield _with_type(Section(name, f"Entries of the list {name}.", ()), key, registry)
    yield _early_stopping()
    yield _section("checkpoint", "checkpoint", CheckpointPolicy)
    yield _sweep()
    yield _section("impl", "impl", ImplConfig, choices=IMPLEMENTATIONS)
    yield _section("data", "data", Preparation, choices=SOURCES)
    for group, table in TABLES.items():
        for name in table if group != "impl" else ():
            yield _section(f"{group}={name}", group, table[name])
    for name in LAYERS:
        yield _section(f"type: {name}", "model.layers.N", LAYERS[name])
    for kind, key, registry in LISTS:
        for name in registry:
            section = _section(f"{kind}: {name}", key, registry[name])
            yield _with_presets(section, name) if registry is AUGMENTATIONS else section


def about(cls: type) -> str:
    """Return what a choice is, in a sentence; of an optimizer, its default learning rate too.

    Examples
    --------
    >>> about(OPTIMIZERS["nadam"])
    "Adam with Nesterov's momentum. Default learning rate: 0.002."
    """
    rate = getattr(cls, "default_learning_rate", None) if issubclass(cls, Optimizer) else None
    return first_line(cls) + (f" Default learning rate: {rate}." if rate is not None else "")


def _with_type(section: Section, key: str, registry: Registry[Any]) -> Section:
    """Return the settings of a list, and the type of each of its entries."""
    names = ", ".join(name for name in registry if registry[name].__module__.startswith(OURS))
    meaning = "The type of entry N; ``help NAME`` shows its options."
    kind = Setting(f"{key}.type", "a text", NO_DEFAULT, names, meaning)
    return section._replace(settings=(*section.settings, kind))


def _with_presets(section: Section, transform: str) -> Section:
    """Return the options of a transform, and what presets set where that is not the default."""
    return section._replace(settings=tuple(_in_presets(s, transform) for s in section.settings))


def _in_presets(setting: Setting, transform: str) -> Setting:
    """Return an option whose meaning names the presets that set it."""
    values: dict[str, list[str]] = {}
    for name, value in values_in_presets(transform, setting.key.rpartition(".")[2]):
        if value != yaml.safe_load(setting.default):
            values.setdefault(_text(value), []).append(name)
    said = [f"{value} in {', '.join(names)}" for value, names in values.items()]
    more = f" Presets of ``augment``: {'; '.join(said)}." if said else ""
    return setting._replace(meaning=setting.meaning + more)


def _sweep() -> Section:
    """Return the settings of a sweep, with the figures that a search can minimise."""
    section = _section("sweep", "sweep", SweepConfig)
    figures = ", ".join(figure_names())
    made = [s._replace(allowed=figures) if s.key == OBJECTIVE else s for s in section.settings]
    return section._replace(settings=tuple(made))


def _early_stopping() -> Section:
    """Return the settings of `EarlyStopping`, with the default that leaves it off."""
    section = _section("early_stopping", "early_stopping", EarlyStopping)
    patience, *others = section.settings
    off = patience._replace(type=f"{patience.type} or null", default="null")
    off = off._replace(meaning=f"{off.meaning} null: no early stopping.")
    return section._replace(settings=(off, *others))


def _dated(section: Section) -> Section:
    """Return a section whose settings say since which version they are there."""
    if section.foreign:
        return section
    dated = [s._replace(since=since(section.name, s.key.split(".")[-1])) for s in section.settings]
    return section._replace(settings=tuple(dated))


def _of_run() -> Iterator[Setting]:
    """Yield the keys at the top, with their ranges."""
    for setting in _settings("", Config):
        if setting.key in CHOICES:
            setting = setting._replace(allowed=", ".join(config_files(setting.key)))
        if setting.key == "learning_rate":
            setting = setting._replace(meaning=f"{setting.meaning} {_default_rates()}")
        yield setting._replace(default=_configured(setting))


def _default_rates() -> str:
    """Say which learning rate each of our optimizers has by default."""
    rates = [
        f"{name} {OPTIMIZERS[name].default_learning_rate}"
        for name in OPTIMIZERS
        if OPTIMIZERS[name].__module__.startswith(OURS)
    ]
    return f"These are: {', '.join(rates)}."


def _configured(setting: Setting) -> str:
    """Return the default that ``conf/config.yaml`` sets, or that of the dataclass."""
    value: Any = _from_yaml(config_root() / "conf" / "config.yaml")
    chosen = {
        k: v for entry in value["defaults"] if isinstance(entry, dict) for k, v in entry.items()
    }
    if setting.key.removesuffix(".name") in chosen:
        return str(chosen[setting.key.removesuffix(".name")])
    for part in setting.key.split("."):
        value = value.get(part, ...) if isinstance(value, dict) else ...
    return setting.default if value is ... or isinstance(value, dict) else _text(value)


def _section(name: str, group: str, cls: type, choices: Registry[Any] | None = None) -> Section:
    """Return the settings that a class takes below a group."""
    settings = [s._replace(default=_configured(s)) for s in _settings(f"{group}.", cls)]
    if "=" in name:
        own_file = set_by_file(group, name.partition("=")[2])
        settings = [
            s._replace(default=own_file.get(s.key.partition(".")[2]) or s.default) for s in settings
        ]
    if choices is not None:
        names = ", ".join(["auto", *choices] if group == "impl" else choices)
        own = Setting(f"{group}.name", "a text", "", names, f"Which: ``{group}=NAME``.")
        own = own._replace(default=_configured(own))
        settings = [own, *(s for s in settings if s.key != own.key)]
    foreign = not cls.__module__.startswith(OURS)
    return Section(name, about(cls), tuple(settings), foreign)


@functools.cache
def _settings(before: str, cls: type) -> tuple[Setting, ...]:
    """Return the fields of a dataclass."""
    return tuple(_each_setting(before, cls)) if dataclasses.is_dataclass(cls) else ()


def _each_setting(before: str, cls: type) -> Iterator[Setting]:
    about, hints = documented(cls), typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        said = about.get(field.name, Parameter("", ""))
        kind = _type(hints[field.name], said.type)
        choices = ONE_OF.match(said.type)
        allowed = choices[1].replace('"', "") if choices else _allowed(cls, field)
        yield Setting(before + field.name, kind, default_of(field), allowed, said.meaning)


def _type(hint: Any, said: str) -> str:
    """Say what a setting takes: the docstring's words where the type has none of its own."""
    words = describe(hint)
    plain = not re.search(r"[\[.]|typing|<class", words)
    return words if plain and hint is not Any else said.removesuffix(", optional") or "any value"


def default_of(field: dataclasses.Field[Any]) -> str:
    """Return the default of an option as text."""
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return "" if dataclasses.is_dataclass(made) else _text(made)
    return NO_DEFAULT if field.default in (dataclasses.MISSING, "") else _text(field.default)


def set_by_file(group: str, name: str) -> dict[str, str]:
    """Return the defaults that the file of a group's option sets, as text."""
    path = config_files(group).get(name)
    values = {} if path is None else _from_yaml(path)
    return {key: _text(v) for key, v in values.items() if key not in ("defaults", "name")}


def _text(value: Any) -> str:
    """Return a value as YAML reads it."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


@functools.cache
def _from_yaml(path: Path) -> Mapping[str, Any]:
    """Return what a config file sets."""
    found: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def _allowed(cls: type, field: dataclasses.Field[Any]) -> str:
    """Return what must hold of an option; of one without a range, what a class says to others."""
    if (allowed := field.metadata.get("range")) is not None:
        return str(allowed.words)
    given, name = _enough(cls), field.name
    for value in WRONG:
        try:
            cls(**(given | {name: value}))
        except CnnexpError as error:
            for refusal in REFUSALS:
                if match := re.search(rf"^{name}\b.*? {refusal}", str(error)):
                    return match[1]
        except Exception:
            continue  # a value of a type that the class is never given
    return ""


def _enough(cls: type) -> dict[str, Any]:
    """Return values for the options of a class that have no default."""
    given: dict[str, Any] = {}
    if issubclass(cls, Layer) and cls.branch_options:
        given[cls.branch_options[0]] = [LAYERS["relu"]()]
    for field in dataclasses.fields(cls):
        missing = field.default is dataclasses.MISSING is field.default_factory
        if missing and field.name not in given:
            given[field.name] = [1, 1] if field.name == "shape" else 1
    return given


def find(key: str) -> list[tuple[Section, Setting]]:
    """Return every setting of a name: a whole key, or an option of layers or of a group.

    Examples
    --------
    >>> [section.name for section, _ in find("optimizer.nesterov")]
    ['optimizer=sgd']
    """
    wanted = re.sub(r"\.\d+\.", ".N.", key.replace("[", ".").replace("]", ""))
    return [
        (section, setting)
        for section in sections()
        for setting in section.settings
        if wanted in (setting.key, setting.key.rpartition(".")[2])
    ]
