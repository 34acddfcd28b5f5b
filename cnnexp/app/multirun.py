"""``cnnexp -m``: a sweep from its command to the table at its end."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, open_dict

from cnnexp.app.composing import App
from cnnexp.app.hydra_bridge import Callbacks
from cnnexp.app.locations import near
from cnnexp.app.messages import in_our_words
from cnnexp.app.progress import screen_may_be_gone
from cnnexp.app.search import allow_failures, is_search
from cnnexp.app.search_again import Study, other_jobs, points_of, space_of
from cnnexp.app.single_run import is_chosen, refuse_folder_key
from cnnexp.app.stopping import raise_on_signals
from cnnexp.app.sweep_job import DONE, JobFailed
from cnnexp.app.sweep_table import show_table
from cnnexp.app.sweeps import Sweep
from cnnexp.errors import ConfigError, RunError, system_reason
from cnnexp.runs.folders import claim, run_around
from cnnexp.runs.record import holds_a_run

GUARD = "hydra_plugins.cnnexp_launcher.Guard"
SWEEPERS_FILES = ("multirun.yaml", "optimization_results.yaml")
SINGLE_RUNS_ONLY = (
    "names the folder of a single run, and this is a sweep. Name its folder with"
    " sweep.dir={value}; each job gets a folder in it, under its number."
)


def run_sweep(app: App, name: str, overrides: list[str], task: TaskFunction) -> int:
    """Sweep, show a table of the jobs, and return the exit code.

    Parameters
    ----------
    app : App
        Composes the configs.
    name : str
        Name of the primary config.
    overrides : list of str
        What was typed.
    task : callable
        What a job is.
    """
    refuse_folder_key(overrides, ("hydra.run.dir",), SINGLE_RUNS_ONLY)
    cfg = app.compose_config(config_name=name, overrides=overrides, run_mode=RunMode.MULTIRUN)
    cfg.hydra.mode = RunMode.MULTIRUN
    check_launcher(cfg)
    allow_failures(cfg, overrides)
    chosen = is_chosen(cfg, "hydra.sweep.dir") or is_chosen(cfg, "sweep.dir")
    sweep = Sweep.begin(Path(cfg.hydra.sweep.dir), cfg.sweep.rerun, is_search(cfg))
    with folder_for(sweep, chosen):
        guard(cfg, sweep.folder)
        try:
            with raise_on_signals(), in_our_words(app.compose_defaults):
                _carry_out(app, cfg, name, task, sweep)
        except Exception as error:
            if not _told_by_the_table(sweep, error):
                raise
        finally:
            with screen_may_be_gone():
                maximize = "maximize" in str(cfg.hydra.sweeper.get("direction"))
                others = other_jobs(sweep.folder, sweep.jobs) if sweep.search else []
                show_table(sweep, maximize, others)
    return sweep.exit_code


def _carry_out(app: App, cfg: DictConfig, name: str, task: TaskFunction, sweep: Sweep) -> None:
    """Do as Hydra does: let the sweeper make points, and the launcher run them."""
    callbacks = Callbacks(cfg)
    callbacks.on_multirun_start(config=cfg, config_name=name)
    context = HydraContext(config_loader=app.config_loader, callbacks=callbacks)
    study = _take_up(cfg, context, task, sweep) if sweep.search else None
    sweeper = Plugins.instance().instantiate_sweeper(
        config=cfg, hydra_context=context, task_function=task
    )
    if study is not None and study.continued:
        study.hand_to(sweeper)
    # The plan checks more, and composing a job takes long enough to do it only once.
    sweeper.validate_batch_is_legal = lambda batch: None  # type: ignore[method-assign]
    result = sweeper.sweep(arguments=list(cfg.hydra.overrides.task))
    callbacks.on_multirun_end(config=cfg, config_name=name, multirun_result=result)


def _take_up(cfg: DictConfig, context: HydraContext, task: TaskFunction, sweep: Sweep) -> Study:
    """Finish the jobs that an earlier search of the same space left, and return its study."""
    space = space_of(cfg)
    launcher = Plugins.instance().instantiate_launcher(
        config=cfg, hydra_context=context, task_function=task
    )
    if left := points_of(space, sweep.folder):
        launcher.launch(left, initial_job_idx=0)
    return Study(cfg, space, sweep.jobs)


def _told_by_the_table(sweep: Sweep, error: Exception) -> bool:
    """Say whether an error of a sweeper only says that jobs have failed."""
    if isinstance(error, JobFailed):
        sweep.trouble.append(
            "the search stopped, because hydra.sweeper.max_failure_rate was passed"
        )
        return True
    return bool(sweep.jobs) and not any(job.status in DONE for job in sweep.jobs)


def check_launcher(cfg: DictConfig) -> None:
    """Refuse settings of Hydra that would not do what they say.

    Raises
    ------
    ConfigError
        With all faults.
    """
    faults = []
    jobs = cfg.hydra.launcher.get("n_jobs")
    ours = str(cfg.hydra.launcher.get("_target_")).startswith("hydra_plugins.cnnexp")
    if ours and jobs is not None and jobs < 1:
        faults.append(f"hydra.launcher.n_jobs must be at least 1. Got {jobs}.")
    if is_chosen(cfg, "hydra.sweep.subdir"):
        faults.append(
            "hydra.sweep.subdir: the jobs of a sweep are numbered, so that each keeps its folder"
            " when the sweep is widened. The table and sweep.json say what each of them is."
        )
    if faults:
        raise ConfigError(faults)


def guard(cfg: DictConfig, folder: Path) -> None:
    """Put our guard before the launcher, and fix the folder."""
    cfg.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(folder))}")
    inner = cfg.hydra.launcher
    with open_dict(cfg):
        cfg.hydra.sweep.dir = str(folder)
        cfg.hydra.launcher = {"_target_": GUARD, "_recursive_": False, "inner": inner}


def quoted(text: str) -> str:
    r"""Return a text as Hydra's grammar reads any text: between quotation marks.

    Examples
    --------
    >>> print(quoted("it's lr=0.1"))
    'it\'s lr=0.1'
    """
    marked = re.sub(r"(\\*)'", r"\1\1\\'", text)
    marked = re.sub(r"(\\+)$", r"\1\1", marked)
    return f"'{marked}'"


@contextmanager
def folder_for(sweep: Sweep, chosen: bool) -> Iterator[None]:
    """Claim the folder of a sweep; if no job is planned in it, all is left as it was.

    Parameters
    ----------
    sweep : Sweep
        Its folder is where it should lie; it may get another number.
    chosen : bool
        Whether the user named the folder, and so means a sweep that may be there already.
    """
    kept = next(path for path in sweep.folder.absolute().parents if path.exists())
    if chosen:
        refuse_single_run(sweep.folder)
    try:
        if chosen:
            sweep.folder.mkdir(parents=True, exist_ok=True)
        else:
            sweep.folder = claim(sweep.folder)
    except OSError as error:
        raise RunError(
            f"sweep.dir={sweep.folder}: cannot be made: {system_reason(error)}."
        ) from None
    written = [sweep.folder / name for name in SWEEPERS_FILES]
    earlier = {path: _keep_earlier(path) for path in written if path.exists()}
    try:
        yield
    finally:
        if not sweep.jobs:
            for path in written:
                path.unlink(missing_ok=True)
            for path, kept_as in earlier.items():
                kept_as.rename(path)
            _remove_empty(sweep.folder, kept)


def refuse_single_run(folder: Path) -> None:
    """Raise RunError for the folder of a run, and for one inside it: they would not be found."""
    if holds_a_run(folder):
        raise RunError(f"sweep.dir={folder}: there is a single run in this folder.")
    if (around := run_around(folder)) is not None:
        raise RunError(f"sweep.dir={folder}: lies in the folder of a run, {near(around)}.")


def _keep_earlier(path: Path) -> Path:
    """Rename a file that is about to be written again, and return its new name."""
    names = (path.with_name(f"{path.stem}.{k}{path.suffix}") for k in itertools.count(1))
    return path.rename(next(name for name in names if not name.exists()))


def _remove_empty(folder: Path, kept: Path) -> None:
    """Remove a folder and those above it, up to one that was there before, if they are empty."""
    for path in (folder.absolute(), *folder.absolute().parents):
        if path == kept:
            return
        try:
            path.rmdir()
        except OSError:
            return
