"""Beginning a new run with the settings of another one, some of them changed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from cnnexp.app.compose.configs import App, composing, make_app
from cnnexp.app.compose.words import check_words
from cnnexp.app.running.resume import complete
from cnnexp.app.running.single_run import carry_out, composed, told
from cnnexp.app.running.task import record_of
from cnnexp.app.running.tracking import own_trackers
from cnnexp.app.screen import warn
from cnnexp.app.settings.check import check
from cnnexp.app.settings.options import Plain
from cnnexp.app.settings.schema import option_names
from cnnexp.errors import ConfigError, foreign
from cnnexp.runs.environment import differences
from cnnexp.runs.finding import refuse_folder_of_runs
from cnnexp.runs.fingerprint import FOR_PEOPLE, PATHS
from cnnexp.runs.plugins import load_plugins_of, refusal
from cnnexp.runs.policy import GROUPS
from cnnexp.runs.record import FILE, Record, read_record
from cnnexp.train import OPTIMIZERS

OWN = ("sweep", *FOR_PEOPLE)  # which sweep a run belongs to, and what it is called, is its own
OTHER_DATA = {f"{group}.{key}" for group, key in PATHS} | {"data.set", "data.split"}
THREADS = "impl.threads"  # sizes stay as they are for any number of workers: the same bits
SIZES_DEPEND_ON = ("model", "impl", "data", "dtype", "batch_size")  # of micro-batches


def rerun(
    run: Path,
    words: Sequence[str] = (),
    plugins: Sequence[str] | None = None,
    config_dir: str | None = None,
) -> int:
    """Train again with the settings that a run recorded, in a new folder.

    Parameters
    ----------
    run : Path
        The run folder.
    words : sequence of str
        ``key=value``, for settings that are to be others.
    plugins : sequence of str, optional
        Modules that the user names; those of the user's own runs are imported without it.
    config_dir : str, optional
        A folder of configs of the user's, for words that choose from it.

    Raises
    ------
    ConfigError
        If a setting is not allowed, or the settings do not fit together.
    RunError
        If there is no run, its plugins may not be imported, or its data have changed.
    """
    app, cfg, again = composed_again(run, words, plugins, config_dir)
    record = record_of(check(cfg), cfg.hydra)
    return told(carry_out(app, cfg, again.entered(record)))


def composed_again(
    run: Path,
    words: Sequence[str] = (),
    plugins: Sequence[str] | None = None,
    config_dir: str | None = None,
) -> tuple[App, DictConfig, Again]:
    """Return the settings of a run, some of them changed; parameters are those of `rerun`."""
    refuse_folder_of_runs(run)
    record = read_record(run)
    if missing := load_plugins_of(run, record, plugins):
        raise refusal(run, missing)
    changes = check_words(words).overrides
    if any(word.lstrip("+").startswith("experiments=") for word in words):
        raise ConfigError(
            [
                "experiments: a study sets many settings, and rerun keeps those of the run. Begin a"
                " run of its own with it."
            ]
        )
    with foreign(run / FILE):
        again = Again(run, record, changes)
    app = make_app(config_dir)
    return app, again.settled(composed(app, again.words(app))), again


class Again:
    """What a new run takes from another one.

    Parameters
    ----------
    run, record : Path, Record
        The other run, and its ``run.json``.
    changes : list of str
        ``key=value``, for what is to be different.
    """

    def __init__(self, run: Path, record: Record, changes: list[str]) -> None:
        self.run = run
        self.record = record
        self.changes = changes
        self._config: Plain = complete(record.config)
        self._keys = [change.partition("=")[0].lstrip("+") for change in changes]
        if "optimizer" in self._keys and self._has_default_rate():
            self._config["learning_rate"] = None  # the new optimizer's own
        self._left: set[str] = set()

    def _has_default_rate(self) -> bool:
        name: str = (self._config.get("optimizer") or {}).get("name", "")
        own = OPTIMIZERS[name].default_learning_rate if name in OPTIMIZERS else None
        return bool(self._config["learning_rate"] == own)

    def words(self, app: App) -> list[str]:
        """Return what to compose from: the choices that were recorded, and the changes."""
        if "model" in self._keys:
            self._left = self._left_to_the_model(app)
        choices = [
            f"{group}={name}"
            for group in GROUPS
            if group not in (*self._keys, *self._left)
            and (name := self._choice(app, group)) is not None
        ]
        return [*choices, *self._typed_before(), *self.changes]

    def _left_to_the_model(self, app: App) -> set[str]:
        """Return the groups that the recorded model chose, or the new one chooses, for itself."""
        new = [word for word in self.changes if word.partition("=")[0] == "model"]
        old = [f"model={self._choice(app, 'model')}"]
        then, now = (app.settings(words).hydra.runtime.choices for words in (old, new))
        typed = {word.partition("=")[0] for word in self.record.overrides}
        return {
            group
            for group in {*GROUPS} - {"model", *typed, *self._keys}
            if self.record.choices.get(group) == then.get(group) != now.get(group)
        }

    def _typed_before(self) -> list[str]:
        """Return what was typed for groups that are chosen anew, as far as they still have it."""
        found = []
        for word in self.record.overrides:
            key = word.partition("=")[0]
            group, _, option = key.partition(".")
            anew = next((w for w in self.changes if w.partition("=")[0] == group), None)
            known = anew is not None and option in option_names(group, anew.partition("=")[2])
            if known and key not in self._keys:
                found.append(word)
        return found

    def _choice(self, app: App, group: str) -> str | None:
        """Return the option of a group that was chosen, or one of the same kind that is here."""
        named = (self._config.get(group) or {}).get("name")
        here = app.config_loader.get_group_options(group)
        wanted = (self.record.choices.get(group), named)
        return next((str(name) for name in wanted if name in here), None)

    def settled(self, cfg: DictConfig) -> DictConfig:
        """Return a composed config with the recorded settings, all but those that are changed."""
        with composing(lambda: cfg), open_dict(cfg):
            hydra = cfg.pop("hydra")
            plain: Plain = OmegaConf.to_container(cfg)  # type: ignore[assignment]
            for key, value in self._config.items():
                if key == "trackers" and key not in self._keys:
                    value = own_trackers(self.run, self.record)
                if key not in (*OWN, *self._keys, *self._left):
                    plain[key] = literal(self._with_changes(cfg, key, copy.deepcopy(value)))
            found = DictConfig(plain)
            found["hydra"] = hydra
            return found

    def _with_changes(self, cfg: DictConfig, key: str, value: Any) -> Any:
        """Return a recorded setting with the changes below its key."""
        holder = OmegaConf.create({key: value})
        for path in self._keys:
            if path.startswith(f"{key}."):
                OmegaConf.update(holder, path, OmegaConf.select(cfg, path), force_add=True)
        return OmegaConf.to_container(holder)[key]  # type: ignore[call-overload, index]

    def entered(self, record: Record) -> Record:
        """Return the record of the new run with what must be as in the other one."""
        before = self.record
        kept: dict[str, str | None] = {
            group: name
            for group in GROUPS
            if group not in (*self._keys, *self._left)
            and (name := before.choices.get(group)) is not None
        }
        if found := differences(before.environment, record.environment):
            warn(f"warning: the last bits may differ from those of {self.run}: {'; '.join(found)}")
        other_data = "data" in self._keys or {*self._keys} & OTHER_DATA
        return replace(
            record,
            rerun_of=str(self.run.absolute()),
            overrides=[*before.overrides, *self.changes],
            choices=record.choices | kept,
            data=None if other_data else before.data,
            init_from=None if self._changes_any("init_from") else before.init_from,
            network=None if self._changes_any(*SIZES_DEPEND_ON) else before.network,
        )

    def _changes_any(self, *groups: str) -> bool:
        return any(key.partition(".")[0] in groups for key in self._keys if key != THREADS)


def literal(value: Any) -> Any:
    """Return a recorded value in which nothing stands for something else, as ``${…}`` would."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, dict):
        return {key: literal(inner) for key, inner in value.items()}
    return [literal(inner) for inner in value] if isinstance(value, list) else value
