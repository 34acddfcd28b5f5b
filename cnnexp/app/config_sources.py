"""Where Hydra looks for configs: our studies, the user's project, and the folder that a user names.

Studies lie in the folder ``experiments``, and in nothing beside it.

A study is chosen by ``experiments=NAME``, so Hydra must see a group of this name. With the folder
around it on the search path, everything else there would be a group too: in an installed package
``cnnexp/plugins`` and ``cnnexp/data``, in a clone whatever its user keeps in it. Hydra would take
``plugins=[my_layers]`` for the choice of a config then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO

import yaml
from hydra.core.object_type import ObjectType

from cnnexp.app.hydra_bridge import FileConfigSource, SourcesRegistry
from cnnexp.errors import ConfigError
from cnnexp.runs.policy import GROUPS

GROUP = "experiments"
OWN = "own"
PROJECT = "project"
CONFIG_NAME = "config"  # of the config that all others are parts of
MOST_VALUES = 100_000  # of a config file, with all that its aliases repeat


class OwnSource(FileConfigSource):
    """The folder of ``--config-dir``, whose files may be anybody's."""

    @staticmethod
    def scheme() -> str:
        """Return what stands before ``://`` in the search path."""
        return OWN

    def is_config(self, config_path: str) -> bool:
        """Say whether a path is a config; ours alone is the primary one."""
        return config_path.removesuffix(".yaml") != CONFIG_NAME and super().is_config(config_path)

    def load_config(self, config_path: str) -> Any:
        """Read a file, unless its aliases make it enormous.

        Raises
        ------
        ConfigError
            If they do.
        """
        path = Path(self.path, self._normalize_file_name(config_path))
        if path.exists():
            with path.open(encoding="utf-8") as file:  # a file has a name, for YAML's messages
                refuse_expansion(file, path)
        return super().load_config(config_path)


class ProjectSource(OwnSource):
    """The folder ``conf`` of the user's project, of which Hydra sees the groups that we have.

    Anything else may belong to another program that keeps its settings there.
    """

    groups: ClassVar[Sequence[str]] = GROUPS

    @staticmethod
    def scheme() -> str:
        """Return what stands before ``://`` in the search path."""
        return PROJECT

    def is_group(self, config_path: str) -> bool:
        """Say whether a path is one of the groups, or the folder around them."""
        known = config_path.partition("/")[0] in ("", *self.groups)
        return known and super().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """Say whether a path is an option of one of the groups."""
        group, inside, _ = config_path.partition("/")
        return bool(inside) and group in self.groups and super().is_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the groups, or the options of one."""
        found: list[str] = super().list(config_path, results_filter)
        return found if config_path else [name for name in found if name in self.groups]


class ExperimentsSource(ProjectSource):
    """A folder of which Hydra sees one group, ``experiments``."""

    groups = (GROUP,)

    @staticmethod
    def scheme() -> str:
        """Return what stands before ``://`` in the search path."""
        return GROUP


def refuse_expansion(text: TextIO, path: Path) -> None:
    """Raise ConfigError if YAML stands for more than `MOST_VALUES` values.

    An alias repeats what it names, and OmegaConf copies it each time: ten lines of nine aliases
    each would make thousands of millions of values.
    """
    known: dict[int, float] = {}

    def count(node: yaml.Node | None) -> float:
        if node is None or not isinstance(node.value, list):
            return 1
        if id(node) not in known:
            known[id(node)] = math.inf  # until it is counted: an alias inside would have no end
            pairs = node.value if isinstance(node, yaml.MappingNode) else [(n,) for n in node.value]
            known[id(node)] = 1.0 + sum(count(inner) for pair in pairs for inner in pair)
        return known[id(node)]

    if count(yaml.compose(text, Loader=yaml.SafeLoader)) > MOST_VALUES:
        raise ConfigError(
            [f"{path}: has more than {MOST_VALUES:,} values, with all that its aliases repeat."]
        )


def register_sources() -> None:
    """Let Hydra know the sources."""
    for source in (ExperimentsSource, OwnSource, ProjectSource):
        SourcesRegistry.instance().register(source)
