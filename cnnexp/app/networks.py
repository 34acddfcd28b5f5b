"""Networks of settings that are typed, for commands that look at a network and train none."""

from __future__ import annotations

from collections.abc import Mapping

from cnnexp.app.compose.messages import dotted
from cnnexp.app.compose.own import composer
from cnnexp.app.settings.check import check, check_data, recheck
from cnnexp.app.settings.check_model import Images
from cnnexp.app.settings.options import Plain
from cnnexp.engine import AUTO, IMPLEMENTATIONS, automatic
from cnnexp.errors import ConfigError, OptionError
from cnnexp.nn.network import Network
from cnnexp.runs import rebuild

IMPL = "impl"


def config_of(command: str, words: list[str]) -> Plain:
    """Return the checked settings for a command that takes one implementation."""
    configs = configs_of(words, AUTO)
    if len(configs) > 1:
        raise OptionError(f"{command} takes one implementation. Got {IMPL}={','.join(configs)}.")
    return next(iter(configs.values()))


def configs_of(words: list[str], *default: str) -> dict[str, Plain]:
    """Return the checked settings for each implementation that some words name.

    Parameters
    ----------
    words : list of str
        Settings, as ``key=value``.
    *default : str
        The implementations if none is named; all if not given.

    Raises
    ------
    ConfigError
        With all faults.
    """
    if faults := [f"{word}: cannot be read as key=value." for word in words if "=" not in word]:
        raise ConfigError(faults)
    overrides = [dotted(word) for word in words]
    named = [o.partition("=")[2].split(",") for o in overrides if o.partition("=")[0] == IMPL]
    others = [override for override in overrides if override.partition("=")[0] != IMPL]
    typed = [name.strip() for name in (named[-1] if named else default or _all())]
    names = dict.fromkeys(automatic() if name == AUTO else name for name in typed)
    with composer(overrides) as app:
        return {name: check(app.settings([f"{IMPL}={name}", *others])) for name in names}


def _all() -> list[str]:
    """Return all implementations, those in loops first."""
    installed = (name for name in IMPLEMENTATIONS if not IMPLEMENTATIONS[name].missing())
    return sorted(installed, key=lambda name: IMPLEMENTATIONS[name].releases_gil)


def images_of(config: Plain) -> Images:
    """Return shape and classes of the images; they are read only where that is not known before."""
    images = check_data(config, [])
    if images.shape is None or images.outputs is None:
        images = Images.of(rebuild.plan_dataset(config).load())
    return images


def networks_of(configs: Mapping[str, Plain], images: Images) -> dict[str, Network]:
    """Build the same network under each implementation."""
    networks = {}
    for name, config in configs.items():
        recheck(config, images)
        networks[name] = rebuild.build_network(config, images.shape or ())
    return networks
