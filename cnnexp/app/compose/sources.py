"""Where Hydra looks for configs: our tables, our studies, the user's project, and a named folder.

Studies lie in the folder ``experiments``, and in nothing beside it.

A study is chosen by ``experiments=NAME``, so Hydra must see a group of this name. With the folder
around it on the search path, everything else there would be a group too: in an installed package
``cnnexp/plugins`` and ``cnnexp/data``, in a clone whatever its user keeps in it. Hydra would take
``plugins=[my_layers]`` for the choice of a config then.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import yaml
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf

from cnnexp.app.compose.hydra_bridge import FileConfigSource, SourcesRegistry, get_yaml_loader
from cnnexp.app.settings.options import Plain
from cnnexp.app.settings.schema import SCHEMA, TABLES, closed, config_at
from cnnexp.errors import ConfigError
from cnnexp.runs.policy import GROUPS

CONF = "conf"
GROUP = "experiments"
OWN = "own"
PROJECT = "project"
ROWS, WRITTEN = "rows", "written"
TABLES_FILE = Path(__file__).with_name("tables.json")
CONFIG_NAME = "config"  # of the config that all others are parts of
MOST_VALUES = 100_000  # of a config file, with all that its aliases repeat


class Named:
    """A source that stands in the search path under a name, before ``://``."""

    name: ClassVar[str]

    @classmethod
    def scheme(cls) -> str:
        """Return the name."""
        return cls.name


class ConfSource(Named, FileConfigSource):
    """Our own folder ``conf``, whose files libyaml reads where PyYAML has it, five times as fast.

    PyYAML's own parser has the better messages, and reads everybody else's files.
    """

    name = CONF

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file."""
        path = Path(self.path, self._normalize_file_name(config_path))
        if not path.is_file():
            return super().load_config(config_path)
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_fast_loader())  # a safe one
        header = self._get_header_dict(text[:512])
        place = f"{self.scheme()}://{self.path}"
        return ConfigResult(self.provider, place, OmegaConf.create(content or {}), header)


@cache
def _fast_loader() -> Any:
    """Return OmegaConf's loader of YAML with the parser of libyaml, or as it is without that."""
    base = get_yaml_loader()
    if not yaml.__with_libyaml__:
        return base

    cyaml: Any = yaml.cyaml

    class Loader(cyaml.CParser, base):  # type: ignore[misc, valid-type]
        def __init__(self, stream: Any) -> None:
            cyaml.CParser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return Loader


class OwnSource(Named, FileConfigSource):
    """The folder of ``--config-dir``, whose files may be anybody's."""

    name = OWN

    def is_config(self, config_path: str) -> bool:
        """Say whether a path is a config; ours alone is the primary one."""
        return config_path.removesuffix(".yaml") != CONFIG_NAME and super().is_config(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file.

        Raises
        ------
        ConfigError
            If it is not UTF-8, holds a single value, or its aliases make it enormous.
        """
        path = Path(self.path, self._normalize_file_name(config_path))
        if path.exists():
            refuse_other_bytes(path)
            with path.open(encoding="utf-8") as file:  # a file has a name, for YAML's messages
                refuse_contents(yaml.compose(file, Loader=get_yaml_loader()), path)
        return super().load_config(config_path)


class ProjectSource(OwnSource):
    """The folder ``conf`` of the user's project, of which Hydra sees the groups that we have.

    Anything else may belong to another program that keeps its settings there.
    """

    name = PROJECT
    groups: ClassVar[Sequence[str]] = GROUPS

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

    name = GROUP
    groups = (GROUP,)


class TablesSource(Named, ConfigSource):
    """Our tables: the options of each row, under ``schema/GROUP/NAME``, for the files to build on.

    A row that a user's module adds has no file, and is found under ``GROUP/NAME``.
    """

    name = ROWS

    def available(self) -> bool:
        """Say that it is there."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Say whether a path is that of a table, or leads to them."""
        path = config_path.strip("/")
        return path in ("", SCHEMA) or path.removeprefix(f"{SCHEMA}/") in TABLES

    def is_config(self, config_path: str) -> bool:
        """Say whether a path is that of a row."""
        return self.row(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the tables, or the rows of one."""
        path = config_path.strip("/")
        if path in ("", SCHEMA):
            return [] if results_filter is ObjectType.CONFIG else list(TABLES)
        rows = TABLES[path.removeprefix(f"{SCHEMA}/")]
        return [] if results_filter is ObjectType.GROUP else list(rows)

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the options of a row, with where they are from."""
        found: Any = self.row(config_path)
        return ConfigResult(self.provider, self.full_path(), found, {"package": None})

    def row(self, config_path: str) -> DictConfig | None:
        """Return the options of a row, if there is one at a path."""
        return config_at(config_path)


class WrittenTables(TablesSource):
    """What our tables hold, from a file: to import them takes NumPy, and a third of a second."""

    name = WRITTEN

    def row(self, config_path: str) -> DictConfig | None:
        """Return the options of a row, if there is one at a path."""
        if config_path in (f"{SCHEMA}/config", f"{SCHEMA}/impl"):
            return config_at(config_path)
        known = written_tables().get(config_path)
        return None if known is None else closed(known)


@cache
def written_tables() -> dict[str, Plain]:
    """Return the options of each row of our tables with their defaults, by ``schema/GROUP/NAME``.

    ``python -m tests.app.test_configs`` writes the file, and a test compares it with the tables.
    """
    found: dict[str, Plain] = json.loads(TABLES_FILE.read_text(encoding="utf-8"))
    return found


def refuse_other_bytes(path: Path) -> None:
    """Raise ConfigError for a file that is not UTF-8, the encoding of YAML here."""
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError as error:
        fault = f"byte {error.start + 1} is not UTF-8. Save the file in the encoding UTF-8."
        raise ConfigError([f"{path}: {fault}"]) from None


def refuse_contents(root: yaml.Node | None, path: Path) -> None:
    """Raise ConfigError for a single value, and for more than `MOST_VALUES` of them.

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

    if count(root) > MOST_VALUES:
        raise ConfigError(
            [f"{path}: has more than {MOST_VALUES:,} values, with all that its aliases repeat."]
        )
    if isinstance(root, yaml.ScalarNode) and not root.tag.endswith((":str", ":null")):
        raise ConfigError(
            [f"{path}: must hold settings, as key: value. It holds {root.value:.60} alone."]
        )


def register_sources() -> None:
    """Let Hydra know the sources."""
    files = (ConfSource, ExperimentsSource, OwnSource, ProjectSource)
    for source in (*files, TablesSource, WrittenTables):
        SourcesRegistry.instance().register(source)
