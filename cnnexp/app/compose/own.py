"""Things of one's own on the command line: what a module in ``plugins`` registers may be chosen.

The modules that the command line names are imported before Hydra composes, which finds their rows
in our tables (`cnnexp.app.compose.sources.TablesSource`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.global_hydra import GlobalHydra

from cnnexp.app.compose.configs import App, make_app

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


@contextmanager
def composer(words: Sequence[str], config_dir: str | None = None) -> Iterator[App]:
    """Give what composes settings, with the modules imported that some words name.

    Groups may choose what these register. Afterwards Hydra is as it was.
    """
    if names := named_plugins(words):
        from cnnexp.runs.plugins import load_plugins  # slow to load, and rarely needed here

        load_plugins(names)
    try:
        yield make_app(config_dir)
    finally:
        GlobalHydra.instance().clear()
