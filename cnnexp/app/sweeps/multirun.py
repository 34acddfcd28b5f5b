"""``cnnexp -m``: a sweep from its command to the table at its end.

All points are expanded (`sweep_grid`), composed and checked (`sweep_points`) before anything
starts. Each is given a folder by its fingerprint (`sweeps`), and what is left to do runs in
processes (`processes`). Hydra's launchers and sweepers are called by `foreign` alone. Both are
imported when there is something to run.
"""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from cnnexp.app.compose.configs import App
from cnnexp.app.compose.grid import expand, glob_keys, words_of
from cnnexp.app.compose.hydra_bridge import Callbacks
from cnnexp.app.compose.messages import in_our_words
from cnnexp.app.compose.sources import CONFIG_NAME
from cnnexp.app.compose.texts import quoted
from cnnexp.app.locations import near
from cnnexp.app.running.progress import screen_may_be_gone
from cnnexp.app.running.single_run import is_chosen, refuse_folder_key
from cnnexp.app.screen import say
from cnnexp.app.stopping import raise_on_signals
from cnnexp.app.sweeps.composer import SweepComposer
from cnnexp.app.sweeps.job import DONE, Job, Point
from cnnexp.app.sweeps.points import chosen, make_point, varying
from cnnexp.app.sweeps.search import allow_failures, is_search
from cnnexp.app.sweeps.sweep import Sweep, signed_words
from cnnexp.app.sweeps.table import aligned, best, reasons, table_of
from cnnexp.engine import meaning_of_auto
from cnnexp.errors import ConfigError, RunError, system_reason
from cnnexp.runs import trust
from cnnexp.runs.code import command
from cnnexp.runs.folders import claim, remove_empty, run_around
from cnnexp.runs.record import holds_a_run, now
from cnnexp.runs.sources import sources_of

OURS = "cnnexp"  # the launcher of conf/hydra/launcher/processes.yaml
OF_A_START = ("sweep.dir", "hydra.sweep.dir", "sweep.rerun")  # and not of the sweep
SINGLE_RUNS_ONLY = (
    "names the folder of a single run, and this is a sweep. Name its folder with"
    " sweep.dir={value}; each job gets a folder in it, under its number."
)


def run_sweep(app: App, overrides: list[str]) -> int:
    """Sweep, show a table of the jobs, and return the exit code.

    Parameters
    ----------
    app : App
        Composes the configs.
    overrides : list of str
        What was typed.
    """
    refuse_folder_key(overrides, ("hydra.run.dir",), SINGLE_RUNS_ONLY)
    cfg = app.compose_config(config_name=app.name, overrides=overrides, run_mode=RunMode.MULTIRUN)
    cfg.hydra.mode = RunMode.MULTIRUN
    check_settings_of_hydra(cfg)
    allow_failures(cfg, overrides)
    with folder_for(cfg) as folder:
        cfg.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(folder))}")
        cfg.hydra.sweep.dir = str(folder)
        callbacks = Callbacks(cfg)
        context = HydraContext(config_loader=app.config_loader, callbacks=callbacks)

        def run(jobs: Sequence[Job]) -> None:
            if is_ours(cfg):
                from cnnexp.app.sweeps.processes import run_jobs, side_by_side

                n_jobs = cfg.hydra.launcher.get("n_jobs") or side_by_side(jobs)
                run_jobs(jobs, n_jobs, sweep.jobs)
            else:
                from cnnexp.app.sweeps import foreign

                launcher = foreign.launcher_of(cfg, context)
                most = cfg.hydra.sweeper.get("max_batch_size")
                foreign.run_by(launcher, jobs, sweep, most)

        sweep = Sweep(folder, cfg.sweep.rerun, run, noted(app, overrides), is_search(cfg))
        try:
            with raise_on_signals(), in_our_words(app.compose_defaults):
                callbacks.on_multirun_start(config=cfg, config_name=app.name)
                carry_out(cfg, context, sweep)
                callbacks.on_multirun_end(config=cfg, config_name=app.name, multirun_result=None)
        except Exception as error:
            if not _told_by_the_table(sweep, error):
                raise
        finally:
            with screen_may_be_gone():
                show_table(sweep, "maximize" in str(cfg.hydra.sweeper.get("direction")))
    return sweep.exit_code


def carry_out(cfg: DictConfig, context: HydraContext, sweep: Sweep) -> None:
    """Expand and run a grid, or let a sweeper search."""
    composer, sources = SweepComposer(context.config_loader, cfg), functools.cache(sources_of)

    def points(words: Sequence[Sequence[str]]) -> list[Point]:
        return [make_point(overrides, composer, sweep.search, sources) for overrides in words]

    if sweep.search:
        if cfg.sweep.points is not None:
            raise ConfigError(["sweep.points: lists a grid, and a search chooses its own points."])
        from cnnexp.app.sweeps import foreign

        foreign.search(cfg, context, sweep, points)
        return
    parse = OverridesParser.create(config_loader=context.config_loader).parse_overrides
    expanded = expand(cfg, parse)
    cfg.sweep.points = None
    sweep.carry_out(points(expanded), glob_keys(parse(words_of(cfg))))


def noted(app: App, overrides: Sequence[str]) -> dict[str, Any]:
    """Return what is noted of a start, for `sweep_again`: what was typed, where, and by whom.

    And what ``impl=auto`` stood for, so that the same words mean the same jobs.
    """
    path = app.config_loader.get_search_path().get_path()
    folders = [p.path.partition("://")[2] for p in path if p.provider == "command-line"]
    words = [f"--config-dir={folder}" for folder in folders]
    words += [f"--config-name={app.name}"] if app.name != CONFIG_NAME else []
    words += [word for word in overrides if word.partition("=")[0] not in OF_A_START]
    start = {"folder": os.getcwd(), "words": words, "auto": meaning_of_auto()}
    signature = trust.sign_words(signed_words(start))
    return {"at": now(), "command": command()} | start | {"signature": signature}


def is_ours(cfg: DictConfig) -> bool:
    """Say whether the jobs run in processes of our own."""
    return bool(cfg.hydra.launcher.get("_target_") == OURS)


def _told_by_the_table(sweep: Sweep, error: Exception) -> bool:
    """Say whether an error of a sweeper only says that jobs have failed, as they have recorded."""
    from cnnexp.app.sweeps import foreign

    if isinstance(error, foreign.JobFailed):
        sweep.trouble.append(
            "the search stopped, because hydra.sweeper.max_failure_rate was passed"
        )
        return True
    ended = [job for job in sweep.jobs if job.launched and (job.end or job.record() is not None)]
    return bool(ended) and not any(job.status in DONE for job in sweep.jobs)


def show_table(sweep: Sweep, maximize: bool = False) -> None:
    """Print the jobs of a sweep, the reasons of failures, and how many have a result.

    Parameters
    ----------
    sweep : Sweep
        The sweep; if it has planned nothing, nothing is printed.
    maximize : bool
        Whether the best job of a search is the one with the largest objective.
    """
    jobs = sweep.jobs
    if not jobs:
        return
    objective = jobs[0].config["sweep"]["objective"]
    if sweep.search:
        jobs = sorted([*jobs, *sweep.other_jobs()], key=lambda job: int(job.folder.name))
    for line in [*aligned(table_of(jobs, objective)), *reasons(jobs), *sweep.trouble]:
        say(line)
    if sweep.search and (found := best(jobs, objective, maximize)) is not None:
        words = " ".join(chosen(found, varying(jobs)))
        say(f"best {objective}: {found.objective():.4f}, job {found.folder.name}: {words}")
    done = sum(job.status in DONE for job in jobs)
    left_out = f"; {sweep.left_out} left out, which do not fit" if sweep.left_out else ""
    go_on = f". To go on: python -m cnnexp resume {shlex.quote(near(sweep.folder))}"
    more = "" if done == len(jobs) else go_on
    say(f"{done} of {len(jobs)} jobs have a result, in {sweep.folder}{left_out}{more}")


def check_settings_of_hydra(cfg: DictConfig) -> None:
    """Refuse settings of Hydra that would not do what they say.

    Raises
    ------
    ConfigError
        With all faults.
    """
    faults = []
    jobs: Any = cfg.hydra.launcher.get("n_jobs")
    if is_ours(cfg) and jobs is not None and not (isinstance(jobs, int) and jobs >= 1):
        faults.append(f"hydra.launcher.n_jobs must be at least 1. Got {jobs}.")
    if is_chosen(cfg, "hydra.sweep.subdir"):
        faults.append(
            "hydra.sweep.subdir: the jobs of a sweep are numbered, so that each keeps its folder"
            " when the sweep is widened. The table and sweep.json say what each of them is."
        )
    if faults:
        raise ConfigError(faults)


@contextmanager
def folder_for(cfg: DictConfig) -> Iterator[Path]:
    """Claim the folder of a sweep; if nothing came to lie in it, all is left as it was.

    One that the user named may be there already, with a sweep that is started again; another one
    gets a number behind its name, if it is there.
    """
    folder = Path(cfg.hydra.sweep.dir)
    kept = next(path for path in folder.absolute().parents if path.exists())
    try:
        if is_chosen(cfg, "hydra.sweep.dir") or is_chosen(cfg, "sweep.dir"):
            refuse_single_run(folder)
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = claim(folder)
    except OSError as error:
        raise RunError(f"sweep.dir={folder}: cannot be made: {system_reason(error)}.") from None
    try:
        yield folder
    finally:
        remove_empty(folder, kept)


def refuse_single_run(folder: Path) -> None:
    """Raise RunError for the folder of a run, and for one inside it: they would not be found."""
    if holds_a_run(folder):
        raise RunError(f"sweep.dir={folder}: there is a single run in this folder.")
    if (around := run_around(folder)) is not None:
        raise RunError(f"sweep.dir={folder}: lies in the folder of a run, {near(around)}.")
