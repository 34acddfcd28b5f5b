"""The types of all settings, for OmegaConf to check.

The options of layers, optimizers, schedules and data sets are the fields of their own dataclasses;
here they are only put under the names that the config groups use. The schemas stand in a group of
their own, so that they do not show up as options of another.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from cnnexp.data import SOURCES
from cnnexp.data.dataset import Preparation
from cnnexp.errors import OptionError, did_you_mean
from cnnexp.nn.losses import LOSSES, METRICS
from cnnexp.runs import version1
from cnnexp.runs.checkpoint import CheckpointPolicy
from cnnexp.train import OPTIMIZERS, SCHEDULES

RERUNS = ("failed", "diverged", "all")
ISOLATIONS = ("warm", "fresh")


TABLES: dict[str, Any] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES}


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
        What the network learns to give: the labels of its samples, or the samples themselves, as
        an autoencoder does.
    """

    name: str = ""
    target: str = "label"
    layers: list[Any] = field(default_factory=list)


@dataclass
class AugmentConfig:
    """What is done to the images that are trained on: a name, and transforms in their order."""

    name: str = "none"
    transforms: list[Any] = field(default_factory=list)


@dataclass
class ImplConfig:
    """An implementation, and how a mini-batch is divided among its workers.

    Parameters
    ----------
    name : str
        What computes the layers; ``impl=NAME`` chooses it.
    threads : int or "auto"
        Workers that share the micro-batches. Results do not depend on it.
    micro_batch : int or "auto"
        Samples of a micro-batch in training. Results depend on it in their last bits.
    inference_micro_batch : int or "auto"
        Samples of a micro-batch where no backward pass follows.
    fuse : bool
        Whether it may compute layers that belong together as one step.
    """

    name: str = "fast"
    threads: Any = "auto"  # not int | str, of which OmegaConf would say no more than that
    micro_batch: Any = "auto"
    inference_micro_batch: Any = "auto"
    fuse: bool = True

    def __post_init__(self) -> None:
        for name in ("threads", "micro_batch", "inference_micro_batch"):
            value = getattr(self, name)
            if value != "auto" and (type(value) is not int or value < 1):
                raise OptionError(
                    f"{name} must be 'auto' or a number of at least 1. Got {value!r}."
                )


@dataclass
class StoppingConfig:
    """Early stopping, as in `cnnexp.train.EarlyStopping`; off while `patience` is null."""

    patience: int | None = None
    metric: str | None = None
    min_delta: float = 0.0


@dataclass
class SweepConfig:
    """Where a sweep lies, what it runs again, and what a search minimises.

    Parameters
    ----------
    dir : str
        The folder of the sweep; the same one again runs only what is missing.
    rerun : {"failed", "diverged", "all"}
        Which jobs that have ended are run again: failed ones, diverged ones as well, or all.
    objective : str, optional
        The figure that a search minimises; null: ``validation_error``, or ``validation_loss``.
    search_on_test : bool
        Whether the objective may be a figure of the test samples.
    jobs : int or "auto"
        How many jobs run side by side, each with its share of the cores; auto: one for each core,
        8 at most, and one alone where options of impl are varied, whose times are compared.
    isolation : {"warm", "fresh"}
        Whether the process of a job is forked from one that has imported what runs need, on
        Linux, or starts Python anew.
    points : list of settings
        Combinations to try, each ``{key: value, …}``; a value that is a list is swept over within
        its combination. All are taken with each combination of other values that are swept.
    """

    dir: str = ""
    rerun: str = "failed"
    objective: str | None = None
    search_on_test: bool = False
    jobs: int | str = "auto"
    isolation: str = "warm"
    points: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.rerun not in RERUNS:
            raise OptionError(f"rerun must be one of {', '.join(RERUNS)}. Got '{self.rerun}'.")
        if self.jobs != "auto" and not (isinstance(self.jobs, int) and self.jobs >= 1):
            raise OptionError(f"jobs must be auto, or at least 1. Got {self.jobs!r}.")
        if self.isolation not in ISOLATIONS:
            raise OptionError(
                f"isolation must be one of {', '.join(ISOLATIONS)}. Got '{self.isolation}'."
            )
        names = figure_names()
        if self.objective is not None and self.objective not in names:
            near = version1.new_name(self.objective)
            hint = f" Did you mean '{near}'?" if near in names else did_you_mean(near, names)
            raise OptionError(
                f"objective: no figure of a run is named '{self.objective}'.{hint}"
                f" Figures: {', '.join(names)}."
            )


def figure_names() -> list[str]:
    """Return the names of all figures of a run that can be minimised."""
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
        What computes it: ``impl=NAME``.
    data : group
        The data set: ``data=NAME``.
    optimizer : group
        How a gradient becomes a step: ``optimizer=NAME``.
    schedule : group
        How the learning rate changes: ``schedule=NAME``.
    loss : group
        What training minimises: ``loss=NAME``.
    augment : group
        How the images that are trained on are changed: ``augment=NAME``, or a list of transforms.
    metrics : list of str
        Figures to log beside those that suit the loss: ``metrics=[top_3_error]``.
    learning_rate : float, optional
        Factor of every step, before the schedule's; null: the optimizer's own default.
    epochs : int
        How often training sees every sample.
    batch_size : int, optional
        Samples of a mini-batch; null: 16 to 128, by the number of samples.
    seed : int
        Of initial weights, of the order of samples and of dropout.
    dtype : {"float32", "float64"}
        Type of parameters and of all arithmetic.
    name : str
        What the run is called, for people.
    note : str
        What is worth knowing about it.
    tags : list of str
        Words to find it by: ``compare --where 'tags.str.contains("best")'``.
    plugins : list of str
        Modules of yours that register layers, losses, optimizers, data sets and so on.
    init_from : str, optional
        A run whose weights to begin from: its folder, or the file ``weights.pkl`` in it.
    evaluate : {"each_epoch", "at_end"}, optional
        When the test part is evaluated; null: at the end if anything is chosen by the validation
        part, else after each epoch.
    early_stopping : group
        When a run ends before its last epoch.
    best_weights : bool or str
        Whether the weights of the best epoch are kept, by the error or the loss of the validation
        part, or by the figure named here.
    ema : float, optional
        Decay of an exponential moving average of the weights, which is evaluated and kept.
    accumulate : int
        Mini-batches whose gradients make one step of the optimizer.
    callbacks : list of str or mapping
        What training calls on its way: ``callbacks=[NAME]``.
    trackers : list of str or mapping
        Programs of others that are told of the run: ``trackers=[tensorboard]``.
    profile : bool
        Whether to time every layer, into ``layers.csv``.
    diagnostics : bool
        Whether gradients, updates and dead units are logged, into ``diagnostics.csv``.
    checkpoint : group
        When checkpoints are written.
    sweep : group
        Where a sweep lies, and what it runs again.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    impl: Any = None
    data: Any = None
    optimizer: Any = None
    schedule: Any = None
    loss: Any = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    metrics: list[str] = field(default_factory=list)
    learning_rate: float | None = None
    epochs: int = 4
    batch_size: int | None = None
    seed: int = 0
    dtype: str = "float32"
    name: str = ""
    tags: list[str] = field(default_factory=list)
    note: str = ""
    plugins: list[str] = field(default_factory=list)
    init_from: str | None = None
    evaluate: str | None = None
    early_stopping: StoppingConfig | None = field(default_factory=StoppingConfig)
    best_weights: bool | str = False
    ema: float | None = None
    accumulate: int = 1
    callbacks: list[Any] = field(default_factory=list)
    trackers: list[Any] = field(default_factory=list)
    profile: bool = False
    diagnostics: bool = False
    checkpoint: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    sweep: SweepConfig = field(default_factory=SweepConfig)


def joined(name: str, *classes: type) -> type:
    """Return a dataclass with a name and the fields of several dataclasses."""
    fields: list[Any] = [("name", str, field(default=name))]
    for cls in (cls for cls in classes if dataclasses.is_dataclass(cls)):
        hints = typing.get_type_hints(cls)
        fields += [(f.name, hints[f.name], _default(f)) for f in dataclasses.fields(cls)]
    return dataclasses.make_dataclass(f"{name}_options", fields)


def _default(given: dataclasses.Field[Any]) -> Any:
    """Return a field with the same default; one without has to be given."""
    if given.default_factory is not dataclasses.MISSING:
        return field(default_factory=given.default_factory)
    required = given.default is dataclasses.MISSING
    return field(default="???" if required else given.default)


_stored: dict[tuple[str, str], tuple[type, ...]] = {}  # what Hydra's store has already


def register_schemas() -> None:
    """Put the schemas into Hydra's store that are not there yet."""
    if not _stored:
        store = ConfigStore.instance()
        store.store(group="schema", name="config", node=_root())
        store.store(group="schema", name="impl", node=ImplConfig)
    for name in SOURCES:
        _store("data", name, SOURCES[name], Preparation)
    for group, table in TABLES.items():
        for name in table:
            _store(group, name, table[name])


def exchange(stored: dict[tuple[str, str], tuple[type, ...]]) -> Any:
    """Say which schemas Hydra's store has, when another one takes its place; return the others."""
    before = dict(_stored)
    _stored.clear()
    _stored.update(stored)
    return before


def _root() -> Any:
    """Return the schema of the whole config."""
    root = OmegaConf.structured(Config)
    # A layer may get options that its preset does not name; our own check looks at them.
    OmegaConf.set_struct(root.model.layers, False)
    OmegaConf.set_struct(root.augment.transforms, False)
    return root


def _store(group: str, name: str, *classes: type) -> None:
    if _stored.get((group, name)) != classes:
        ConfigStore.instance().store(
            group=f"schema/{group}", name=name, node=joined(name, *classes)
        )
        _stored[group, name] = classes
