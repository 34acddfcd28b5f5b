"""The settings of a run for which nothing was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.global_hydra import GlobalHydra

from cnnexp.app.check import check
from cnnexp.app.composing import make_app
from cnnexp.errors import CnnexpError
from cnnexp.runs.reading import GROUPS, flatten


def default_settings(choices: Mapping[str, str | None]) -> dict[str, Any] | None:
    """Return all default settings under dotted paths.

    The names of the groups are the default ones; the options in a group are the defaults of the
    option that was chosen, so that only what was set on top of it stands out.

    Parameters
    ----------
    choices : mapping of str to str
        The option chosen in each group.

    Returns
    -------
    dict or None
        None if one of the choices is not among the configs here.
    """
    try:
        app = make_app(project=False)  # a run may be looked at in any folder
        plain = app.settings()
        names = {group: str(plain.hydra.runtime.choices[group]) for group in GROUPS}
        other = [f"{g}={choices[g]}" for g in GROUPS if choices.get(g, names[g]) != names[g]]
        settings: dict[str, Any] = dict(names)
        flatten(check(app.settings(other) if other else plain), "", settings)
    except CnnexpError:
        return None
    finally:
        GlobalHydra.instance().clear()
    return settings
