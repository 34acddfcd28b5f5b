"""What follows ``python -m cnnexp`` where no command is named: one run, a sweep, Hydra's flags.

Hydra's own driver writes into the run folder before anything is checked, and ends with code 1 and
a text of its own when a key is mistyped. Here the same steps are taken in another order: compose,
check everything, claim a folder that is ours alone, and only then let Hydra write.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys

from hydra.types import RunMode

from cnnexp.app.compose.configs import App
from cnnexp.app.compose.hydra_bridge import get_args_parser
from cnnexp.app.compose.own import composer
from cnnexp.app.compose.showing import shown
from cnnexp.app.compose.words import check_words
from cnnexp.errors import ConfigError, did_you_mean


def hydra_main(argv: list[str]) -> int:
    """Do what Hydra's flags and overrides ask for."""
    args = check_words(argv)
    logging.raiseExceptions = False  # who reads --info through a pipe may leave early
    if (text := shown(args)) is not None:
        print(text, end="", flush=True)
        return 0
    with composer(args.overrides, args.config_dir) as app:
        app.name = args.config_name or app.name
        return _dispatch(app, args)


def _dispatch(app: App, args: argparse.Namespace) -> int:
    if args.hydra_help:
        app.hydra_help(config_name=app.name, args_parser=get_args_parser(), args=args)
    elif args.cfg:
        _show_cfg(app, args)
    elif args.shell_completion:
        with contextlib.suppress(Exception):  # what cannot be completed yet is not for the prompt
            app.shell_completion(config_name=app.name, overrides=args.overrides)
    elif args.info:
        app.show_info(args.info, config_name=app.name, overrides=args.overrides)
    else:
        return _train(app, args)
    sys.stdout.flush()
    return 0


def _show_cfg(app: App, args: argparse.Namespace) -> None:
    """Show settings; Hydra ends the program where there is no such part."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            app.show_cfg(app.name, args.overrides, args.cfg, args.package, args.resolve)
    except SystemExit:
        raise ConfigError([_no_part(app, args)]) from None
    print(said.getvalue(), end="", file=sys.stderr)


def _no_part(app: App, args: argparse.Namespace) -> str:
    """Say that settings have no such part, or that it is null."""
    cfg = app.settings(args.overrides)
    keys = [str(key) for key in cfg if args.cfg != "job" or key != "hydra"]
    if args.package in keys:
        return f"--package {args.package}: is null, so there is nothing to show."
    near = did_you_mean(args.package, keys)
    return f"--package {args.package}: no such part.{near} Parts: {', '.join(keys)}."


def _train(app: App, args: argparse.Namespace) -> int:
    """Run once, or sweep; what trains is imported only now, and not to show a config."""
    if args.multirun or preset_sweeps(app, args.overrides):
        from cnnexp.app.sweeps.multirun import run_sweep

        return run_sweep(app, args.overrides)
    from cnnexp.app.running.single_run import run_once

    return run_once(app, args.overrides)


def preset_sweeps(app: App, overrides: list[str]) -> bool:
    """Say whether a preset is a sweep by itself, or combinations are listed."""
    sweeping = ("experiments=", "hydra.mode=", "sweep.points=")
    if not any(override.startswith(sweeping) for override in overrides):
        return False
    cfg = app.settings(overrides, sweep=True)
    if cfg.sweep.points == [] and cfg.hydra.mode != RunMode.MULTIRUN:
        raise ConfigError(
            [
                "sweep.points: the list is empty. One run has none: leave the key out, or write"
                " points: null. For a sweep, list its combinations."
            ]
        )
    return bool(cfg.hydra.mode == RunMode.MULTIRUN or cfg.sweep.points is not None)
