"""Where Hydra looks for our studies: in the folder ``experiments``, and in nothing beside it.

A study is chosen by ``experiments=NAME``, so Hydra must see a group of this name. With the folder
around it on the search path, everything else there would be a group too: in an installed package
``cnnexp/plugins`` and ``cnnexp/data``, in a clone whatever its user keeps in it. Hydra would take
``plugins=[my_layers]`` for the choice of a config then.
"""

from __future__ import annotations

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.object_type import ObjectType

GROUP = "experiments"


class ExperimentsSource(FileConfigSource):
    """A folder of which Hydra sees one group, ``experiments``."""

    @staticmethod
    def scheme() -> str:
        """Return what stands before ``://`` in the search path."""
        return GROUP

    def is_group(self, config_path: str) -> bool:
        """Say whether a path is the group, or the folder around it."""
        return config_path in ("", GROUP) and super().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """Say whether a path is a study."""
        return config_path.startswith(f"{GROUP}/") and super().is_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the group, or the studies in it."""
        if config_path:
            found: list[str] = super().list(config_path, results_filter)
            return found
        return [] if results_filter == ObjectType.CONFIG else [GROUP]


def register_sources() -> None:
    """Let Hydra know the source."""
    SourcesRegistry.instance().register(ExperimentsSource)
