"""Writing a run folder while the run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp.runs import (
    checkpoint,
    checksums,
    environment,
    histograms,
    kept_weights,
    per_class,
    pickles,
)
from cnnexp.runs.checksums import WEIGHTS
from cnnexp.runs.files import (
    CsvLog,
    Prefix,
    checksum,
    keep_rows,
    read_bytes,
    remove_leftovers,
    replace_csv,
)
from cnnexp.runs.heartbeat import Heartbeat
from cnnexp.runs.policy import CheckpointPolicy
from cnnexp.runs.record import Record, now, write_record
from cnnexp.runs.record_parts import CheckpointEntry, Checksums

if TYPE_CHECKING:
    from cnnexp.nn.profile import Profile, ProfileRow

HEARTBEAT = 10.0  # seconds between signs of life
TIMES = ("learning_rate", "seconds", "eval_seconds", "samples_per_second")
PARTS = ("train", "test", "validation")
EPOCHS, BATCHES = "epochs.csv", "batches.csv"
HISTOGRAMS, LAYERS, DIAGNOSTICS = histograms.FILE, "layers.csv", "diagnostics.csv"
LOGS = (EPOCHS, BATCHES, HISTOGRAMS, DIAGNOSTICS)
DIAGNOSTIC_COLUMNS = (
    "epoch",
    "name",
    "gradient_norm",
    "weight_norm",
    "update_ratio",
    "dead_fraction",
)
LAYER_COLUMNS = (
    "layer",
    "type",
    "output_shape",
    "parameters",
    "multiply_adds",
    "forward_seconds",
    "backward_seconds",
    "gflops",
    "cache_bytes",
)


def columns_of(part: str, figures: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a part of the data set, for example ``test_loss``."""
    return tuple(f"{part}_{name}" for name in figures)


class RunWriter:
    """Keeps the files of one run up to date.

    Parameters
    ----------
    folder : Path
        The run folder; it belongs to this process alone.
    record : Record
        What ``run.json`` says; written at once.
    policy : CheckpointPolicy
        When checkpoints are written.

    Attributes
    ----------
    record : Record
        What ``run.json`` is to say when it is next written by `write`.
    """

    def __init__(self, folder: Path, record: Record, policy: CheckpointPolicy) -> None:
        self.folder = folder
        self.record = record
        self.policy = policy
        self.totals: dict[str, Any] = {"seconds": 0.0, "eval_seconds": 0.0, "samples": 0}
        self._usage_before = dict(record.usage)
        self._clock = (time.monotonic(), environment.cpu_seconds())
        self._logs: dict[str, CsvLog] = {}
        self._figures: tuple[str, ...] = ()
        self._profile: Profile | None = None
        self._writing = threading.Lock()
        self._kept = dict(record.checksums.get("epochs") or {})
        # What was said of the end no longer holds; the checkpoints are still those that it names.
        self._enter(record.checksums.get("checkpoints") or [])
        self._end: Checksums = {}
        remove_leftovers(folder)
        self.write()
        self._heartbeat = Heartbeat(self._put, HEARTBEAT)

    def write(self) -> None:
        """Write ``run.json`` as the record is now."""
        with self._writing:
            self._written = self.record
        self._put()

    def _put(self) -> None:
        """Write ``run.json`` as it was last written, with a new sign of life."""
        with self._writing:
            write_record(self.folder, replace(self._written, heartbeat=now(), usage=self.usage()))

    def rewind(self, saved: checkpoint.Checkpoint | None) -> None:
        """Drop all that was written after a checkpoint, or everything without one."""
        position = (0, 0)
        if saved is not None:
            position = (saved["training"]["epoch"], saved["training"]["batch"])
            self.totals = dict(saved["totals"])
        self.record = replace(self.record, results=dict(saved["results"]) if saved else {})

        def before(row: dict[str, str]) -> bool:
            epoch, batch = int(row["epoch"]), int(row["batch"])
            return epoch <= position[0] or (epoch == position[0] + 1 and batch <= position[1])

        keep_rows(self.folder / BATCHES, before)
        keep_rows(self.folder / EPOCHS, lambda row: int(row["epoch"]) <= position[0])
        last = -1 if saved is None else position[0]  # the weights of epoch 0 are logged at a start
        keep_rows(self.folder / HISTOGRAMS, lambda row: int(row["epoch"]) <= last)
        keep_rows(self.folder / DIAGNOSTICS, lambda row: int(row["epoch"]) <= last)
        kept = kept_weights.drop_after(self.folder, last)
        self._kept = {name: value for name, value in self._kept.items() if name in kept}
        # Weights of an earlier end would be taken for those of the end; the checkpoint has them.
        for name in (LAYERS, *per_class.FILES, WEIGHTS):
            (self.folder / name).unlink(missing_ok=True)
        self._enter([self._entry_as_it_is()] if saved is not None else [])
        self.write()

    def _entry_as_it_is(self) -> CheckpointEntry:
        """Return the entry of the checkpoint, and of the logs that were cut to it."""
        logs = [self.folder / name for name in LOGS]
        prefixes = {path.name: Prefix.of(read_bytes(path)) for path in logs if path.exists()}
        pickled = read_bytes(self.folder / checkpoint.FILE, pickles.LARGEST)
        return checksums.entry_of(pickled, prefixes)

    def open_logs(
        self, figures: Sequence[str], validation: bool, diagnostics: bool = False
    ) -> None:
        """Open the CSV logs; rows that are there stay.

        Parameters
        ----------
        figures : sequence of str
            What is measured: the loss and the metrics.
        validation : bool
            Whether there is a validation part.
        diagnostics : bool
            Whether gradients, updates and dead units are logged.
        """
        self._figures = tuple(figures)
        columns = ("epoch", *columns_of("train", figures), *columns_of("test", figures), *TIMES)
        columns += columns_of("validation", figures) if validation else ()
        batch_columns = ("epoch", "batch", "samples", *figures, "learning_rate", "seconds")
        self._logs["epochs"] = CsvLog(self.folder / EPOCHS, columns)
        self._logs["batches"] = CsvLog(self.folder / BATCHES, batch_columns)
        self._logs["histograms"] = CsvLog(self.folder / HISTOGRAMS, histograms.COLUMNS)
        if diagnostics:
            self._logs["diagnostics"] = CsvLog(self.folder / DIAGNOSTICS, DIAGNOSTIC_COLUMNS)

    def watch(self, profile: Profile) -> None:
        """Write the times of the layers as well; what they took before a resume is added."""
        profile.add_times(self.totals.get("layers") or {})
        self._profile = profile

    def weights_at(self, epoch: int, weights: dict[str, Any]) -> None:
        """Log how the weights are spread after an epoch; 0 is before the first one."""
        for row in histograms.rows_of(epoch, weights):
            self._logs["histograms"].append(row)
        if epoch == 0:
            self._keep(epoch, weights)

    def _keep(self, epoch: int, weights: dict[str, Any]) -> None:
        """Write the weights after an epoch, if those of all epochs are kept."""
        if self.policy.keep == "all":
            self._kept |= kept_weights.save(self.folder, epoch, weights)
            self._enter(self.record.checksums["checkpoints"])

    def batch_done(self, event: Any, training: Callable[[], dict[str, Any]]) -> None:
        """Log a batch; `training` gives the state for a checkpoint when one is due."""
        figures = (event.figures[name] for name in self._figures)
        place = (event.epoch, event.batch, event.samples)
        self._logs["batches"].append([*place, *figures, event.learning_rate, event.seconds])
        self.totals["seconds"] += event.seconds
        self.totals["samples"] += event.samples
        if self.policy.due(event.batch):
            self.checkpoint(training())

    def epoch_done(self, event: Any, training: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Log an epoch, write a checkpoint, and bring the results up to date.

        Returns
        -------
        dict
            The new row of ``epochs.csv``, by columns.
        """
        log = self._logs["epochs"]
        measured = {
            f"{part}_{name}": value
            for part in PARTS
            for name, value in (getattr(event, part) or {}).items()
        }
        found = {**event._asdict(), **measured}
        row = {column: found.get(column) for column in log.columns}
        log.append(list(row.values()))
        for diagnostic in event.diagnostics:
            self._logs["diagnostics"].append([event.epoch, *diagnostic])
        self.totals["eval_seconds"] += event.eval_seconds
        state = training()
        self.weights_at(event.epoch, state["weights"])
        self._keep(event.epoch, state["average"] or state["weights"])
        best = state["best"]
        chosen = {}
        if best:
            chosen = {"best_epoch": best["epoch"], f"best_{best['metric']}": best["value"]}
        results = {
            "epoch": event.epoch,
            **event.kept,
            **chosen,
            "seconds": self.totals["seconds"],
            "eval_seconds": self.totals["eval_seconds"],
            "seconds_per_epoch": self.totals["seconds"] / event.epoch,
            "samples_per_second": self.totals["samples"] / max(self.totals["seconds"], 1e-12),
        }
        self.record = replace(self.record, results=results)
        self.checkpoint(state)
        self._write_layers()
        self.write()
        return row

    def checkpoint(self, training: dict[str, Any]) -> None:
        """Write a checkpoint, after the rows that it goes with."""
        for log in self._logs.values():
            log.sync()
        if self._profile is not None:
            self.totals["layers"] = self._profile.times()
        pickled = checkpoint.dumps(training, self.totals, self.record.results)
        entry = checksums.entry_of(pickled, self._prefixes())
        # Entered first: a kill leaves the old file or the new one, and either has an entry.
        self._enter([entry, *self.record.checksums["checkpoints"]])
        with self._writing:
            self._written = replace(self._written, checksums=self.record.checksums)
        self._put()
        checkpoint.save(self.folder, pickled)
        self._enter([entry])

    def _enter(self, entries: list[CheckpointEntry]) -> None:
        """Note the checkpoints that may be there, and the weights that are kept."""
        noted: Checksums = {"checkpoints": entries}
        if self._kept:
            noted["epochs"] = dict(self._kept)
        self.record = replace(self.record, checksums=noted)

    def _prefixes(self) -> dict[str, Prefix]:
        return {log.path.name: log.prefix for log in self._logs.values()}

    def _write_layers(self) -> None:
        """Write ``layers.csv``, if the layers are timed."""
        if self._profile is not None:
            replace_csv(self.folder / LAYERS, LAYER_COLUMNS, map(_cells, self._profile.rows()))

    def save_classes(self, parts: Mapping[str, per_class.Classified], names: Sequence[str]) -> None:
        """Write what was taken for what, class by class and sample by sample."""
        per_class.write(self.folder, parts, names)

    def save_weights(self, weights: dict[str, Any]) -> None:
        """Write ``weights.pkl``."""
        pickled = pickles.dumps(weights)
        pickles.write(self.folder / WEIGHTS, pickled)
        # Nothing is logged any more; where a failure ends a run, its last row may be cut off.
        logs = {name: list(prefix) for name, prefix in self._prefixes().items()}
        self._end = {WEIGHTS: checksum(pickled), "logs": logs}

    def finish(self, status: str, reason: str | None = None) -> None:
        """Close the logs and write the final status."""
        self._heartbeat.stop()
        for log in self._logs.values():
            log.close()
        self._write_layers()
        sums: Checksums = {**self.record.checksums, **self._end}
        self.record = replace(
            self.record, status=status, reason=reason, ended=now(), checksums=sums
        )
        self.write()

    def usage(self) -> dict[str, float | None]:
        """Return what was used, together with what was used before a resume."""
        used = environment.usage(*self._clock)
        before = self._usage_before
        for key in ("wall_seconds", "cpu_seconds"):
            used[key] = round(used[key] + (before.get(key) or 0.0), 3)
        peaks = [used["peak_memory_bytes"], before.get("peak_memory_bytes")]
        used["peak_memory_bytes"] = max((p for p in peaks if p is not None), default=None)
        return used


def _cells(row: ProfileRow) -> list[Any]:
    """Return one row of ``layers.csv``."""
    return [getattr(row, column) for column in LAYER_COLUMNS]
