"""Hydra as this program uses it: composing, one run, sweeps.

Hydra's own driver writes into the run folder before anything is checked, and ends with code 1 and
a text of its own when a key is mistyped. Here the same steps are taken in another order: compose,
check everything, claim a folder that is ours alone, and only then let Hydra write.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from cnnexp.app.composing import composing
from cnnexp.app.config_sources import GROUP, OWN, PROJECT, register_sources
from cnnexp.app.locations import config_root, project_root
from cnnexp.app.messages import dotted
from cnnexp.app.own import offer_own
from cnnexp.app.schema import register_schemas
from cnnexp.errors import ConfigError

CONFIG_NAME = "config"


class App(Hydra):
    """Hydra with our order of steps and our messages."""

    def compose_config(self, *args: Any, **kwargs: Any) -> DictConfig:
        """Compose, with errors in our words."""
        with composing(self.compose_defaults, self.config_folders()):
            return super().compose_config(*args, **kwargs)

    def config_folders(self) -> list[str]:
        """Return the folders that the user named."""
        found = self.config_loader.get_search_path().get_path()
        return [
            element.path.partition("://")[2]
            for element in found
            if element.provider in ("command-line", "project")
        ]

    def compose_defaults(self) -> DictConfig:
        """Compose without any overrides."""
        return super().compose_config(
            config_name=CONFIG_NAME,
            overrides=[],
            run_mode=RunMode.RUN,
            with_log_configuration=False,
        )


def make_app(config_dir: str | None = None, project: bool = True) -> App:
    """Return the driver, with configs, schemas and experiments in its search path.

    Parameters
    ----------
    config_dir : str, optional
        A folder of configs that the user named.
    project : bool
        Whether ``conf`` and ``experiments`` of the working folder count as well.
    """
    version.setbase("1.3")
    register_schemas()
    root = config_root()
    search_path = create_config_search_path(str(root / "conf"))
    register_sources()
    places = [("experiments", f"{GROUP}://{root}")]
    if project and (own := project_root()) is not None:
        places += [("project", f"{PROJECT}://{own / 'conf'}")] * (own / "conf").is_dir()
        places.append(("project-experiments", f"{GROUP}://{own}"))
    if config_dir is not None:
        if not os.path.isdir(config_dir):
            raise ConfigError([f"--config-dir {config_dir}: there is no such folder."])
        places.append(("command-line", f"{OWN}://{Path(config_dir).resolve()}"))
    for provider, path in reversed(places):  # each stands before those that are there
        search_path.prepend(provider=provider, path=path, anchor=SearchPathQuery(provider="main"))
    GlobalHydra.instance().clear()
    return App.create_main_hydra2("cnnexp", search_path)  # type: ignore[return-value]


def hydra_main(argv: list[str]) -> int:
    """Do what Hydra's flags and overrides ask for."""
    parser = get_args_parser()
    parser.prog = "cnnexp"
    args = parser.parse_intermixed_args(argv)
    args.overrides = [] if args.hydra_help else [dotted(word) for word in args.overrides]
    logging.raiseExceptions = False  # who reads --info through a pipe may leave early
    offer_own(args.overrides)
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
        with contextlib.suppress(Exception):  # what cannot be completed yet is not for the prompt
            app.shell_completion(config_name=name, overrides=args.overrides)
    elif args.info:
        app.show_info(args.info, config_name=name, overrides=args.overrides)
    else:
        return _train(app, args, name)
    sys.stdout.flush()
    return 0


def _train(app: App, args: argparse.Namespace, name: str) -> int:
    """Run once, or sweep; what trains is imported only now, and not to show a config."""
    if args.multirun or _preset_sweeps(app, name, args.overrides):
        from cnnexp.app.job import train_task
        from cnnexp.app.multirun import run_sweep

        return run_sweep(app, name, args.overrides, train_task)
    from cnnexp.app.single_run import run_once

    return run_once(app, name, args.overrides)


def _preset_sweeps(app: App, name: str, overrides: list[str]) -> bool:
    """Say whether a preset is a sweep by itself, or combinations are listed."""
    sweeping = ("experiments=", "hydra.mode=", "sweep.points=")
    if not any(override.startswith(sweeping) for override in overrides):
        return False
    from cnnexp.app.job import is_sweep

    cfg = app.compose_config(
        config_name=name,
        overrides=overrides,
        run_mode=RunMode.MULTIRUN,
        with_log_configuration=False,
        validate_sweep_overrides=False,
    )
    return is_sweep(cfg)
