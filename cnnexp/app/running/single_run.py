"""``cnnexp``: one run, in a folder of its own."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from cnnexp.app.compose.configs import App
from cnnexp.app.compose.hydra_bridge import Callbacks
from cnnexp.app.exit_codes import code_of
from cnnexp.app.locations import config_root, near
from cnnexp.app.running.experiment import begin
from cnnexp.app.running.planned import objective
from cnnexp.app.running.resume import saying_how_to_go_on
from cnnexp.app.running.task import record_of
from cnnexp.app.screen import warn
from cnnexp.app.settings.check import check
from cnnexp.app.stopping import Interrupted, raise_on_signals
from cnnexp.errors import CnnexpError, ConfigError, RunError, system_reason
from cnnexp.runs.folders import LOCK, claim, hold, remove_empty, run_around, run_below
from cnnexp.runs.record import Record, holds_a_run, read_record, write_record
from cnnexp.runs.writing import EPOCHS

SWEEPS_ONLY = (
    "names the folder of a sweep, and this is a single run. Name its folder with"
    " hydra.run.dir={value}, or sweep with -m."
)


def run_once(app: App, overrides: list[str]) -> int:
    """Check everything, claim a folder, and run."""
    try:
        with raise_on_signals():
            cfg = composed(app, overrides)
            record = record_of(check(cfg), cfg.hydra)
    except Interrupted:
        warn("interrupted before the run began; there is nothing to resume")
        raise
    return told(carry_out(app, cfg, record))


def composed(app: App, overrides: list[str]) -> DictConfig:
    """Return the config of a single run."""
    refuse_folder_key(overrides, ("sweep.dir", "hydra.sweep.dir"), SWEEPS_ONLY)
    cfg = app.compose_config(config_name=app.name, overrides=overrides, run_mode=RunMode.RUN)
    cfg.hydra.mode = RunMode.RUN
    return cfg


def told(folder: Path) -> int:
    """Say where a run lies that has come to its end, and return the exit code."""
    print(f"results in {near(folder)}")
    return code_of(read_record(folder))


def carry_out(
    app: App,
    cfg: DictConfig,
    record: Record,
    do: Callable[[Path, Record], Record] = begin,
) -> Path:
    """Claim a folder for a run, carry it out, and return the folder.

    ``run.json`` is there before Hydra writes anything into the folder: a run that is killed at any
    later moment can be resumed.
    """
    wanted = Path(cfg.hydra.run.dir)
    kept = next(path for path in (wanted.absolute(), *wanted.absolute().parents) if path.exists())
    try:
        folder = chosen_folder(wanted) if is_chosen(cfg, "hydra.run.dir") else claim(wanted)
    except OSError as error:
        raise RunError(f"hydra.run.dir={wanted}: cannot be made: {system_reason(error)}.") from None
    folder = folder.absolute()  # hydra.job.chdir=true changes into it
    with saying_how_to_go_on(folder), held(folder, kept):
        write_record(folder, record)
        cfg.hydra.run.dir = str(folder)
        callbacks = Callbacks(cfg)
        callbacks.on_run_start(config=cfg, config_name=app.name)
        ret = run_job(
            hydra_context=HydraContext(config_loader=app.config_loader, callbacks=callbacks),
            task_function=lambda _: objective(do(folder, record)),
            config=cfg,
            job_dir_key="hydra.run.dir",
            job_subdir_key=None,
        )
        callbacks.on_run_end(config=cfg, config_name=app.name, job_return=ret)
        if ret.status is JobStatus.FAILED:
            raise ret._return_value
    return folder


@contextmanager
def held(folder: Path, kept: Path) -> Iterator[None]:
    """Hold the folder of a new run, and leave nothing behind where nothing began.

    A mistake may be found before the first step, as in the data. Only what this process wrote is
    removed then: what is there before it holds the folder may belong to another one.

    Parameters
    ----------
    folder : Path
        The run folder; what it holds already stays there.
    kept : Path
        The first folder on the way up that was there before.

    Raises
    ------
    RunError
        If another process holds the folder, or there is a run in it.
    """
    nothing_began = False
    try:
        with hold(folder):
            refuse_second(folder)
            empty = is_empty(folder)
            try:
                yield
            except CnnexpError:
                nothing_began = empty and not (folder / EPOCHS).exists()
                if nothing_began:
                    remove_contents(folder)
                    remove_lock(folder)
                    remove_empty(folder, kept)
                raise
    finally:
        if nothing_began and os.name == "nt":  # where the lock's file goes with the lock
            remove_empty(folder, kept)


def is_empty(folder: Path) -> bool:
    """Say whether a folder holds nothing but the file of its lock."""
    return all(path.name == LOCK for path in folder.iterdir())


def remove_contents(folder: Path) -> None:
    """Remove everything in a folder but the file of its lock."""
    for path in folder.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_lock(folder: Path) -> None:
    """Remove the file of a lock that this process holds.

    Once the lock is let go, the file may be another process's, which holds the folder by it. One
    that has opened the file, and gets the lock after it is gone, sees that and opens a new one:
    filelock does so.
    """
    with suppress(PermissionError):  # of Windows
        (folder / LOCK).unlink()


def refuse_folder_key(overrides: Sequence[str], keys: Sequence[str], why: str) -> None:
    """Refuse a folder that was typed under a key which would do nothing here.

    Raises
    ------
    ConfigError
        With `why` for each of them, in which ``{value}`` stands for the folder.
    """
    typed = [override.lstrip("+").partition("=") for override in overrides]
    faults = [
        f"{key}={value}: {why.format(value=value)}"
        for key, equals, value in typed
        if equals and key in keys
    ]
    if faults:
        raise ConfigError(faults)


def chosen_folder(wanted: Path) -> Path:
    """Make the folder that the user chose, unless it is there."""
    if wanted.is_dir():
        refuse_second(wanted)
        if (inside := run_below(wanted)) is not None:
            raise RunError(
                f"hydra.run.dir={wanted}: there are other runs in this folder, for example"
                f" {inside}; they would not be found any more. Choose another one."
            )
    if (around := run_around(wanted)) is not None:
        raise RunError(f"hydra.run.dir={wanted}: lies in the folder of a run, {near(around)}.")
    wanted.mkdir(parents=True, exist_ok=True)
    if not is_empty(wanted):
        warn(f"warning: {wanted} holds other files; those of the run are written beside them")
    return wanted


def refuse_second(folder: Path) -> None:
    """Raise RunError if there is a run in a folder."""
    if holds_a_run(folder):
        raise RunError(
            f"hydra.run.dir={folder}: there is a run in this folder already. Choose another one, or"
            f" continue that run: python -m cnnexp resume {shlex.quote(str(folder))}"
        )


def is_chosen(cfg: DictConfig, key: str) -> bool:
    """Say whether a setting is written otherwise than in our own config file."""
    return bool(_as_written(cfg, key) != _as_written(_own_config(), key))


@cache
def _own_config() -> Any:
    """Return our own config file, as it is written."""
    return OmegaConf.load(config_root() / "conf" / "config.yaml")


def _as_written(cfg: Any, key: str) -> Any:
    """Return a setting with its interpolations."""
    parent, _, last = key.rpartition(".")
    values: Any = OmegaConf.to_container(OmegaConf.select(cfg, parent), resolve=False)
    return values[last]
