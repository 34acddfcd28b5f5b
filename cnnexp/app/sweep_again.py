"""Going on with a sweep: the command that started it last, once more.

``sweep.json`` says what was typed and where. What was typed may name code (``plugins``, a launcher,
a folder of configs), so it is carried out only if the user's own signature stands beside it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnexp.app.compose.texts import quoted
from cnnexp.app.hydra_app import hydra_main
from cnnexp.app.locations import near
from cnnexp.app.screen import warn
from cnnexp.app.sweeps.sweep import INDEX, read_index, same_command, signed_words
from cnnexp.engine import auto_means
from cnnexp.errors import ConfigError, RunError
from cnnexp.runs import trust
from cnnexp.runs.archives import place_of
from cnnexp.runs.folders import is_number
from cnnexp.runs.forms import Maybe, fits
from cnnexp.runs.record import FILE

ALLOWED = ("sweep.rerun", "sweep.jobs", "sweep.isolation")


def is_a_sweep(folder: Path) -> bool:
    """Say whether a folder is that of a sweep."""
    if (folder / FILE).exists() or place_of(folder) is not None:
        return False
    return (folder / INDEX).is_file() or any(
        is_number(record.parent.name) for record in folder.glob(f"*/{FILE}")
    )


def resume_sweep(folder: Path, words: Sequence[str] = ()) -> int:
    """Carry out the command that started a sweep last, and return the exit code.

    Parameters
    ----------
    folder : Path
        The sweep's folder.
    words : sequence of str
        ``sweep.rerun=…``, ``sweep.jobs=…`` or ``sweep.isolation=…``.

    Raises
    ------
    ConfigError
        If other settings are given.
    RunError
        If it is not known what was typed, or nothing shows that the user typed it.
    """
    if others := [word for word in words if word.partition("=")[0] not in ALLOWED]:
        raise ConfigError(
            [
                f"{word}: a sweep goes on with its own settings. Only {', '.join(ALLOWED)} may be"
                " given."
                for word in others
            ]
        )
    start = last_start(folder)
    folder = folder.absolute()
    if os.path.isdir(start["folder"]):
        os.chdir(start["folder"])
    else:
        warn(
            f"warning: {start['folder']}, where this sweep was started, is gone. Relative paths in"
            f" its settings, and your conf and plugins, are looked for in {os.getcwd()}."
        )
    given = {word.partition("=")[0] for word in words}
    kept = [word for word in start["words"] if word.partition("=")[0] not in given]
    with auto_means(start.get("auto")):
        return hydra_main(["-m", *kept, *words, f"sweep.dir={quoted(near(folder))}"])


def last_start(folder: Path) -> dict[str, Any]:
    """Return what was noted of the last start of a sweep, if the user's signature is beside it."""
    start: dict[str, Any] = (read_index(folder)["started"] or [{}])[-1]
    if not fits(start, {"words": [str], "folder": str, "auto": Maybe(str)}):
        raise RunError(
            f"{folder}: it is not recorded what was typed to start this sweep. Go on by"
            f" {same_command(folder)}."
        )
    if not trust.is_signed(signed_words(start), start.get("signature")):
        raise RunError(
            f"{folder}: nothing shows that it was you who started this sweep, and its settings may"
            f" name code. Go on by {same_command(folder)}."
        )
    return start
