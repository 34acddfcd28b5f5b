"""Composing a config, by Hydra, from our files and the user's.

Whatever Hydra, OmegaConf or YAML raise on it becomes one message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import version
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cnnexp.app.compose.hydra_bridge import Hydra, create_config_search_path
from cnnexp.app.compose.messages import in_our_words
from cnnexp.app.compose.sources import (
    CONF,
    CONFIG_NAME,
    GROUP,
    OWN,
    PROJECT,
    ROWS,
    register_sources,
)
from cnnexp.app.compose.texts import as_typed
from cnnexp.app.locations import config_root, project_root
from cnnexp.app.settings.options import check_options
from cnnexp.app.settings.schema import Config, SweepConfig
from cnnexp.errors import CnnexpError, ConfigError


class App(Hydra):
    """Hydra with our order of steps and our messages.

    Attributes
    ----------
    name : str
        Of the primary config.
    """

    name = CONFIG_NAME

    def compose_config(self, *args: Any, **kwargs: Any) -> DictConfig:
        """Compose, with errors in our words, from texts as they were typed."""
        if "overrides" in kwargs:
            kwargs["overrides"] = [as_typed(word) for word in kwargs["overrides"]]
        with composing(self.compose_defaults):
            cfg = super().compose_config(*args, **kwargs)
            if RunMode.MULTIRUN in (*args, *kwargs.values()):
                _check_sweep(cfg)
        return cfg

    def settings(self, overrides: Sequence[str] = (), sweep: bool = False) -> DictConfig:
        """Return the settings of a run or a sweep, which nothing is done with yet."""
        return self.compose_config(
            config_name=self.name,
            overrides=list(overrides),
            run_mode=RunMode.MULTIRUN if sweep else RunMode.RUN,
            with_log_configuration=False,
            validate_sweep_overrides=not sweep,
        )

    def compose_defaults(self) -> DictConfig:
        """Compose without any overrides, for messages about others."""
        return super().compose_config(
            config_name=CONFIG_NAME,
            overrides=[],
            run_mode=RunMode.RUN,
            with_log_configuration=False,
        )


def _check_sweep(cfg: DictConfig) -> None:
    """Check the settings of a sweep, which are used before its jobs are composed."""
    faults: list[str] = []
    config = {"sweep": OmegaConf.to_container(cfg, resolve=False)["sweep"]}  # type: ignore[call-overload, index]
    if not check_options([Config], config, "", faults):
        raise ConfigError(faults)
    found: Any = OmegaConf.to_container(cfg.sweep, resolve=True)
    if not check_options([SweepConfig], found, "sweep.", faults):
        raise ConfigError(faults)


def make_app(config_dir: str | None = None, project: bool = True, rows: str = ROWS) -> App:
    """Return the driver, with configs, schemas and experiments in its search path.

    Parameters
    ----------
    config_dir : str, optional
        A folder of configs that the user named.
    project : bool
        Whether ``conf`` and ``experiments`` of the working folder count as well.
    rows : str
        The scheme of the source that knows our tables.
    """
    version.setbase("1.3")
    root = config_root()
    register_sources()
    search_path = create_config_search_path(f"{CONF}://{root / 'conf'}")
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
    search_path.append("tables", f"{rows}://", SearchPathQuery(provider="main"))
    GlobalHydra.instance().clear()
    return App.create_main_hydra2("cnnexp", search_path)  # type: ignore[return-value]


@contextmanager
def composing(compose: Callable[[], DictConfig]) -> Iterator[None]:
    """Raise whatever goes wrong while a config is composed as ConfigError.

    `compose` gives the config without overrides, for messages about them.
    """
    try:
        with in_our_words(compose):
            yield
    except (CnnexpError, MemoryError, OSError):
        raise
    except yaml.reader.ReaderError as error:
        raise ConfigError([f"{error.name}: not valid YAML: {error.reason}."]) from None
    except RecursionError:
        raise ConfigError(["a config file or an override is nested too deeply."]) from None
    except Exception as error:
        text = " ".join(str(error).split())[:300].rstrip(".")
        raise ConfigError([f"the settings cannot be composed: {text or repr(error)}."]) from None
