"""Modules of a user's that register layers, sources, optimizers and other things by name.

They are imported when the user names them, or when a run that needs them is the user's own
(`trust`). A run folder never causes an import by itself.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from cnnexp.errors import CodeChanged, ConfigError, RunError
from cnnexp.runs import trust
from cnnexp.runs.code import FOLDER
from cnnexp.runs.files import is_folder
from cnnexp.runs.record import Record
from cnnexp.runs.sources import changed


def load_plugins(modules: Sequence[str], run: Path | None = None) -> None:
    """Import modules that the user named, and those of installed packages.

    Parameters
    ----------
    modules : sequence of str
        Modules in the working folder, or installed ones.
    run : Path, optional
        A run folder; modules in it are refused.

    Raises
    ------
    ConfigError
        If one cannot be imported.
    """
    load_installed()
    for name in modules:
        _refuse_name(name)
    for name in modules:
        if name not in sys.modules:
            _look_here(name)
            if run is not None:
                _refuse_inside(name, run)
            _import(name)


@functools.cache
def load_installed() -> None:
    """Import what installed packages register, once; to look for them takes 15 ms."""
    from importlib.metadata import entry_points  # slow to load, and of no use to --cfg

    for point in entry_points(group="cnnexp.plugins"):
        try:
            point.load()
        except Exception as error:  # whatever such a package does
            raise ConfigError([f"plugins: {_broken_plugin(point.value, error)}"]) from None


def load_plugins_of(run: Path, record: Record, named: Sequence[str] | None = None) -> list[str]:
    """Import the plugins of a run, as far as that is allowed.

    Parameters
    ----------
    run : Path
        The run folder.
    record : Record
        Its ``run.json``.
    named : sequence of str, optional
        Modules that the user names; they are imported, whether the run needs them or not.

    Returns
    -------
    list of str
        Modules that the run names and that were not imported, each with the reason. None of them
        may be needed for what is asked; `refusal` makes an error of them.
    """
    load_plugins(named or (), run)
    wanted = list(record.config.get("plugins") or [])
    _warn_of_changes(run, record)
    missing = [name for name in wanted if name not in {*(named or ()), *sys.modules}]
    if not missing:
        return []
    if why := trust.why_foreign(wanted, record.plugins, run):
        return [f"'{name}' ({why})" for name in missing]
    for source in record.plugins["modules"] if record.plugins else ():
        _look_for_signed(source["name"], Path(source["path"]), run)
    for name in missing:
        _import(name)
    return []


def _warn_of_changes(run: Path, record: Record) -> None:
    """Warn of modules that are not what they were when the run was made."""
    if names := changed(record.plugins):
        relative = os.path.relpath(run)
        place = str(run) if relative.startswith(os.pardir) else relative
        are = "is" if len(names) == 1 else "are"
        warnings.warn(
            f"{place}: {', '.join(names)} {are} not as when the run was made{_kept(run)}.",
            CodeChanged,
            stacklevel=2,
        )


def _kept(run: Path) -> str:
    there = is_folder(run / FOLDER)
    return f"; what was used lies in its folder {FOLDER}" if there else ""


def refusal(run: Path, missing: Sequence[str]) -> RunError:
    """Return the error for plugins that are needed and were not imported."""
    names = [text.split("'")[1] for text in missing]
    return RunError(
        f"{run}: needs the {'module' if len(names) == 1 else 'modules'} {', '.join(missing)}. A run"
        " folder alone does not have code imported. If you trust what it names, name it yourself:"
        f" --plugins {','.join(names)}, or load_run(…, plugins={names!r})."
    )


def parse_names(text: str) -> list[str]:
    """Return the modules in a list with commas: the value of ``--plugins``.

    Examples
    --------
    >>> parse_names("my_layers, my_losses")
    ['my_layers', 'my_losses']
    """
    return [name.strip() for name in text.strip("[]").split(",") if name.strip()]


def _refuse_name(name: str) -> None:
    """Refuse what is no name of a module, and what Python's own library has too."""
    if not name:
        raise ConfigError(["plugins: a name is empty."])
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError([f"plugins: '{name}' is not the name of a module."])
    if _is_pythons_own(name):
        raise ConfigError(
            [f"plugins: '{name}' is a module of Python's own. Give yours another name."]
        )


def _is_pythons_own(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def _refuse_inside(name: str, run: Path) -> None:
    """Refuse a module that would come from a run folder; nothing is imported to find that out."""
    spec = PathFinder.find_spec(name.partition(".")[0])
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    if any(Path(place).resolve().is_relative_to(run.resolve()) for place in places if place):
        raise RunError(
            f"{run}: the module '{name}' lies in the run folder, from which nothing is imported."
            " Look at what it does, and copy it elsewhere to use it."
        )


def _look_here(name: str) -> None:
    """Let Python look in the working folder, as a console script does not, if the module is there.

    Otherwise the folder stays out: a file in it could take the place of an installed package.
    """
    here = os.getcwd()
    if here not in sys.path and PathFinder.find_spec(name.partition(".")[0], [here]) is not None:
        sys.path.insert(0, here)


def _look_for_signed(name: str, path: Path, run: Path) -> None:
    """Let Python find a module at the path that was signed, whatever has its name elsewhere."""
    if "." in name:
        return  # it is found by the package around it
    if _origin_of(name) != path:
        sys.path.insert(0, str(path.parents[path.name == "__init__.py"]))
        importlib.invalidate_caches()
    if _origin_of(name) != path:
        raise RunError(f"{run}: Python finds the module '{name}' elsewhere than at {path}.")


def _origin_of(name: str) -> Path | None:
    """Return the file that an import of a module would run."""
    spec = PathFinder.find_spec(name)
    return Path(spec.origin).resolve() if spec and spec.origin else None


def _import(name: str) -> None:
    """Import a module, and say where it fails if it does."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError([f"plugins: {_not_found(name, error)}"]) from None
    except (Exception, SystemExit) as error:  # whatever a user's module does
        raise ConfigError([f"plugins: {_broken_plugin(name, error)}"]) from None


def _not_found(name: str, error: ModuleNotFoundError) -> str:
    """Say which module was not found: the one that the user names, or one that it imports."""
    if f"{name}.".startswith(f"{error.name}."):
        return (
            f"cannot import '{name}' ({error}). It must be a module in this folder or an installed"
            " one."
        )
    if not error.name:
        return _broken_plugin(name, error)
    return (
        f"'{name}' imports '{error.name}' in {_place_of(error)}, and there is no such module:"
        " neither installed nor in this folder."
    )


def _broken_plugin(name: str, error: BaseException) -> str:
    """Say where a user's module failed."""
    reason = error.msg if isinstance(error, SyntaxError) else error
    return f"'{name}' fails in {_place_of(error)}: {type(error).__name__}: {reason}."


def _place_of(error: BaseException) -> str:
    """Return the line of the user's in which an error was raised."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_the_users(frame.filename)] or frames
    return f"{own[-1].filename}, line {own[-1].lineno}"


def _is_the_users(filename: str) -> bool:
    """Say whether a file is none of Python's, of an installed package, or of this one."""
    places = [sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib")]
    return not filename.startswith(("<", *places, str(Path(__file__).parents[1])))
