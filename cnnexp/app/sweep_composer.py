"""Composing the jobs of a sweep: what jobs of the same choices share is composed once.

Hydra composes each job from its files anew, which takes a tenth of a second. Most jobs of a sweep
differ in values alone. For these a copy of what was composed takes the values, by the same function
of Hydra's and so with the same errors.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from cnnexp.app.hydra_bridge import ConfigLoaderImpl, get_overrides_dirname


class SweepComposer:
    """Composes jobs.

    Parameters
    ----------
    loader : ConfigLoader
        Hydra's; it composes once for each combination of choices from groups.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, config: DictConfig, words: Sequence[str]) -> DictConfig:
        """Return the config of a job.

        Parameters
        ----------
        config : DictConfig
            The config of the sweep.
        words : sequence of str
            All overrides of the job.
        """
        parsed = OverridesParser.create().parse_overrides(list(words))
        values = [override for override in parsed if not self._chooses(override)]
        if any(override.is_hydra_override() for override in values):
            return self._loader.load_sweep_config(config, list(words))
        chosen = tuple(str(o.input_line) for o in parsed if self._chooses(o))
        if chosen not in self._composed:
            self._composed[chosen] = self._loader.load_sweep_config(config, list(chosen))
        composed = copy.deepcopy(self._composed[chosen])
        ConfigLoaderImpl._apply_overrides_to_config(values, composed)
        _name(composed, [override for override in parsed if not override.is_hydra_override()])
        return composed

    def _chooses(self, override: Override) -> bool:
        """Say whether an override chooses an option of a group."""
        if override.package is not None or not isinstance(self._loader, ConfigLoaderImpl):
            return True
        return bool(self._loader.repository.group_exists(override.key_or_group))


def _name(config: DictConfig, overrides: list[Override]) -> None:
    """Enter the overrides where Hydra keeps them."""
    job = config.hydra.job
    config.hydra.overrides.task = [override.input_line for override in overrides]
    rules = job.config.override_dirname
    job.override_dirname = get_overrides_dirname(
        overrides, rules.exclude_keys, rules.item_sep, rules.kv_sep
    )
