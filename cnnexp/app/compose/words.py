"""What was typed, looked at before Hydra sees it.

Hydra ends in a traceback, or does something else than was meant, for some things that are easily
typed. They are found here; everything else is left to it.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from cnnexp.app.compose.hydra_bridge import get_args_parser
from cnnexp.app.compose.messages import dotted
from cnnexp.app.locations import CHOICES, config_files
from cnnexp.app.screen import warn
from cnnexp.errors import ConfigError, did_you_mean

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "sweep.dir")
NO_NAMES = re.compile(r"(|null|none|true|false|[-+.\d].*|[\[{].*)", re.IGNORECASE)
IMPL = ("impl=", "impl.name=", "+impl.name=")
PLACE = re.compile(r"(?:model|augment)\.(layers|transforms)\.([^.=]+)")


def check_words(words: Sequence[str]) -> argparse.Namespace:
    """Return Hydra's flags and the overrides, as they stand among some words.

    Parameters
    ----------
    words : sequence of str
        What follows ``python -m cnnexp``.

    Raises
    ------
    ConfigError
        With all faults, for what Hydra would stumble over.
    """
    given = _flags(words)
    if given.hydra_help:  # which has no use for settings
        given.overrides = []
        return given
    given.overrides = [dotted(word) for word in given.overrides]
    faults = [*_flag_faults(given), *_split_lists(given.overrides)]
    faults += _presets_as_names(given.overrides)
    for override in given.overrides:
        faults += _faults(override)
    faults += _given_twice(given.overrides)
    if faults:
        raise ConfigError(faults)
    return given


def chooses_impl(overrides: Sequence[str]) -> bool:
    """Say whether overrides name an implementation.

    Examples
    --------
    >>> chooses_impl(["epochs=3", "impl=sg"]), chooses_impl(["impl.threads=2"])
    (True, False)
    """
    return any(override.startswith(IMPL) for override in overrides)


def _flags(words: Sequence[str]) -> argparse.Namespace:
    """Parse flags as Hydra does, with a short message if there is no such flag."""
    parser = get_args_parser()
    known = [flag for action in parser._actions for flag in action.option_strings]

    def refuse(message: str) -> NoReturn:
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0]
        near = did_you_mean(unknown, known) if unknown else ""
        if re.fullmatch(r"--\w[\w.]*(=.*)?", unknown) and not near:
            near = f" Settings have no dashes: {unknown.lstrip('-').partition('=')[0]}=VALUE."
        raise ConfigError([f"{message}.{near} python -m cnnexp --help shows what there is."])

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_intermixed_args(list(words))


def _flag_faults(given: argparse.Namespace) -> Iterator[str]:
    """Yield what is wrong with flags that would be passed over."""
    if given.config_path is not None:
        yield "--config-path is not for this program. --config-dir FOLDER adds configs of yours."
    if given.experimental_rerun is not None:
        yield "--experimental-rerun is not for this program: python -m cnnexp rerun RUN."
    if given.config_dir is not None and _is_hydras_record(Path(given.config_dir)):
        run = Path(given.config_dir).parent
        yield (
            f"--config-dir {given.config_dir}: this is what Hydra wrote down of a run. Its settings"
            f" are used again by: python -m cnnexp rerun {shlex.quote(str(run))}"
        )
    for flag in ("resolve", "package"):
        if getattr(given, flag) and not given.cfg:
            yield f"--{flag} shows a part of the settings and needs --cfg job beside it."


def _is_hydras_record(folder: Path) -> bool:
    return (folder / "hydra.yaml").is_file() and (folder / "overrides.yaml").is_file()


def _faults(override: str) -> Iterator[str]:
    """Yield what is wrong with one override."""
    typed, equals, value = override.partition("=")
    key = typed.lstrip("+~")
    group = key.partition(".")[0]
    if typed.startswith("~") and not key.startswith("hydra"):
        yield f"{override}: settings are given another value, as in {key}=…, and not taken away."
    elif equals and not key.partition("@")[0]:
        yield f"{override}: there is no key before the equals sign."
    elif key in CHOICES and NO_NAMES.fullmatch(value) and value not in config_files(key):
        own = f" A file of yours is found with --config-dir FOLDER, if it lies in FOLDER/{key}."
        hint = own if "/" in value else ""
        yield f"{override}: must be a name. Options of {key}: {', '.join(config_files(key))}.{hint}"
    elif key == f"{group}.name" and group in CHOICES and group != "model":
        yield f"{override}: write {group}={value}, which brings the options that belong to it."
    elif (match := PLACE.match(key)) and not match[2].isdigit():
        yield f"{override}: {match[1]} are numbered from 0. Got '{match[2]}'."
    elif key in FOLDERS:
        yield from _folder_faults(override, value)


def _presets_as_names(overrides: Sequence[str]) -> Iterator[str]:
    """Yield what gives a network the name of a preset, and does not choose one."""
    typed = [override.lstrip("+").partition("=") for override in overrides]
    if any(key == "model" for key, _, _ in typed):
        return
    for key, _, value in typed:
        if key == "model.name" and {*value.split(",")} & config_files("model").keys():
            yield f"{key}={value}: write model={value}, which brings the options that belong to it."


def _split_lists(overrides: Sequence[str]) -> Iterator[str]:
    """Yield what was typed as several words because of a space after a comma."""
    for word, following in pairwise(overrides):
        if "=" in word and word.endswith(",") and "=" not in following:
            yield f"{word} {following}: write {word}{following}, without a space after the comma."


def _folder_faults(override: str, value: str) -> Iterator[str]:
    """Yield why a folder cannot be written into."""
    if not value:
        yield f"{override} names no folder."
        return
    wanted = Path(value)
    for path in (wanted, *wanted.parents):
        if path.is_file():
            yield f"{override}: {path} is a file and no folder."


def _given_twice(overrides: Sequence[str]) -> Iterator[str]:
    """Yield the groups that are given several options.

    Of values the last one counts, as a shell's alias with settings in it needs; a line says so.
    """
    seen: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0].lstrip("+")
        before, seen[key] = seen.get(key, override), override
        if before == override:
            continue
        if key in CHOICES:
            yield f"{key} is given twice: {before} and {override}."
        else:
            warn(f"warning: {key} is given twice; {override} counts, and not {before}.")
