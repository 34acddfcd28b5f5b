"""One run, from a checked config to a finished folder.

Whoever calls `begin` or `go_on` holds the folder: nobody else writes in it meanwhile.
"""

from __future__ import annotations

import io
import logging
import math
import shlex
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from cnnexp.app.check import Plain
from cnnexp.app.check_model import Images, check_model
from cnnexp.app.init_from import weights_faults
from cnnexp.app.locations import near
from cnnexp.app.progress import Progress
from cnnexp.app.stopping import Interrupted, StopRequest, stop_on_signals
from cnnexp.data import Dataset
from cnnexp.errors import CnnexpError, ConfigError, RunError, foreign
from cnnexp.nn.network import Network
from cnnexp.registry import Registry
from cnnexp.runs import checkpoint, rebuild
from cnnexp.runs.checkpoint import Checkpoint, CheckpointPolicy
from cnnexp.runs.files import open_to_append
from cnnexp.runs.fingerprint import config_hash, fingerprint
from cnnexp.runs.reading import load_run
from cnnexp.runs.record import Record
from cnnexp.runs.writing import RunWriter
from cnnexp.train import OPTIMIZERS, SCHEDULES, BatchDone, Diverged, EpochDone, Trainer

log = logging.getLogger("cnnexp")

Thing = TypeVar("Thing")


def begin(folder: Path, record: Record, label: str = "") -> Record:
    """Carry out a new run; its ``run.json`` is written before anything is read.

    Parameters
    ----------
    folder : Path
        The run folder; it exists.
    record : dict
        What ``run.json`` says at the start, with the checked config.
    label : str
        Stands before every line that is printed.

    Returns
    -------
    dict
        The record as it is at the end.

    Raises
    ------
    Interrupted
        If a signal ended the run; all was saved before.
    CnnexpError
        If the data or the weights that the config names cannot be used.
    """
    with logged(folder), stop_on_signals() as stop, recorded(folder, record) as writer:
        trainer = prepare(folder, record)
        writer.write()
        train_to_the_end(trainer, writer, stop, label)
    return _unless_interrupted(record)


def go_on(folder: Path, record: Record, saved: Checkpoint | None, label: str = "") -> Record:
    """Carry out the rest of a run, from a checkpoint, or from its start where there is none.

    Parameters and results are those of `begin`. Nothing is written before the data are read and
    found to be the same: what cannot go on stays as it is.
    """
    with stop_on_signals() as stop:
        trainer = prepare(folder, record, saved)
        with logged(folder), recorded(folder, record) as writer:
            writer.rewind(saved)
            train_to_the_end(trainer, writer, stop, label)
    return _unless_interrupted(record)


def _unless_interrupted(record: Record) -> Record:
    if record["status"] == "interrupted":
        raise Interrupted
    return record


@contextmanager
def recorded(folder: Path, record: Record) -> Iterator[RunWriter]:
    """Give a writer for a folder, and record an error that ends the run."""
    writer = RunWriter(folder, record, CheckpointPolicy(**record["config"]["checkpoint"]))
    try:
        yield writer
    except CnnexpError as error:
        log.error("%s", error)
        writer.finish("failed", str(error))
        raise
    except (KeyboardInterrupt, SystemExit):
        writer.finish("interrupted")
        raise
    except BaseException as error:
        log.error("%s", traceback.format_exc())
        writer.finish("failed", f"{type(error).__name__}: {error}")
        raise


def prepare(folder: Path, record: Record, saved: Checkpoint | None = None) -> Trainer:
    """Load the data, build the network, put both to where a checkpoint was, and note them.

    Raises
    ------
    RunError
        If data or initial weights are not those that the record names.
    """
    config: Plain = record["config"]
    dataset = rebuild.build_dataset(config)
    _expect_same(record, "data", dataset.checksum)
    if saved is None:
        images = Images(dataset.name, dataset.image_shape, len(dataset.classes))
        recheck(config, images)
    used = record["network"]
    kept = ("micro_batch", "inference_micro_batch")
    overrides = {key: used[key] for key in kept if used and key in used}
    largest = checkpoint.largest_array(saved) if saved is not None else None
    network = rebuild.build_network(config, dataset.image_shape, largest, **overrides)
    trainer = build_trainer(config, network, dataset)
    if saved is not None:
        checkpoint.check_fits(folder, saved, trainer.snapshot())
        with foreign(folder / checkpoint.FILE):
            trainer.restore(saved["training"])
    elif config["init_from"] is not None:
        run = load_run(config["init_from"])
        _expect_same(record, "init_from", run.weights_checksum)
        network.load_weights(run.weights)
        record["init_from"] = {"checksum": run.weights_checksum}
    describe(record, dataset, network)
    return trainer


def _expect_same(record: Record, what: str, found: str) -> None:
    """Refuse to go on with other data, or from other weights, than the run began with."""
    before = (record[what] or {}).get("checksum", found)
    if before != found:
        raise RunError(
            f"{what}: not what this run began with, so it cannot go on. Expected {before}, found"
            f" {found}. Put the files back, or start a new run."
        )


def describe(record: Record, dataset: Dataset, network: Network) -> None:
    """Note the data and the network in a record, and the fingerprint that follows from them."""
    config = record["config"]
    record["data"] = {
        "checksum": dataset.checksum,
        "train": dataset.train.count,
        "validation": dataset.validation.count if dataset.validation else 0,
        "test": dataset.test.count,
        "classes": list(dataset.classes),
    }
    record["network"] = {
        "input_shape": list(network.input_shape),
        "parameters": network.parameter_count,
        "multiply_adds": sum(layer.multiply_adds for layer in network.layers),
        "threads": network.threads,
        "micro_batch": network.micro_batch,
        "inference_micro_batch": network.inference_micro_batch,
    }
    record["config_hash"] = config_hash(config)
    if record["fingerprint"] is None:
        weights = (record["init_from"] or {}).get("checksum")
        record["fingerprint"] = fingerprint(config, dataset.checksum, weights)


def build_trainer(config: Plain, network: Network, dataset: Dataset) -> Trainer:
    """Make the trainer that a config asks for."""
    return Trainer(
        network,
        dataset,
        _made(OPTIMIZERS, config["optimizer"]),
        _made(SCHEDULES, config["schedule"]),
        learning_rate=config["learning_rate"],
        epochs=config["epochs"],
        batch_size=config["batch_size"],
        seed=config["seed"],
    )


def _made(table: Registry[type[Thing]], options: Plain) -> Thing:
    """Make what a group names, with its options."""
    return table[options["name"]](**{k: v for k, v in options.items() if k != "name"})


def recheck(config: Plain, images: Images) -> None:
    """Check the model against the images that were read; some sources tell only now.

    Raises
    ------
    ConfigError
        With all faults.
    """
    faults: list[str] = []
    check_model(config, images, faults)
    if not faults:
        faults += weights_faults(config, images.shape)
    if faults:
        raise ConfigError(faults)


def train_to_the_end(trainer: Trainer, writer: RunWriter, stop: StopRequest, label: str) -> None:
    """Train, and write the weights and how the run ended."""
    log.info("\n%s", trainer.network.summary())
    writer.open_logs(trainer.network.figures, trainer.dataset.validation is not None)
    if writer.record["config"]["profile"]:
        writer.watch(trainer.network.profile())
    if not (trainer.state.epoch or trainer.state.batch):
        writer.weights_at(0, trainer.network.weights())
    with warnings.catch_warnings():
        # A figure that is not finite ends the run, and that is said; NumPy need not add to it.
        warnings.filterwarnings("ignore", r".* encountered in ", RuntimeWarning)
        status, reason = train(trainer, writer, stop, label)
    writer.save_weights(trainer.network.weights())
    log.info("%s%s", status, f": {reason}" if reason else "")
    writer.finish(status, reason)


def train(
    trainer: Trainer, writer: RunWriter, stop: StopRequest, label: str
) -> tuple[str, str | None]:
    """Take the events of a training to the logs and to the screen, and say how it ended."""
    with Progress(trainer.epochs, trainer.batches_per_epoch, label) as progress:
        progress.begin(trainer.state.epoch, trainer.state.batch)
        for event in trainer.events():
            if isinstance(event, BatchDone):
                writer.batch_done(event, trainer.snapshot)
                progress.batch_done(event)
            elif isinstance(event, EpochDone):
                writer.epoch_done(event, trainer.snapshot)
                progress.epoch_done(event)
                log.info("%s", event)
                if not math.isfinite(event.test["loss"]):
                    return _diverged(_after_an_epoch(event, trainer), progress)
            elif isinstance(event, Diverged):
                return _diverged(event, progress)
            if stop.asked and trainer.state.epoch < trainer.epochs:
                writer.checkpoint(trainer.snapshot())
                folder = near(writer.folder)
                progress.say(f"interrupted; what was learnt is kept in {folder}")
                progress.say(f"to go on: python -m cnnexp resume {shlex.quote(folder)}")
                return "interrupted", None
    return "finished", None


def _after_an_epoch(event: EpochDone, trainer: Trainer) -> Diverged:
    """Return a divergence that only the test samples show."""
    batches = trainer.batches_per_epoch
    return Diverged(event.epoch, batches, f"the loss on the test samples is {event.test['loss']}")


def _diverged(event: Diverged, progress: Progress) -> tuple[str, str]:
    """Say where and why a run diverged."""
    reason = f"epoch {event.epoch}, batch {event.batch}: {event.reason}"
    progress.say(f"diverged in {reason}; a smaller learning_rate may help")
    return "diverged", reason


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write what is logged to ``train.log`` in a run folder."""
    file = io.TextIOWrapper(open_to_append(folder / "train.log"), "utf-8")
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
        file.close()
