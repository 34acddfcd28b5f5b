"""One run, from a checked config to a finished folder.

Whoever calls `begin` or `go_on` holds the folder: nobody else writes in it meanwhile.
"""

from __future__ import annotations

import logging
import math
import shlex
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from cnnexp.app.locations import near
from cnnexp.app.running.planned import CHANGED, Planned
from cnnexp.app.running.progress import Progress, announce
from cnnexp.app.running.tracking import Trackers, telling
from cnnexp.app.running.tuning import micro_batch_for
from cnnexp.app.screen import warn
from cnnexp.app.settings.check import recheck
from cnnexp.app.settings.check_model import Images
from cnnexp.app.settings.doubts import doubts_about
from cnnexp.app.settings.options import Plain
from cnnexp.app.stopping import Interrupted, StopRequest, stop_on_signals
from cnnexp.data import Dataset
from cnnexp.errors import RunError, foreign
from cnnexp.nn.network import Network
from cnnexp.registry import made
from cnnexp.runs import checkpoint, code, rebuild
from cnnexp.runs.checkpoint import Checkpoint
from cnnexp.runs.per_class import Classified
from cnnexp.runs.reading import load_run
from cnnexp.runs.record import Record, described, sources_in
from cnnexp.runs.record_parts import DataRecord, Origin
from cnnexp.runs.recording import recorded
from cnnexp.runs.writing import RunWriter
from cnnexp.train import (
    CALLBACKS,
    OPTIMIZERS,
    SCHEDULES,
    BatchDone,
    Diverged,
    EarlyStopping,
    EpochDone,
    Trainer,
)

log = logging.getLogger("cnnexp")

Tune = Callable[[Plain, Network, Dataset], int]


def begin(folder: Path, record: Record, label: str = "", planned: Planned | None = None) -> Record:
    """Carry out a new run; its ``run.json`` is written before anything is read.

    Parameters
    ----------
    folder : Path
        The run folder; it exists.
    record : Record
        What ``run.json`` says at the start, with the checked config.
    label : str
        Stands before every line that is printed.
    planned : Planned, optional
        What a sweep knows of the run.

    Returns
    -------
    Record
        As it is at the end.

    Raises
    ------
    Interrupted
        If a signal ended the run; all was saved before.
    CnnexpError
        If the data or the weights that the config names cannot be used.
    """
    with stop_on_signals() as stop, recorded(folder, record, warn) as writer:
        if not (label or planned):  # a sweep shows its jobs otherwise
            announce(record.config, near(folder))
        changes = planned.changes if planned else code.changes(record.environment, folder)
        code.keep(folder, changes, sources_in(record) or [])
        tune = planned.size if planned else micro_batch_for
        trainer, writer.record = prepare(folder, writer.record, tune=tune)
        writer.write()
        for line in _remarks(trainer.dataset, record.config):
            log.info(line)
            if not planned:  # a sweep says it for all jobs
                warn(line)
        if planned and writer.record.fingerprint != planned.fingerprint:
            raise RunError(f"its data, or the code that its plugins name, {CHANGED}")
        train_to_the_end(trainer, writer, stop, label)
    return _unless_interrupted(writer.record)


def _remarks(dataset: Dataset, config: Plain) -> list[str]:
    """Return what a user may not expect of a data set."""
    notes = [f"note: {dataset.notice}"] if dataset.notice else []
    return notes + [f"warning: {doubt}" for doubt in doubts_about(config, dataset)]


def go_on(folder: Path, record: Record, saved: Checkpoint | None, label: str = "") -> Record:
    """Carry out the rest of a run, from a checkpoint, or from its start where there is none.

    Parameters and results are those of `begin`. Nothing is written before the data are read and
    found to be the same: what cannot go on stays as it is.
    """
    with stop_on_signals() as stop:
        trainer, record = prepare(folder, record, saved, micro_batch_for)
        with recorded(folder, record, warn) as writer:
            writer.rewind(saved)
            train_to_the_end(trainer, writer, stop, label)
    return _unless_interrupted(writer.record)


def _unless_interrupted(record: Record) -> Record:
    if record.status == "interrupted":
        raise Interrupted
    return record


def prepare(
    folder: Path, record: Record, saved: Checkpoint | None = None, tune: Tune | None = None
) -> tuple[Trainer, Record]:
    """Load the data, build the network, put both to where a checkpoint was.

    Returns
    -------
    Trainer, Record
        What trains, and the record with data and network in it.

    Raises
    ------
    RunError
        If data or initial weights are not those that the record names.
    """
    config = record.config
    dataset = rebuild.plan_dataset(config).load()
    _expect_same(record, "data", record.data, dataset.checksum)
    if saved is None:
        recheck(config, Images.of(dataset))
    kept = ("micro_batch", "inference_micro_batch")
    overrides = {key: size for key, size in (record.network or {}).items() if key in kept}
    largest = checkpoint.largest_array(saved) if saved is not None else None
    network = rebuild.build_network(config, dataset.image_shape, largest, **overrides)
    if tune is not None and not overrides:
        network.suit_batches(config["batch_size"])  # before: it leaves alone what is set later
        network.micro_batch = tune(config, network, dataset)
    trainer = build_trainer(config, network, dataset)
    if saved is not None:
        checkpoint.check_fits(folder, saved, trainer.snapshot())
        with foreign(folder / checkpoint.FILE):
            trainer.restore(saved["training"])
    elif config["init_from"] is not None:
        run = load_run(config["init_from"])
        _expect_same(record, "init_from", record.init_from, run.weights_checksum)
        network.load_weights(run.weights)
        record = replace(record, init_from={"checksum": run.weights_checksum})
    return trainer, described(record, dataset, network)


def _expect_same(
    record: Record, what: str, recorded: Origin | DataRecord | None, found: str
) -> None:
    """Refuse to go on with other data, or from other weights, than the run began with."""
    before = recorded.get("checksum", found) if recorded else found
    if before != found:
        if again := record.rerun_of:
            raise RunError(
                f"{what}: not what {again} was trained on. Expected {before}, found {found}. Put"
                " the files back, or name what to train on instead: data=…, data.file=… or"
                " init_from=…"
            )
        raise RunError(
            f"{what}: not what this run began with, so it cannot go on. Expected {before}, found"
            f" {found}. Put the files back, or start a new run."
        )


def build_trainer(config: Plain, network: Network, dataset: Dataset) -> Trainer:
    """Make the trainer that a config asks for."""
    stopping = config["early_stopping"]
    return Trainer(
        network,
        dataset,
        made(OPTIMIZERS, config["optimizer"], "name"),
        made(SCHEDULES, config["schedule"], "name"),
        learning_rate=config["learning_rate"],
        epochs=config["epochs"],
        batch_size=config["batch_size"],
        seed=config["seed"],
        evaluate=config["evaluate"],
        early_stopping=EarlyStopping(**stopping) if stopping else None,
        best_weights=config["best_weights"],
        ema=config["ema"],
        accumulate=config["accumulate"],
        callbacks=[made(CALLBACKS, options, "type") for options in config["callbacks"]],
        diagnose=config["diagnostics"],
        augmentations=rebuild.build_augmentations(config),
    )


def train_to_the_end(trainer: Trainer, writer: RunWriter, stop: StopRequest, label: str) -> None:
    """Train, and write the weights and how the run ended."""
    log.info("\n%s", trainer.network.summary())
    writer.open_logs(
        trainer.network.figures, trainer.dataset.validation is not None, trainer.diagnose
    )
    if writer.record.config["profile"]:
        writer.watch(trainer.network.profile())
    if not (trainer.state.epoch or trainer.state.batch):
        writer.weights_at(0, trainer.network.weights())
    with telling(writer, label) as trackers:
        with warnings.catch_warnings():
            # A figure that is not finite ends the run, and that is said; NumPy need not add to it.
            warnings.filterwarnings("ignore", r".* encountered in ", RuntimeWarning)
            status, reason = train(trainer, writer, trackers, stop, label)
        if status == "finished":
            save_classes(trainer, writer)
        writer.save_weights(trainer.kept_weights())
        trackers.end(status)
    log.info("%s%s", status, f": {reason}" if reason else "")
    writer.finish(status, reason)


def save_classes(trainer: Trainer, writer: RunWriter) -> None:
    """Write what was taken for what, where there are classes."""
    parts = {}
    for part in ("validation", "test") if trainer.dataset.classes else ():
        samples = getattr(trainer.dataset, part)
        predicted = None if samples is None else trainer.predicted(part)
        if predicted is not None:
            parts[part] = Classified(samples.Y, predicted)
    if parts:
        writer.save_classes(parts, trainer.dataset.classes)


def train(
    trainer: Trainer, writer: RunWriter, trackers: Trackers, stop: StopRequest, label: str
) -> tuple[str, str | None]:
    """Take the events of a training to the logs and to the screen, and say how it ended."""
    with Progress(trainer.epochs, trainer.batches_per_epoch, label) as progress:
        progress.begin(trainer.state.epoch, trainer.state.batch)
        losses: dict[int, float] = {}  # by epoch
        for event in trainer.events():
            if isinstance(event, BatchDone):
                writer.batch_done(event, trainer.snapshot)
                progress.batch_done(event)
            elif isinstance(event, EpochDone):
                trackers.epoch_done(writer.epoch_done(event, trainer.snapshot))
                progress.epoch_done(event)
                losses[event.epoch] = event.train["loss"]
                log.info("%s", event)
                if (diverged := _after_an_epoch(event, trainer)) is not None:
                    return _diverged(diverged, progress)
            elif isinstance(event, Diverged):
                return _diverged(event, progress)
            if stop.asked and not trainer.done:
                writer.checkpoint(trainer.snapshot())
                folder = near(writer.folder)
                progress.say(f"interrupted; what was learnt is kept in {folder}")
                progress.say(f"to go on: python -m cnnexp resume {shlex.quote(folder)}")
                return "interrupted", None
        if not trainer.best_weights and (collapse := collapsed(losses)):
            progress.say(collapse)
        return "finished", _say_what_is_kept(trainer, progress)


def _say_what_is_kept(trainer: Trainer, progress: Progress) -> str | None:
    """Say whose weights are kept, and return why the training stopped early."""
    state = trainer.state
    reason = f"stopped early: {state.stopped}" if state.stopped else None
    if reason is not None:
        progress.say(reason)
    if trainer.best_weights and state.best is not None:
        best = state.best
        progress.say(f"kept: the weights of epoch {best.epoch}, {best.metric} {best.value:.4f}")
    return reason


def collapsed(losses: Mapping[int, float]) -> str:
    """Say that a network learnt, and then lost what it had learnt; empty if it did not.

    Examples
    --------
    >>> collapsed({1: 0.9, 2: 0.1, 3: 2.3})
    'note: the train loss was 0.1000 in epoch 2 and is 2.3000 now: a smaller learning_rate may help'
    >>> collapsed({1: 0.9, 2: 0.1, 3: 0.2})
    ''
    """
    best = min(losses, key=lambda epoch: losses[epoch], default=None)
    last = losses[max(losses)] if losses else 0.0
    if best is None or last < 1 or last < 5 * losses[best]:
        return ""
    return (
        f"note: the train loss was {losses[best]:.4f} in epoch {best} and is {last:.4f} now:"
        " a smaller learning_rate may help"
    )


def _after_an_epoch(event: EpochDone, trainer: Trainer) -> Diverged | None:
    """Return a divergence that only the samples show which are evaluated."""
    for part in ("test", "validation"):
        figures = getattr(event, part)
        if figures is not None and not math.isfinite(figures["loss"]):
            reason = f"the loss on the {part} samples is {figures['loss']}"
            return Diverged(event.epoch, trainer.batches_per_epoch, reason)
    return None


def _diverged(event: Diverged, progress: Progress) -> tuple[str, str]:
    """Say where and why a run diverged."""
    reason = f"epoch {event.epoch}, batch {event.batch}: {event.reason}"
    progress.say(f"diverged in {reason}; a smaller learning_rate may help")
    return "diverged", reason
