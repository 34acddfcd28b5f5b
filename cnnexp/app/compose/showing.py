"""``--cfg job`` without importing what trains.

To compose settings, Hydra needs the options of our tables with their defaults, and these are in a
file as well. Where anything else has a say (plugins, a folder of the user's, keys that are added),
or something does not fit, the settings are composed in the usual way.
"""

from __future__ import annotations

import argparse
import io
import re
from contextlib import redirect_stderr, redirect_stdout

from hydra.core.global_hydra import GlobalHydra

from cnnexp.app.compose.configs import make_app
from cnnexp.app.compose.sources import CONFIG_NAME, WRITTEN
from cnnexp.app.locations import project_root

PLAIN = re.compile(r"(?!plugins\b|hydra\b)[A-Za-z_][\w.]*=")


def shown(args: argparse.Namespace) -> str | None:
    """Return what ``--cfg job`` shows; None where more than our own files has a say.

    Parameters
    ----------
    args : Namespace
        Hydra's flags, and the overrides.
    """
    if args.cfg != "job" or args.config_dir or args.config_name or project_root():
        return None
    if not all(PLAIN.match(word) for word in args.overrides):
        return None
    out = io.StringIO()
    try:
        app = make_app(project=False, rows=WRITTEN)
        with redirect_stdout(out), redirect_stderr(out):
            app.show_cfg(CONFIG_NAME, args.overrides, "job", args.package, args.resolve)
    except (Exception, SystemExit):  # the usual way has the words for it
        return None
    finally:
        GlobalHydra.instance().clear()
    return out.getvalue()
