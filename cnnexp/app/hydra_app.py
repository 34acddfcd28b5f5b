"""Hydra as this program uses it: composing, one run, sweeps.

Hydra's own driver writes into the run folder before anything is checked, and ends with code 1 and
a text of its own when a key is mistyped. Here the same steps are taken in another order: compose,
check everything, claim a folder that is ours alone, and only then let Hydra write.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from cnnexp.app.check import check
from cnnexp.app.experiment import carry_out
from cnnexp.app.locations import PLUGINS, config_root
from cnnexp.app.messages import dotted, in_our_words
from cnnexp.app.objective import objective
from cnnexp.app.resume import resume
from cnnexp.app.schema import GROUPS, register_schemas
from cnnexp.app.sweep_table import show_table
from cnnexp.app.sweeps import Sweep
from cnnexp.errors import ConfigError, RunError
from cnnexp.runs.folders import claim
from cnnexp.runs.record import FILE as RECORD
from cnnexp.runs.record import holds_a_run
from cnnexp.runs.writing import new_record

CONFIG_NAME = "config"
GUARD = "hydra_plugins.cnnexp_launcher.Guard"


class App(Hydra):
    """Hydra with our order of steps and our messages."""

    def compose_config(self, *args: Any, **kwargs: Any) -> DictConfig:
        """Compose, with errors in our words."""
        with in_our_words(self.compose_defaults):
            return super().compose_config(*args, **kwargs)

    def compose_defaults(self) -> DictConfig:
        """Compose without any overrides."""
        return super().compose_config(
            config_name=CONFIG_NAME,
            overrides=[],
            run_mode=RunMode.RUN,
            with_log_configuration=False,
        )

    def run(
        self,
        config_name: str | None,
        task_function: TaskFunction,
        overrides: list[str],
        with_log_configuration: bool = True,
    ) -> JobReturn:
        """Check everything, claim a folder, and run."""
        cfg = self.compose_config(
            config_name=config_name, overrides=overrides, run_mode=RunMode.RUN
        )
        cfg.hydra.mode = RunMode.RUN
        check(cfg)
        chosen = _raw(cfg, "hydra.run.dir") != _raw(self.compose_defaults(), "hydra.run.dir")
        cfg.hydra.run.dir = str(_run_folder(Path(cfg.hydra.run.dir), chosen))
        callbacks = Callbacks(cfg)
        callbacks.on_run_start(config=cfg, config_name=config_name)
        ret = run_job(
            hydra_context=HydraContext(config_loader=self.config_loader, callbacks=callbacks),
            task_function=task_function,
            config=cfg,
            job_dir_key="hydra.run.dir",
            job_subdir_key=None,
            configure_logging=with_log_configuration,
        )
        callbacks.on_run_end(config=cfg, config_name=config_name, job_return=ret)
        if ret.status is JobStatus.FAILED:
            raise ret._return_value
        return ret

    def multirun(
        self,
        config_name: str | None,
        task_function: TaskFunction,
        overrides: list[str],
        with_log_configuration: bool = True,
    ) -> int:
        """Sweep, show a table of the jobs, and return the exit code."""
        cfg = self.compose_config(
            config_name=config_name, overrides=overrides, run_mode=RunMode.MULTIRUN
        )
        cfg.hydra.mode = RunMode.MULTIRUN
        folder = Path(cfg.hydra.sweep.dir)
        new = not folder.exists()
        defaults = self.compose_defaults()
        places = ("hydra.sweep.dir", "sweep.dir")
        if all(_raw(cfg, place) == _raw(defaults, place) for place in places):
            folder = claim(folder)
        cfg.hydra.overrides.hydra.append(f"hydra.sweep.dir={folder}")
        with open_dict(cfg):
            cfg.hydra.sweep.dir = str(folder)
            cfg.hydra.launcher = {
                "_target_": GUARD,
                "_recursive_": False,
                "inner": cfg.hydra.launcher,
            }
        sweep = Sweep.begin(folder, cfg.sweep.rerun)
        callbacks = Callbacks(cfg)
        callbacks.on_multirun_start(config=cfg, config_name=config_name)
        try:
            with in_our_words(self.compose_defaults):
                _keep_earlier(folder / "multirun.yaml")
                sweeper = Plugins.instance().instantiate_sweeper(
                    config=cfg,
                    hydra_context=HydraContext(
                        config_loader=self.config_loader, callbacks=callbacks
                    ),
                    task_function=task_function,
                )
                sweeper.sweep(arguments=list(cfg.hydra.overrides.task))
        except ConfigError:
            if new:
                _remove_empty(folder)
            raise
        finally:
            if sweep.jobs:
                show_table(sweep)
        callbacks.on_multirun_end(config=cfg, config_name=config_name)
        return sweep.exit_code


def _run_folder(wanted: Path, chosen: bool) -> Path:
    """Claim the folder of a single run; one that the user chose is taken as it is."""
    if not chosen:
        return claim(wanted)
    if holds_a_run(wanted):
        raise RunError(
            f"hydra.run.dir={wanted}: there is a run in this folder already. Choose another one, or"
            f" continue that run: python -m cnnexp resume {wanted}"
        )
    return wanted


def _raw(cfg: DictConfig, key: str) -> Any:
    """Return a setting as it is written, with its interpolations."""
    parent, _, last = key.rpartition(".")
    values: Any = OmegaConf.to_container(OmegaConf.select(cfg, parent), resolve=False)
    return values[last]


def _keep_earlier(path: Path) -> None:
    """Rename a file that is about to be written again."""
    if path.exists():
        number = 1 + len(list(path.parent.glob(f"{path.stem}.*{path.suffix}")))
        path.rename(path.with_name(f"{path.stem}.{number}{path.suffix}"))


def _remove_empty(folder: Path) -> None:
    """Remove a sweep folder in which nothing has begun."""
    if {path.name for path in folder.glob("*")} <= {"multirun.yaml"}:
        (folder / "multirun.yaml").unlink(missing_ok=True)
        folder.rmdir()


def train_task(cfg: DictConfig) -> float | None:
    """Carry out one run in the folder that Hydra made, and return its objective.

    A job of a sweep that was cut off lies in its folder already, and goes on.
    """
    config = check(cfg)
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    label = f"[{folder.name}] " if hydra.mode == RunMode.MULTIRUN else ""
    if (folder / RECORD).exists():
        record = resume(folder, label=label)
    else:
        choices = {group: str(hydra.runtime.choices.get(group)) for group in GROUPS}
        record = carry_out(folder, new_record(config, choices, list(hydra.overrides.task)), label)
    if not label:
        print(f"results in {os.path.relpath(folder)}")
    return objective(record)


def make_app(config_dir: str | None = None) -> App:
    """Return the driver, with our configs, schemas and experiments in its search path."""
    version.setbase("1.3")
    _offer_plugins()
    register_schemas()
    root = config_root()
    search_path = create_config_search_path(str(root / "conf"))
    folders = [("experiments", root)]
    if config_dir is not None:
        if not os.path.isdir(config_dir):
            raise ConfigError([f"--config-dir {config_dir}: there is no such folder."])
        folders.append(("command-line", Path(config_dir).resolve()))
    for provider, folder in folders:
        search_path.prepend(
            provider=provider, path=f"file://{folder}", anchor=SearchPathQuery(provider="schema")
        )
    GlobalHydra.instance().clear()
    return App.create_main_hydra2("cnnexp", search_path)  # type: ignore[return-value]


def _offer_plugins() -> None:
    """Put our part of ``hydra_plugins`` on the path, for this process and those it starts."""
    folder = str(PLUGINS)
    if folder not in sys.path:
        sys.path.append(folder)
    inherited = os.environ.get("PYTHONPATH", "")
    if folder not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [inherited, folder]))


def hydra_main(argv: list[str]) -> int:
    """Do what Hydra's flags and overrides ask for."""
    parser = get_args_parser()
    parser.prog = "cnnexp"
    args = parser.parse_intermixed_args(argv)
    args.overrides = [dotted(override) for override in args.overrides]
    app = make_app(args.config_dir)
    try:
        return _dispatch(app, args, parser)
    finally:
        GlobalHydra.instance().clear()


def _dispatch(app: App, args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    name = args.config_name or CONFIG_NAME
    if args.hydra_help:
        app.hydra_help(config_name=name, args_parser=parser, args=args)
    elif args.cfg:
        app.show_cfg(name, args.overrides, args.cfg, args.package, args.resolve)
    elif args.shell_completion:
        app.shell_completion(config_name=name, overrides=args.overrides)
    elif args.info:
        app.show_info(args.info, config_name=name, overrides=args.overrides)
    elif args.multirun or _preset_sweeps(app, name, args.overrides):
        return app.multirun(name, train_task, args.overrides)
    else:
        app.run(name, train_task, args.overrides)
    sys.stdout.flush()
    return 0


def _preset_sweeps(app: App, name: str, overrides: list[str]) -> bool:
    """Say whether a preset is a sweep by itself."""
    if not any(override.startswith(("experiments=", "hydra.mode=")) for override in overrides):
        return False
    cfg = app.compose_config(
        config_name=name,
        overrides=overrides,
        run_mode=RunMode.MULTIRUN,
        with_log_configuration=False,
        validate_sweep_overrides=False,
    )
    return bool(cfg.hydra.mode == RunMode.MULTIRUN)
