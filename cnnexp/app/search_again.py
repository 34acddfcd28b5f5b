"""A search that is started again: what it left is finished, and all that it found counts.

A sampler with a seed asks for the same points as before, and finds them done. Any other one, and
any study that Optuna keeps in a storage, would ask for new points: jobs that were cut off would be
left as they are, and those that are done forgotten. So first all jobs in the folder that belong to
the search are planned, as those of a grid are; then the study is told what they found, and asks for
as many trials as are missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from cnnexp.app.sweep_job import DONE, Job
from cnnexp.app.sweeps import INDEX, POINTS
from cnnexp.errors import RunError, foreign
from cnnexp.runs.files import read_bytes
from cnnexp.runs.forms import fits
from cnnexp.runs.record import FILE, read_record

OPTUNA = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
GRID_SAMPLER = "optuna.samplers.GridSampler"


class Space(NamedTuple):
    """What a search varies, and what all its points have in common.

    Attributes
    ----------
    words : list of str
        All that was asked for, as overrides.
    searched : tuple of str
        The keys whose values the search chooses.
    fixed : dict
        Values of the other keys, as they were written.
    """

    words: list[str]
    searched: tuple[str, ...]
    fixed: dict[str, str]

    def values(self, overrides: Sequence[str]) -> dict[str, str] | None:
        """Return what was chosen for a point; None if the point is not one of this search."""
        given = {key: value for key, _, value in (o.partition("=") for o in overrides)}
        if given.keys() != {*self.searched, *self.fixed}:
            return None
        same = all(
            given[key] == value or key.startswith("sweep.") for key, value in self.fixed.items()
        )
        return {key: given[key] for key in self.searched} if same else None

    def overrides(self, values: dict[str, str]) -> list[str]:
        """Return the overrides of a point."""
        return [f"{key}={value}" for key, value in (values | self.fixed).items()]


def space_of(cfg: DictConfig) -> Space:
    """Return what a composed config searches."""
    params = cfg.hydra.sweeper.get("params") or {}
    words = [*(f"{key}={value}" for key, value in params.items()), *cfg.hydra.overrides.task]
    searched: dict[str, None] = {}
    fixed: dict[str, str] = {}
    for override in OverridesParser.create().parse_overrides(words):
        key = override.get_key_element()
        if override.is_sweep_override():
            searched[key] = None
        else:
            fixed[key] = override.get_value_element_as_str()
    return Space(words, tuple(key for key in searched if key not in fixed), fixed)


def points_in(folder: Path) -> dict[str, list[str]]:
    """Return the overrides of the jobs in a sweep's folder, by the names of their folders."""
    found = {}
    for path in sorted(folder.glob(f"*/{FILE}")):
        try:
            found[path.parent.name] = read_record(path.parent).overrides
        except RunError:
            continue
    if (folder / INDEX).exists():
        with foreign(folder / INDEX):
            points = json.loads(read_bytes(folder / INDEX)).get(POINTS, {})
            if not fits(points, {str: [str]}):
                raise ValueError(f"{POINTS} must hold overrides")
        found |= {name: words for name, words in points.items() if (folder / name).is_dir()}
    return {name: found[name] for name in sorted(found, key=_number) if name.isdigit()}


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 0


def points_of(space: Space, folder: Path) -> list[list[str]]:
    """Return the overrides of all jobs in a folder that are points of a search."""
    chosen = [space.values(overrides) for overrides in points_in(folder).values()]
    return [space.overrides(values) for values in chosen if values is not None]


def other_jobs(folder: Path, jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs in a folder that are none of those planned this time."""
    planned = {job.folder.name for job in jobs}
    found = []
    for name, overrides in points_in(folder).items():
        if name in planned or not (folder / name / FILE).exists():
            continue
        config = {"sweep": jobs[0].config["sweep"]} if jobs else {}
        job = Job(overrides, OmegaConf.create({}), config, folder / name, False, "left alone")
        found.append(job)
    return found


class Study:
    """Optuna's study of a search that is continued.

    Parameters
    ----------
    cfg : DictConfig
        The composed config.
    space : Space
        What is searched.
    jobs : sequence of Job
        The jobs of the search so far.

    Attributes
    ----------
    continued : bool
        Whether there is such a study. A sampler with a seed and without a storage begins anew, and
        asks for the same points; so does a grid.
    """

    def __init__(self, cfg: DictConfig, space: Space, jobs: Sequence[Job]) -> None:
        sweeper = cfg.hydra.sweeper
        self.kept = bool(sweeper.get("storage") and sweeper.get("study_name"))
        one = not OmegaConf.is_list(sweeper.get("direction"))
        sampler = sweeper.get("sampler") or {}
        anew = sampler.get("seed") is not None or sampler.get("_target_") == GRID_SAMPLER
        is_optuna = sweeper.get("_target_") == OPTUNA
        self.continued = is_optuna and one and (self.kept or (bool(jobs) and not anew))
        if self.continued:
            self.study = self._open(sweeper)
            self._tell(space, jobs)
            if (seed := sampler.get("seed")) is not None:  # else it would draw the same once more
                sweeper.sampler.seed = seed + len(self.study.trials)

    def _open(self, sweeper: DictConfig) -> Any:
        """Return the study in its storage; one that is not kept in any gets one in memory."""
        import optuna

        self.storage = sweeper.storage if self.kept else optuna.storages.InMemoryStorage()
        direction = str(getattr(sweeper.direction, "name", sweeper.direction))
        return optuna.create_study(
            storage=self.storage,
            study_name=sweeper.study_name,
            direction=direction,
            load_if_exists=True,
        )

    def _tell(self, space: Space, jobs: Sequence[Job]) -> None:
        """Tell the study what jobs have found, each once."""
        from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
        from optuna.trial import TrialState, create_trial

        distributions, _ = create_params_from_overrides(space.words)
        distributions = {key: distributions[key] for key in space.searched}
        figures = _figures(space, jobs)
        for trial in self.study.get_trials(states=[TrialState.RUNNING, TrialState.COMPLETE]):
            figure = figures.pop(_key(trial.params), None)
            if figure is not None and trial.state is TrialState.RUNNING:
                self.study.tell(trial.number, figure)
        for key, figure in figures.items():
            params = {name: _value(text, distributions[name]) for name, text in key}
            if None not in params.values():
                added = create_trial(params=params, distributions=distributions, value=figure)
                self.study.add_trial(added)

    def hand_to(self, sweeper: Any) -> None:
        """Let Optuna's sweeper go on with the study, for the trials that are missing."""
        from optuna.trial import TrialState

        done = len(self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))
        inner = sweeper.sweeper
        inner.storage, inner.study_name = self.storage, self.study.study_name
        inner.n_trials = max(inner.n_trials - done, 0)


Key = frozenset[tuple[str, str]]


def _key(params: dict[str, Any]) -> Key:
    """Return the values of a trial as they stand in overrides."""
    return frozenset((name, f"{value}") for name, value in params.items())


def _figures(space: Space, jobs: Sequence[Job]) -> dict[Key, float]:
    """Return what jobs that are done have found, by the values that were chosen for them."""
    found = {}
    for job in jobs:
        values, figure = space.values(job.overrides), job.objective()
        if job.status in DONE and values is not None and figure is not None:
            found[_key(values)] = figure
    return found


def _value(text: str, distribution: Any) -> Any:
    """Return a value as a distribution of Optuna holds it; None if it is not one of its values."""
    from optuna import distributions as known

    whole = (known.IntUniformDistribution, known.IntLogUniformDistribution)
    if isinstance(distribution, known.CategoricalDistribution):
        return next((choice for choice in distribution.choices if f"{choice}" == text), None)
    try:
        value = int(text) if isinstance(distribution, whole) else float(text)
    except ValueError:
        return None
    return value if distribution._contains(value) else None
