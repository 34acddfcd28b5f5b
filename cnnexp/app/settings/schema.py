"""All settings, as dataclasses: their types, defaults, ranges and meanings.

The options of layers, optimizers, schedules and data sets are the fields of their own dataclasses.
Hydra is told their keys and defaults, and nothing else: `cnnexp.app.settings.check` looks at the
values once all of them are there. The keys stand in a group of their own, ``schema``, so that they
do not show up as options of another.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cnnexp.app.settings.options import AUTO_OR_COUNT, Plain, default_value, one_of, ranged
from cnnexp.errors import OptionError, did_you_mean
from cnnexp.registry import Registry
from cnnexp.runs import version1
from cnnexp.runs.policy import CheckpointPolicy

SCHEMA = "schema"
DTYPES = ("float32", "float64")
EVALUATE = ("each_epoch", "at_end")  # as `cnnexp.train.trainer` has them


class Tables(Mapping[str, Registry[Any]]):
    """The table of each group, imported when it is looked at: to show settings, few of them are."""

    places = {
        "impl": ("cnnexp.engine", "IMPLEMENTATIONS"),
        "data": ("cnnexp.data", "SOURCES"),
        "optimizer": ("cnnexp.train", "OPTIMIZERS"),
        "schedule": ("cnnexp.train", "SCHEDULES"),
        "loss": ("cnnexp.nn.losses", "LOSSES"),
    }

    def __getitem__(self, group: str) -> Registry[Any]:
        module, name = self.places[group]
        table: Registry[Any] = getattr(import_module(module), name)
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, group: object) -> bool:
        return group in self.places


TABLES = Tables()


@dataclass
class ModelConfig:
    """A network: its name, and its layers from input to output.

    Parameters
    ----------
    name : str
        The preset, a file in ``conf/model``; ``model=NAME`` chooses it.
    layers : list of layers
        From input to output, each ``{type: NAME, …}`` with the options of its type;
        ``model.layers.0.filters=16`` changes one, counted from 0.
    target : {"label", "input"}
        What the network learns to predict: the labels of its samples, or the samples themselves
        (an autoencoder).
    """

    name: str = ""
    target: str = one_of("label", "label", "input")
    layers: list[Any] = field(default_factory=list)


@dataclass
class AugmentConfig:
    """How training images are changed.

    Parameters
    ----------
    name : str
        The preset, a file in ``conf/augment``; ``augment=NAME`` chooses it.
    transforms : list of transforms
        In order of use, each ``{type: NAME, …}`` with the options of its type;
        ``augment.transforms.0.degrees=10`` changes one, counted from 0.
    """

    name: str = "none"
    transforms: list[Any] = field(default_factory=list)


@dataclass
class ImplConfig:
    """An implementation, and how a mini-batch is divided among its workers.

    Parameters
    ----------
    threads : int or "auto"
        Workers that share the micro-batches. Results do not depend on their number, unless the size
        of micro-batches is measured (`tune`).
    micro_batch : int or "auto"
        Samples of a micro-batch in training. Results depend on it in their last bits.
    inference_micro_batch : int or "auto"
        Samples of a micro-batch where no backward pass follows.
    tune : bool
        Whether to measure the best `micro_batch`, once per machine, where it is ``auto`` and
        training is long enough to gain by it. Results depend on the size in their last bits.
    fuse : bool
        Whether neighbouring layers may be computed as one step.
    """

    threads: int | str = ranged("auto", *AUTO_OR_COUNT)
    micro_batch: int | str = ranged("auto", *AUTO_OR_COUNT)
    inference_micro_batch: int | str = ranged("auto", *AUTO_OR_COUNT)
    tune: bool = True
    fuse: bool = True


@dataclass
class StoppingConfig:
    """Early stopping, as in `cnnexp.train.EarlyStopping`; off while `patience` is null."""

    patience: int | None = None
    metric: str | None = None
    min_delta: float = 0.0


@dataclass
class SweepConfig:
    """Where a sweep is stored, what it runs again, and what a search minimises.

    Parameters
    ----------
    dir : str
        The folder of the sweep; a sweep into the same folder runs only what is missing.
    rerun : {"failed", "diverged", "all"}
        Which jobs of the same command run again: those that failed (``failed``), those that
        diverged as well (``diverged``), or finished ones too (``all``). Interrupted and killed jobs
        always continue, and one that still runs is left alone.
    objective : str, optional
        The figure that a search minimises; null: ``validation_error``, or ``validation_loss`` where
        no error is measured (with a loss for real values, unless ``metrics=[error]``).
    search_on_test : bool
        Whether the objective may be a figure of the test samples.
    jobs : int or "auto"
        How many jobs run side by side and share the cores; auto: one per core, at most 8, but one
        at a time where options of impl are varied, because their times are compared.
    isolation : {"warm", "fresh"}
        ``warm``: on Linux, a job's process is forked from one that has imported what runs need.
        ``fresh``: each job starts a new Python.
    points : list of settings, optional
        Combinations to try, each ``{key: value, …}``; a value that is a list is swept over within
        its combination. Each is combined with all other values that are swept.
    """

    dir: str = ""
    rerun: str = one_of("failed", "failed", "diverged", "all")
    objective: str | None = None
    search_on_test: bool = False
    jobs: int | str = ranged("auto", *AUTO_OR_COUNT)
    isolation: str = one_of("warm", "warm", "fresh")
    points: list[Any] | None = None

    def __post_init__(self) -> None:
        if self.objective is not None and self.objective not in (names := figure_names()):
            near = version1.new_name(self.objective)
            hint = f" Did you mean '{near}'?" if near in names else did_you_mean(near, names)
            raise OptionError(
                f"objective: no figure of a run is named '{self.objective}'.{hint}"
                f" Figures: {', '.join(names)}."
            )


def figure_names() -> list[str]:
    """Return the names of all figures of a run that can be minimised."""
    from cnnexp.nn.losses import METRICS

    measured = ["loss", *METRICS]
    parts = [f"{part}_{name}" for part in ("validation", "test", "train") for name in measured]
    best = [f"best_{name}" for name in parts if name.startswith("validation")]
    return [*parts, *best, "seconds", "eval_seconds", "seconds_per_epoch", "samples_per_second"]


@dataclass
class Config:
    """All settings of a run.

    Parameters
    ----------
    model : group
        The network: ``model=NAME``, or its layers.
    impl : group
        The implementation that computes it: ``impl=NAME``.
    data : group
        The data set: ``data=NAME``.
    optimizer : group
        How a gradient becomes a step: ``optimizer=NAME``.
    schedule : group
        How the learning rate changes: ``schedule=NAME``.
    loss : group
        What training minimises: ``loss=NAME``.
    augment : group
        How training images are changed: ``augment=NAME``, or a list of transforms.
    metrics : list of str
        Figures to log in addition to those of the loss: ``metrics=[top_3_error]``. A classifier
        that ends with a softmax always logs its error.
    learning_rate : float, optional
        The learning rate, before the schedule's factor; null: the default of the optimizer.
    epochs : int
        How often training passes over all training samples.
    batch_size : int, optional
        Samples per mini-batch; null: 16 to 128, depending on the number of samples.
    seed : int
        Seed of the initial weights, of the order of samples, of augmentation and of dropout.
    dtype : {"float32", "float64"}
        Type of the parameters and of all arithmetic.
    name : str
        A name for the run, for people.
    note : str
        A note about the run, for people.
    tags : list of str
        Words to find the run by: ``compare --where 'tags.str.contains("best")'``.
    plugins : list of str
        Modules of yours that register layers, losses, optimizers, data sets and so on.
    init_from : str, optional
        A run whose weights training begins from: its folder, or its file ``weights.pkl``.
    evaluate : {"each_epoch", "at_end"}, optional
        When the test part is evaluated; null: at the end if anything is chosen by the validation
        part, else after each epoch.
    early_stopping : group
        When a run ends before its last epoch.
    best_weights : bool or str
        Whether to keep the weights of the best epoch: by the error or the loss of the validation
        part, or by the figure named here.
    ema : float, optional
        Decay of an exponential moving average of the weights, which is evaluated and kept.
    accumulate : int
        Mini-batches whose gradients make one step of the optimizer.
    callbacks : list of str or mapping
        Code that training calls: ``callbacks=[NAME]``.
    trackers : list of str or mapping
        Other programs that follow the run: ``trackers=[tensorboard]``.
    profile : bool
        Whether to time every layer, in ``layers.csv``.
    diagnostics : bool
        Whether to log gradients, updates and dead units, in ``diagnostics.csv``.
    checkpoint : group
        When checkpoints are written.
    sweep : group
        Where a sweep is stored, and what it runs again.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    impl: Any = None
    data: Any = None
    optimizer: Any = None
    schedule: Any = None
    loss: Any = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    metrics: list[str] = field(default_factory=list)
    learning_rate: float | None = ranged(
        None, lambda value: value is None or 0 < value < math.inf, "above 0, and finite"
    )
    epochs: int = ranged(4, lambda value: value >= 1, "at least 1")
    batch_size: int | None = ranged(None, lambda value: value is None or value >= 1, "at least 1")
    seed: int = ranged(0, lambda value: value >= 0, "at least 0")
    dtype: str = ranged("float32", lambda value: value in DTYPES, " or ".join(DTYPES))
    name: str = ""
    tags: list[str] = field(default_factory=list)
    note: str = ""
    plugins: list[str] = field(default_factory=list)
    init_from: str | None = None
    evaluate: str | None = ranged(
        None, lambda value: value in (None, *EVALUATE), " or ".join(EVALUATE)
    )
    early_stopping: StoppingConfig | None = field(default_factory=StoppingConfig)
    best_weights: bool | str = False
    ema: float | None = ranged(
        None, lambda value: value is None or 0 <= value < 1, "at least 0 and below 1"
    )
    accumulate: int = ranged(1, lambda value: value >= 1, "at least 1")
    callbacks: list[Any] = field(default_factory=list)
    trackers: list[Any] = field(default_factory=list)
    profile: bool = False
    diagnostics: bool = False
    checkpoint: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    sweep: SweepConfig = field(default_factory=SweepConfig)


def classes_of(group: str, name: str) -> tuple[type, ...]:
    """Return the dataclasses whose fields are the options of a choice of a group."""
    if group == "impl":
        return (ImplConfig,)
    if group == "data":
        from cnnexp.data.dataset import Preparation

        return (TABLES[group][name], Preparation)
    return (TABLES[group][name],)


def defaults_of(*classes: type) -> Plain:
    """Return the options of some dataclasses with their defaults; MISSING where one has none."""
    known = [cls for cls in classes if dataclasses.is_dataclass(cls)]
    return {each.name: default_value(each) for cls in known for each in dataclasses.fields(cls)}


def option_names(group: str, name: str) -> list[str]:
    """Return the options of a choice of a group; none if there is no such choice."""
    known = name in TABLES.get(group, ())
    return list(defaults_of(*classes_of(group, name))) if known else []


def config_at(path: str) -> DictConfig | None:
    """Return the keys and defaults that Hydra finds under the name of a config, if there are any.

    Under ``schema/GROUP/NAME`` and ``GROUP/NAME`` these are the options of a choice of a group.
    """
    group, _, name = path.removeprefix(f"{SCHEMA}/").partition("/")
    if path == f"{SCHEMA}/config":
        return _root()
    if path == f"{SCHEMA}/impl":  # the same for all of them
        return closed({"name": "fast"} | defaults_of(ImplConfig))
    if name in TABLES.get(group, ()):
        return closed({"name": name} | defaults_of(*classes_of(group, name)))
    return None


def closed(keys: Plain) -> DictConfig:
    """Return settings to which no key can be added."""
    closed = OmegaConf.create(keys)
    OmegaConf.set_struct(closed, True)
    return closed


def _root() -> DictConfig:
    """Return the keys of the whole config, of a type, so that Hydra's own beside them stay open."""
    found = defaults_of(Config)
    keys = dataclasses.make_dataclass("Config", [(key, Any) for key in found])
    root: DictConfig = OmegaConf.structured(keys(**found))
    for key, value in found.items():
        if isinstance(value, dict):
            OmegaConf.set_struct(root[key], True)
    # A layer may get options that its preset does not name; our own check looks at them.
    OmegaConf.set_struct(root.model.layers, False)
    OmegaConf.set_struct(root.augment.transforms, False)
    return root
