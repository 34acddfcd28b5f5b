"""Other people's launchers and sweepers: the bridge between Hydra's plugins and a sweep of ours.

A launcher (submitit, Ray, joblib, Hydra's own) is a way to run jobs that were planned already. A
sweeper (Optuna) makes points, asks for their results, and makes more; each time it believes that it
speaks to a launcher.

A search that is started again first finishes all jobs in the folder that belong to it, as a grid
does. A sampler with a seed then asks for the same points as before, and finds them done. Any other
one, and any study that Optuna keeps in a storage, is told what the jobs have found, and asks for as
many trials as are missing.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from cnnexp.app.compose.grid import words_of
from cnnexp.app.compose.hydra_bridge import IN_PROCESS
from cnnexp.app.running.task import train_task
from cnnexp.app.sweeps.job import DONE, Job, Point
from cnnexp.app.sweeps.sweep import Sweep
from cnnexp.errors import CnnexpError, RunError
from cnnexp.nn.executor import available_cores

OPTUNA = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
GRID_SAMPLER = "optuna.samplers.GridSampler"
RAISED = re.compile(r"^[\w.]+(?:Error|Exception|Exit|Interrupt)\b.*", re.MULTILINE)

MakePoints = Callable[[Sequence[Sequence[str]]], list[Point]]


class JobFailed(Exception):
    """A trial of a search has no result."""


def launcher_of(cfg: DictConfig, context: HydraContext) -> Launcher:
    """Return the launcher that a config names."""
    return Plugins.instance().instantiate_launcher(
        config=cfg, hydra_context=context, task_function=train_task
    )


def run_by(launcher: Launcher, jobs: Sequence[Job], sweep: Sweep, most: int | None = None) -> None:
    """Let a launcher run jobs, `most` at a time, and note how each of them ended."""
    for first in range(0, len(jobs), most or len(jobs)):
        batch = jobs[first : first + (most or len(jobs))]
        words = [[*job.overrides, f"hydra.sweep.subdir={job.folder.name}"] for job in batch]
        results: Sequence[JobReturn] = []
        try:
            with patient(launcher):
                results = launcher.launch(words, first)
        except CnnexpError:
            raise
        except Exception as error:  # a launcher may give up when it has lost one job
            sweep.trouble.append(f"the launcher gave up: {first_words(error)}")
        for job, result in zip(batch, results, strict=False):
            if result.status is JobStatus.FAILED:
                job.end = str(result._return_value or "")


def patient(launcher: Launcher) -> AbstractContextManager[None]:
    """Return a context in which a launcher waits for all its jobs."""
    module = type(launcher).__module__
    if ".hydra_submitit_launcher." in module:
        jobs = importlib.import_module("submitit.core.core").Job
        return _swapped(jobs, "results", lambda wait: lambda job: [_result(lambda: wait(job)[0])])
    if ".hydra_ray_launcher." in module:
        init: Any = getattr(launcher, "ray_cfg", SimpleNamespace(init={})).init
        if init.get("address"):  # of a cluster that is there the launcher must not set the memory
            with open_dict(init):
                init.setdefault("object_store_memory", None)
        core = importlib.import_module("hydra_plugins.hydra_ray_launcher._core")
        return _swapped(
            core, "ray", lambda ray: SimpleNamespace(get=lambda job: _result(lambda: ray.get(job)))
        )
    if ".hydra_joblib_launcher." in module and launcher.joblib.get("backend") == "dask":  # type: ignore[attr-defined]
        return on_dask()
    return nullcontext()


@contextmanager
def on_dask() -> Iterator[None]:
    """Let joblib's jobs run on Dask: on the cluster that it is told of, or on one of this machine.

    The launcher allows one backend of joblib alone, which loses what runs when a process is killed.

    Raises
    ------
    RunError
        If Dask is not installed, or workers run several jobs at once, in one process.
    """
    try:
        dask, distributed = map(importlib.import_module, ("dask", "distributed"))
    except ImportError:
        raise RunError(
            "hydra.launcher.backend=dask needs distributed, which is not installed: pip install"
            " 'cnnexp[dask]'."
        ) from None
    core = importlib.import_module("hydra_plugins.hydra_joblib_launcher._core")
    address = dask.config.get("scheduler-address", None)
    local = {"n_workers": available_cores(), "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(**({"address": address} if address else local)) as client:
        if any(threads > 1 for threads in client.nthreads().values()):
            raise RunError(
                f"{address}: its workers have several threads each, and a job needs a process of"
                " its own. Start them with: dask worker ADDRESS --nthreads 1 --nworkers N"
            )
        own = {"backend": None}  # the one of the context
        chosen = importlib.import_module("joblib").parallel_config(backend="dask")
        with (
            chosen,
            _swapped(core, "Parallel", lambda parallel: lambda **given: parallel(**given | own)),
        ):
            yield


def _result(wait: Callable[[], JobReturn]) -> JobReturn:
    """Return what a job gives, or a failed result if it is lost."""
    try:
        return wait()
    except Exception as error:
        return JobReturn(status=JobStatus.FAILED, _return_value=first_words(error))


def first_words(error: Exception) -> str:
    r"""Return the kind of an error and the beginning of its text, as one line.

    If the text holds the traceback of a job, what the job raised is returned.

    Examples
    --------
    >>> first_words(ValueError("so\nit is\nlong"))
    'ValueError: so it is'
    >>> first_words(ValueError("the trace:\nTraceback …\n  raise …\nKeyError: 1\nSee the logs."))
    'KeyError: 1'
    """
    raised = RAISED.findall(str(error))
    text = " ".join(str(error).split("\n")[:2]).strip()
    return str(raised[-1]) if raised else f"{type(error).__name__}: {text}"


@contextmanager
def _swapped(owner: Any, name: str, change: Callable[[Any], Any]) -> Iterator[None]:
    """Put something else in the place of an attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, change(before))
    try:
        yield
    finally:
        setattr(owner, name, before)


def search(cfg: DictConfig, context: HydraContext, sweep: Sweep, points: MakePoints) -> None:
    """Let a sweeper make points, and tell it what came of them.

    Parameters
    ----------
    cfg : DictConfig
        The config of the sweep.
    context : HydraContext
        Hydra's.
    sweep : Sweep
        Carries the points out.
    points : callable
        Makes points from their overrides.
    """
    space = space_of(cfg)
    if left := space.points_in(sweep.recorded_overrides().values()):
        sweep.carry_out(points(left))
    study = Study(cfg, space, sweep.jobs)
    without = cfg.copy()
    with open_dict(without):
        without.hydra.launcher = {"_target_": IN_PROCESS}  # it is not used
    sweeper: Any = Plugins.instance().instantiate_sweeper(
        config=without, hydra_context=context, task_function=train_task
    )
    if study.continued:
        study.hand_to(sweeper)

    def launch(overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        asked = points(overrides)
        sweep.carry_out(asked)
        return [outcome_of(sweep, point) for point in asked]

    getattr(sweeper, "sweeper", sweeper).launcher = SimpleNamespace(launch=launch)
    sweeper.sweep(arguments=list(cfg.hydra.overrides.task))


class Failed(JobReturn):
    """What a sweeper is told of a point without a result: to ask for its value raises."""

    @property  # type: ignore[misc]
    def return_value(self) -> Any:
        """Raise `JobFailed` with the reason."""
        raise JobFailed(self._return_value)


def outcome_of(sweep: Sweep, point: Point) -> JobReturn:
    """Return what a sweeper is told of a point that was carried out."""
    if point.faults:
        return Failed(point.overrides, _return_value="; ".join(point.faults))
    job = sweep.job_of(point)
    if job.status in DONE:
        found = job.objective()
        return JobReturn(point.overrides, status=JobStatus.COMPLETED, _return_value=found)
    reason = f"job {job.folder.name} {job.status}: {job.reason}"
    return Failed(point.overrides, _return_value=reason)


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

    def points_in(self, recorded: Iterable[Sequence[str]]) -> list[list[str]]:
        """Return the overrides of all jobs that are points of this search."""
        chosen = [self.values(overrides) for overrides in recorded]
        return [
            [f"{key}={value}" for key, value in (values | self.fixed).items()]
            for values in chosen
            if values is not None
        ]


def space_of(cfg: DictConfig) -> Space:
    """Return what a composed config searches."""
    words = words_of(cfg)
    searched: dict[str, None] = {}
    fixed: dict[str, str] = {}
    for override in OverridesParser.create().parse_overrides(words):
        key = override.get_key_element()
        if override.is_sweep_override():
            searched[key] = None
        else:
            fixed[key] = override.get_value_element_as_str()
    return Space(words, tuple(key for key in searched if key not in fixed), fixed)


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
