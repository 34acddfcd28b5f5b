"""What this program takes from inside Hydra, which no release of Hydra promises to keep.

This is the only file that imports ``hydra._internal``, or the like of OmegaConf. When a new version
moves something, it is repaired here.
"""

from __future__ import annotations

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path, get_args_parser
from omegaconf._utils import get_yaml_loader

__all__ = [
    "GRID",
    "IN_PROCESS",
    "Callbacks",
    "ConfigLoaderImpl",
    "FileConfigSource",
    "Hydra",
    "SourcesRegistry",
    "create_config_search_path",
    "get_args_parser",
    "get_overrides_dirname",
    "get_yaml_loader",
]

GRID = f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}"
"""The sweeper of a grid, as a config names it."""

IN_PROCESS = f"{BasicLauncher.__module__}.{BasicLauncher.__qualname__}"
"""The launcher that runs jobs in the process of the sweep, as a config names it."""
