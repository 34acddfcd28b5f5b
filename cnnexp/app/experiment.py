"""One run, from a checked config to a finished folder."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cnnexp.app.check import Images, Plain, check_model
from cnnexp.app.progress import Progress
from cnnexp.app.stopping import Interrupted, StopRequest, stop_on_signals
from cnnexp.data import Dataset
from cnnexp.errors import CnnexpError, ConfigError
from cnnexp.registry import Registry
from cnnexp.runs import checkpoint, fingerprint, rebuild
from cnnexp.runs.reading import load_run
from cnnexp.runs.record import Record
from cnnexp.runs.writing import RunWriter
from cnnexp.train import OPTIMIZERS, SCHEDULES, BatchDone, Diverged, EpochDone, Trainer

log = logging.getLogger("cnnexp")

Thing = TypeVar("Thing")


def carry_out(
    folder: Path, record: Record, label: str = "", saved: dict[str, Any] | None = None
) -> Record:
    """Train what a record asks for, in its folder, and return the record as it is at the end.

    Parameters
    ----------
    folder : Path
        The run folder; it exists.
    record : dict
        What ``run.json`` says at the start, with the checked config.
    label : str
        Stands before every line that is printed.
    saved : dict, optional
        A checkpoint to go on from.

    Raises
    ------
    Interrupted
        If a signal ended the run; all was saved before.
    CnnexpError
        If the data or the weights that the config names cannot be used.
    """
    config: Plain = record["config"]
    policy = checkpoint.CheckpointPolicy(**config["checkpoint"])
    with logged(folder), stop_on_signals() as stop:
        writer = RunWriter(folder, record, policy)
        if record["resumed"]:
            writer.rewind(saved)
        try:
            trainer = prepare(config, record, writer)
            if saved is not None:
                trainer.restore(saved["training"])
            status, reason = train(trainer, writer, stop, label)
            writer.save_weights(trainer.network.weights())
        except CnnexpError as error:
            log.error("%s", error)
            writer.finish("failed", str(error))
            raise
        except BaseException as error:
            log.error("%s", traceback.format_exc())
            writer.finish("failed", f"{type(error).__name__}: {error}")
            raise
        writer.finish(status, reason)
        log.info("%s%s", status, f": {reason}" if reason else "")
    if status == "interrupted":
        raise Interrupted
    return record


def prepare(config: Plain, record: Record, writer: RunWriter) -> Trainer:
    """Load the data and build the network, and note both in the record."""
    dataset = rebuild.build_dataset(config)
    recheck(config, dataset)
    used = record["network"] or {}
    overrides = {"sub_batch": used["sub_batch"]} if used else {}
    network = rebuild.build_network(config, dataset.image_shape, **overrides)
    if config["init_from"] is not None:
        network.load_weights(load_run(config["init_from"]).weights)
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
        "sub_batch": network.sub_batch,
    }
    record["config_hash"] = fingerprint.config_hash(config)
    record["fingerprint"] = fingerprint.fingerprint(config, dataset.checksum)
    writer.write()
    writer.open_logs(dataset.validation is not None)
    log.info("\n%s", network.summary())
    return build_trainer(config, network, dataset)


def build_trainer(config: Plain, network: Any, dataset: Dataset) -> Trainer:
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


def recheck(config: Plain, dataset: Dataset) -> None:
    """Check the model against the images that were read; some sources tell only now."""
    faults: list[str] = []
    images = Images(dataset.name, dataset.image_shape, len(dataset.classes))
    check_model(config, images, faults)
    if faults:
        raise ConfigError(faults)


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
            elif isinstance(event, Diverged):
                progress.say(
                    f"diverged in epoch {event.epoch}, batch {event.batch}: {event.reason}"
                )
                return "diverged", f"epoch {event.epoch}, batch {event.batch}: {event.reason}"
            if stop.asked and trainer.state.epoch < trainer.epochs:
                writer.checkpoint(trainer.snapshot())
                progress.say("interrupted; what was learnt is kept")
                return "interrupted", None
    return "finished", None


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write what is logged to ``train.log`` in a run folder."""
    handler = logging.FileHandler(folder / "train.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
