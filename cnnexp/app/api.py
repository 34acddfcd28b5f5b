"""Runs and sweeps from Python: `cnnexp.run` and `cnnexp.sweep`.

They do what the command does, in this process, and raise what it would print. Where a program uses
Hydra itself, in a notebook for example, all that Hydra keeps for a process is as it was when they
return.
"""

from __future__ import annotations

import io
import itertools
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from cnnexp.app.compose.configs import App
from cnnexp.app.compose.own import composer
from cnnexp.app.compose.texts import quoted
from cnnexp.app.compose.words import check_words
from cnnexp.app.compose.written import Overrides, written
from cnnexp.app.hydra_app import preset_sweeps
from cnnexp.app.locations import near
from cnnexp.app.running.progress import QUIET
from cnnexp.app.running.single_run import carry_out, composed
from cnnexp.app.running.task import record_of
from cnnexp.app.settings.check import check
from cnnexp.app.sweeps.multirun import run_sweep
from cnnexp.errors import ConfigError, RunError
from cnnexp.report.table import Comparison, read
from cnnexp.runs.reading import Run, load_run

if TYPE_CHECKING:
    import pandas as pd

Folder = str | os.PathLike[str]
OF_HYDRA = ("hydra", "_dummy_empty_config_.yaml")  # in Hydra's store, whoever uses it

_repo: dict[str, Any] = {}  # what is in Hydra's store while we use it


def run(
    overrides: Overrides = (),
    *,
    folder: Folder | None = None,
    config_dir: Folder | None = None,
    progress: bool = False,
    **settings: Any,
) -> Run:
    """Train once, as ``python -m cnnexp`` does, and return the run.

    Parameters
    ----------
    overrides : str, sequence of str, or mapping
        Settings as they are typed, ``["model=flat", "data.limit=100"]``, or by name, ``{"model":
        "flat", "data.limit": 100}``. Names may be dotted or nested.
    folder : str or path, optional
        The run folder; by default one under ``outputs``, by the time.
    config_dir : str or path, optional
        A folder of configs of your own.
    progress : bool
        Print a line for each epoch.
    **settings
        More settings by name, ``epochs=3, optimizer="adam", data={"limit": 100}``.

    Returns
    -------
    Run
        With the record, the logs, and the network. Its status is ``diverged`` where the loss was
        not finite any more.

    Raises
    ------
    ConfigError
        With all faults of the settings, before anything is written.
    CnnexpError
        If the data cannot be used, or another file or folder.
    KeyboardInterrupt
        If Ctrl-C ended the run; it can be resumed.
    """
    words = written(overrides, settings)
    if folder is not None:
        words.append(f"hydra.run.dir={_literal(folder)}")
    with _as_command(words, config_dir, progress) as app:
        if preset_sweeps(app, words):
            raise ConfigError([f"{' '.join(words)}: is a sweep. Begin it by cnnexp.sweep."])
        cfg = composed(app, words)
        done = carry_out(app, cfg, record_of(check(cfg), cfg.hydra))
    return load_run(near(done))


def sweep(
    overrides: Overrides = (),
    *,
    folder: Folder | None = None,
    config_dir: Folder | None = None,
    progress: bool = False,
    **settings: Any,
) -> pd.DataFrame:
    """Train once for each combination of values, as ``python -m cnnexp -m`` does.

    Each job has a process of its own, several side by side where there are cores. The same sweep in
    the same folder runs only what is missing.

    Parameters
    ----------
    overrides : str, sequence of str, or mapping
        As `run` takes them, with several values for some: ``["seed=0,1"]``, ``{"seed": [0, 1]}``.
        Of a setting that is a list itself, several are given by a list of lists.
    folder : str or path, optional
        The folder of the sweep; by default one under ``outputs/sweeps``, by the time.
    config_dir : str or path, optional
        A folder of configs of your own.
    progress : bool
        Print what the command prints: a line for each epoch of each job, and a table.
    **settings
        More settings by name, with a list where there are several values.

    Returns
    -------
    DataFrame
        The table of ``compare``: a row for each run, with its folder in ``run``, its status, the
        settings that differ, and the results.

    Raises
    ------
    ConfigError
        With all faults of the settings, before anything is run.
    CnnexpError
        If a file or folder cannot be used.
    KeyboardInterrupt
        If Ctrl-C ended the sweep; the same call goes on with it.

    Warns
    -----
    RuntimeWarning
        If a job has no result.
    """
    words = written(overrides, settings, several=True)
    with _as_command(words, config_dir, progress, "-m") as app:
        place = Path(folder) if folder is not None else _new_place(app, words)
        given = [word for word in words if not _names_folder(word)]
        given.append(f"sweep.dir={_literal(place)}")
        with redirect_stdout(sys.stdout if progress else io.StringIO()):
            code = run_sweep(app, given)
    frame = read([place])
    if code:
        warnings.warn(
            f"{place}: not every job has a result; see the columns status and reason",
            RuntimeWarning,
            stacklevel=2,
        )
    return frame[Comparison(frame).columns]


def _names_folder(word: str) -> bool:
    """Say whether a word names the folder of a sweep."""
    return word.lstrip("+").partition("=")[0] in ("sweep.dir", "hydra.sweep.dir")


def _new_place(app: App, words: Sequence[str]) -> Path:
    """Return the folder that a sweep gets by its settings; by default one that is not there yet."""
    wanted = Path(app.settings(words, sweep=True).hydra.sweep.dir)
    if any(map(_names_folder, words)):
        return wanted
    others = (wanted.with_name(f"{wanted.name}_{k}") for k in itertools.count(2))
    return next(path for path in itertools.chain([wanted], others) if not path.exists())


def _literal(folder: Folder) -> str:
    """Return the name of a folder as it is typed."""
    if "${" in (name := os.fspath(folder)):
        raise ConfigError([f"folder={name}: the name of a folder cannot have ${{ in it."])
    return quoted(name)


@contextmanager
def _as_command(
    words: list[str], config_dir: Folder | None, progress: bool, *flags: str
) -> Iterator[App]:
    """Give what composes the settings, with this process as it is for the command meanwhile."""
    words[:] = check_words(words).overrides
    argv, quiet = sys.argv, os.environ.get(QUIET)
    with _undisturbed():
        sys.argv = ["cnnexp", *flags, *words]  # what a run records, to be typed again
        if not progress:
            os.environ[QUIET] = "1"
        try:
            with composer(words, None if config_dir is None else os.fspath(config_dir)) as app:
                yield app
        except RunError as error:  # about the folder, which has another name here
            key, equals, rest = str(error).partition("=")
            if equals and key in ("hydra.run.dir", "sweep.dir"):
                raise RunError(f"folder={rest}") from None
            raise
        finally:
            sys.argv = argv
            os.environ.pop(QUIET, None)
            if quiet is not None:
                os.environ[QUIET] = quiet


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave what a program does with Hydra, and with its log, as it is."""
    whole, store, used = GlobalHydra.instance(), ConfigStore.instance(), HydraConfig.instance()
    root = logging.getLogger()
    before = whole.hydra, store.repo, used.cfg
    handlers, level, path = list(root.handlers), root.level, os.environ.get("PYTHONPATH")
    _repo.update({name: store.repo[name] for name in OF_HYDRA if name in store.repo})
    store.repo = _repo
    try:
        yield
    finally:
        whole.hydra, store.repo, used.cfg = before
        root.handlers[:] = handlers
        root.setLevel(level)
        os.environ.pop("PYTHONPATH", None)
        if path is not None:
            os.environ["PYTHONPATH"] = path
