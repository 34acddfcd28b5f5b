"""Things of one's own on the command line: what a module in ``plugins`` registers may be chosen.

A group's options are files of ``conf``; a row that a user's module adds to a table has none. So
the modules that the command line names are imported before Hydra composes, and for each of their
rows its dataclass stands in for the file.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.config_store import ConfigStore

from cnnexp.app.locations import config_files
from cnnexp.app.schema import TABLES, options_of

KEY = "plugins="


def named_plugins(words: Sequence[str]) -> list[str]:
    """Return the modules that ``plugins=[…]`` names among some words.

    Examples
    --------
    >>> named_plugins(["epochs=3", "plugins=[my_layers, my_losses]"])
    ['my_layers', 'my_losses']
    """
    values = [word.lstrip("+").removeprefix(KEY) for word in words if word.lstrip("+")[:8] == KEY]
    names = [name.strip(" '\"") for value in values for name in value.strip("[]").split(",")]
    return [name for name in names if name and name != "null"]


def offer_own(words: Sequence[str]) -> None:
    """Import the modules that some words name, and let groups choose what they register."""
    if names := named_plugins(words):
        from cnnexp.runs.plugins import load_plugins  # slow to load, and rarely needed here

        load_plugins(names)
        offer()


def offer() -> None:
    """Let groups choose what imported modules have registered."""
    store = ConfigStore.instance()
    for group, table in TABLES.items():
        files = config_files(group)
        for name in (name for name in table if name not in files):
            store.store(group=group, name=name, node=options_of(group, name))
