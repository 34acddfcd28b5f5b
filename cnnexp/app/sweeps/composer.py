"""Composing the jobs of a sweep: what jobs have in common is composed once.

Hydra composes a job from its files in a tenth of a second. Most jobs of a sweep differ in values
alone: ``seed=0`` and ``seed=1`` give the same settings, but for one number. So the settings are
composed once for each combination of choices (``model=cnn``), and every job is a copy of them with
its values in it.
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

from cnnexp.app.compose.configs import composing
from cnnexp.app.compose.hydra_bridge import ConfigLoaderImpl, get_overrides_dirname
from cnnexp.app.settings.check import plain
from cnnexp.app.settings.options import Plain

PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
VALUES = (bool, int, float, str, type(None))


class Composed(NamedTuple):
    """The settings of a job, and Hydra's own."""

    settings: Plain
    hydra: Plain
    refers: bool  # whether a setting takes its value from another one


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
        self._base = functools.cache(self._composed)

    def compose(self, words: Sequence[str]) -> Composed:
        """Return the settings of a job.

        Parameters
        ----------
        words : sequence of str
            All overrides of the job.
        """
        parsed = [self._parse(word) for word in words]
        values = [override for override in parsed if self._is_value(override)]
        others = tuple(str(o.input_line) for o in parsed if not self._is_value(o))
        if self._order_counts(parsed):
            values, others = [], tuple(words)
        base: Composed = pickle.loads(self._base(others))
        try:
            for override in values:
                _put(base.settings, override.key_or_group, override.value())
        except (LookupError, TypeError, ValueError):  # Hydra does it, or says why it cannot
            base = pickle.loads(self._composed(tuple(words)))
        settings = plain(OmegaConf.create(base.settings)) if base.refers else base.settings
        return base._replace(settings=settings, hydra=_with_overrides(base.hydra, parsed))

    def _is_value(self, override: Override) -> bool:
        """Say whether an override puts a plain value in the place of another one."""
        value = override.value()
        return (
            override.type is OverrideType.CHANGE
            and PATH.fullmatch(override.key_or_group) is not None
            and not override.is_hydra_override()
            and not self._chooses(override)
            and type(value) in VALUES
            and "$" not in str(value)
        )

    def _order_counts(self, parsed: Sequence[Override]) -> bool:
        """Say whether a plain value stands before another override of the same part.

        The first is put into the settings that the other has made, so the first would win.
        """
        before: list[list[str]] = []
        for override in parsed:
            parts = override.key_or_group.split(".")
            if self._is_value(override):
                before.append(parts)
            elif not self._chooses(override) and any(_one_within(parts, b) for b in before):
                return True
        return False

    def _chooses(self, override: Override) -> bool:
        """Say whether an override chooses an option of a group; a dictionary changes options."""
        if isinstance(override.value(), dict):
            return False
        if override.package is not None or not isinstance(self._loader, ConfigLoaderImpl):
            return True
        return bool(self._loader.repository.group_exists(override.key_or_group))

    def _composed(self, words: tuple[str, ...]) -> bytes:
        """Compose settings as Hydra does, pickled, to be copied.

        If all is chosen as it is for the sweep, they are there already. What was typed beside
        choices is put into a job again, which changes nothing; what adds or deletes a key would.
        """
        with composing(lambda: self._config):
            typed = [self._parse(word) for word in self._config.hydra.overrides.task]
            fixed = (o for o in typed if self._chooses(o) and not o.is_sweep_override())
            change = all(override.type is OverrideType.CHANGE for override in typed)
            if change and words == tuple(str(override.input_line) for override in fixed):
                config = copy.deepcopy(self._config)
                config.hydra.mode = None
            else:
                config = self._loader.load_sweep_config(self._config, list(words))
        keys = [str(key) for key in config if key not in ("hydra", "experiments")]
        settings: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, keys))
        # The folder of the sweep is fixed, though it refers to the time.
        refers = "${" in str({key: value for key, value in settings.items() if key != "sweep"})
        hydra: Any = OmegaConf.to_container(config.hydra)
        return pickle.dumps(Composed(settings if refers else plain(config), hydra, refers))


def _put(settings: Plain, path: str, value: Any) -> None:
    """Put a value in the place of the one at a path.

    Raises
    ------
    LookupError, TypeError, ValueError
        If there is none.
    """
    holder: Any = settings
    *parents, last = path.split(".")
    for part in parents:
        holder = holder[int(part) if isinstance(holder, list) else part]
    place = int(last) if isinstance(holder, list) else last
    if isinstance(holder[place], (dict, list)):
        raise LookupError(path)
    holder[place] = value


def _one_within(a: Sequence[str], b: Sequence[str]) -> bool:
    """Say whether one of two paths lies in the other, or is it."""
    return all(one == other for one, other in zip(a, b, strict=False))


def _with_overrides(hydra: Plain, parsed: Sequence[Override]) -> Plain:
    """Return Hydra's own settings with the overrides of a job where Hydra keeps them."""
    ours = [override for override in parsed if not override.is_hydra_override()]
    rules = hydra["job"]["config"]["override_dirname"]
    name = get_overrides_dirname(ours, rules["exclude_keys"], rules["item_sep"], rules["kv_sep"])
    return hydra | {
        "overrides": hydra["overrides"] | {"task": [str(o.input_line) for o in ours]},
        "job": hydra["job"] | {"override_dirname": name},
    }
