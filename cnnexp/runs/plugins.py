"""Modules of a user's that register layers, sources, optimizers and other things by name."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path

from cnnexp.errors import ConfigError


def load_plugins(modules: Sequence[str]) -> None:
    """Import modules that register things: those named, and those of installed packages.

    Raises
    ------
    ConfigError
        If one cannot be imported.
    """
    from importlib.metadata import entry_points  # slow to load, and of no use to --cfg

    for point in entry_points(group="cnnexp.plugins"):
        point.load()
    if modules and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a console script does not look beside itself
    for name in modules:
        if not name:
            raise ConfigError(["plugins: a name is empty."])
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ConfigError(
                [
                    f"plugins: cannot import '{name}' ({error}). It must be a module in this folder"
                    " or an installed one."
                ]
            ) from None
        except Exception as error:  # whatever a user's module does
            raise ConfigError([f"plugins: {_broken_plugin(name, error)}"]) from None


def _broken_plugin(name: str, error: Exception) -> str:
    """Say where a user's module failed."""
    place = f"{error.filename}, line {error.lineno}" if isinstance(error, SyntaxError) else ""
    if not place:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if _is_the_users(frame.filename)] or frames
        place = f"{own[-1].filename}, line {own[-1].lineno}"
    reason = error.msg if isinstance(error, SyntaxError) else error
    return f"'{name}' fails in {place}: {type(error).__name__}: {reason}."


def _is_the_users(filename: str) -> bool:
    """Say whether a file is none of Python's, of an installed package, or of this one."""
    places = [sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib")]
    return not filename.startswith(("<", *places, str(Path(__file__).parents[1])))
