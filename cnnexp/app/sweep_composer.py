"""Composing the jobs of a sweep: what jobs have in common is composed once.

Hydra composes a job from its files in a tenth of a second. Most jobs of a sweep differ in values
alone: ``seed=0`` and ``seed=1`` give the same settings, but for one number. So a job is composed
from files once for each combination of choices (``model=cnn``), and its values are applied by
Hydra's own function, with its errors, once for each combination of keys and types. Every further
job of that kind is a copy with other values in it.
"""

from __future__ import annotations

import copy
import functools
import pickle
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from cnnexp.app.check import plain
from cnnexp.app.composing import composing
from cnnexp.app.hydra_bridge import ConfigLoaderImpl, get_overrides_dirname
from cnnexp.app.options import Plain

PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
Kind = tuple[Any, ...]


class Composed(NamedTuple):
    """The settings of a job, and Hydra's own."""

    settings: Plain
    hydra: Plain


class SweepComposer:
    """Composes jobs.

    Parameters
    ----------
    loader : ConfigLoader
        Hydra's.
    config : DictConfig
        The config of the sweep.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self._loader = loader
        self._config = config
        parser = OverridesParser.create()
        self._parse = functools.cache(lambda word: parser.parse_overrides([word])[0])
        self._chosen: dict[tuple[str, ...], DictConfig] = {}
        self._known: dict[Kind, bytes] = {}

    def compose(self, words: Sequence[str]) -> Composed:
        """Return the settings of a job.

        Parameters
        ----------
        words : sequence of str
            All overrides of the job.
        """
        parsed = [self._parse(word) for word in words]
        kind = tuple(self._kind(override) for override in parsed)
        if kind not in self._known:
            return self._compose_anew(parsed, kind)
        settings, hydra = pickle.loads(self._known[kind])
        for override in parsed:
            if not isinstance(self._kind(override), str):
                _put(settings, override.key_or_group, override.value())
        return Composed(settings, _with_overrides(hydra, parsed))

    def _kind(self, override: Override) -> Any:
        """Return the key and the type of a plain value, which may be put in the place of another.

        Of all other overrides the whole text is returned.
        """
        value = override.value()
        simple = (
            override.type is OverrideType.CHANGE
            and PATH.fullmatch(override.key_or_group)
            and not self._chooses(override)
            and not override.is_hydra_override()
            and (type(value) in (bool, int, float) or (type(value) is str and "$" not in value))
        )
        return (override.key_or_group, type(value)) if simple else str(override.input_line)

    def _chooses(self, override: Override) -> bool:
        """Say whether an override chooses an option of a group."""
        if override.package is not None or not isinstance(self._loader, ConfigLoaderImpl):
            return True
        return bool(self._loader.repository.group_exists(override.key_or_group))

    def _compose_anew(self, parsed: Sequence[Override], kind: Kind) -> Composed:
        """Compose a job as Hydra does; keep it, if others of its kind can be made from it."""
        with composing(lambda: self._config):
            config = self._compose(parsed)
        found = Composed(plain(config), OmegaConf.to_container(config.hydra))  # type: ignore[arg-type]
        replaced = [o for o, k in zip(parsed, kind, strict=True) if not isinstance(k, str)]
        same = all(type(_at(found.settings, o.key_or_group)) is type(o.value()) for o in replaced)
        if same and not _refers(config):
            self._known[kind] = pickle.dumps(found)
        return Composed(found.settings, _with_overrides(found.hydra, parsed))

    def _compose(self, parsed: Sequence[Override]) -> DictConfig:
        words = [str(override.input_line) for override in parsed]
        values = [override for override in parsed if not self._chooses(override)]
        if any(override.is_hydra_override() for override in values):
            return self._loader.load_sweep_config(self._config, words)
        chosen = tuple(str(o.input_line) for o in parsed if self._chooses(o))
        if chosen not in self._chosen:
            self._chosen[chosen] = self._compose_chosen(chosen)
        composed = copy.deepcopy(self._chosen[chosen])
        ConfigLoaderImpl._apply_overrides_to_config(values, composed)
        return composed

    def _compose_chosen(self, chosen: tuple[str, ...]) -> DictConfig:
        """Compose the choices of a job from files, unless those of the sweep are the same ones.

        What was typed beside choices is applied to a job again, which changes nothing. That is not
        so of what adds or deletes a key.
        """
        typed = [self._parse(word) for word in self._config.hydra.overrides.task]
        plain = all(override.type is OverrideType.CHANGE for override in typed)
        fixed = (o for o in typed if self._chooses(o) and not o.is_sweep_override())
        if not plain or chosen != tuple(str(o.input_line) for o in fixed):
            return self._loader.load_sweep_config(self._config, list(chosen))
        composed = copy.deepcopy(self._config)
        composed.hydra.mode = None
        return composed


def _refers(config: DictConfig) -> bool:
    """Say whether a setting takes its value from another one; the folder of the sweep is fixed."""
    keys = [str(key) for key in config if key not in ("hydra", "experiments", "sweep")]
    return "${" in str(OmegaConf.to_container(OmegaConf.masked_copy(config, keys)))


def _at(settings: Plain, path: str) -> Any:
    """Return the setting at a path; an empty one is that of all settings."""
    found: Any = settings
    for part in path.split(".") if path else ():
        found = found[int(part) if isinstance(found, list) else part]
    return found


def _put(settings: Plain, path: str, value: Any) -> None:
    """Put a value in the place of the one at a path."""
    parent, _, last = path.rpartition(".")
    holder = _at(settings, parent)
    holder[int(last) if isinstance(holder, list) else last] = value


def _with_overrides(hydra: Plain, parsed: Sequence[Override]) -> Plain:
    """Return Hydra's own settings with the overrides of a job where Hydra keeps them."""
    ours = [override for override in parsed if not override.is_hydra_override()]
    rules = hydra["job"]["config"]["override_dirname"]
    name = get_overrides_dirname(ours, rules["exclude_keys"], rules["item_sep"], rules["kv_sep"])
    return hydra | {
        "overrides": hydra["overrides"] | {"task": [str(o.input_line) for o in ours]},
        "job": hydra["job"] | {"override_dirname": name},
    }
