"""What stands in a run folder, as data: each file, each column of a CSV file, each field.

Meanings come from the docstrings of what is written. Only what has no class of its own is described
here. The reference and ``help`` read it; a test compares it with the folder of a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from cnnexp.app.reference.docstrings import documented, first_line
from cnnexp.nn.losses import METRICS
from cnnexp.nn.profile import ProfileRow
from cnnexp.runs.histograms import Histogram
from cnnexp.runs.per_class import ClassRow
from cnnexp.runs.process import Process
from cnnexp.runs.record import Record
from cnnexp.runs.record_parts import DataRecord, NetworkRecord, Origin, Resume
from cnnexp.runs.writing import PARTS
from cnnexp.train.diagnostics import DiagnosticRow
from cnnexp.train.events import BatchDone, EpochDone

RECORD = "run.json"
SWEEP = "sweep.json"
OBJECT = re.compile(r"\b(?!None\b)[A-Z]\w+")  # a class of ours, which JSON has as an object


class File(NamedTuple):
    """A file of a run folder: its name, when it is there, and what it is for."""

    name: str
    when: str
    what: str


class Entry(NamedTuple):
    """A column of a CSV file, or a field of a JSON file.

    Attributes
    ----------
    file : str
        The file.
    name : str
        The column, or the path of the field with dots.
    type : str
        What its values are.
    meaning : str
        What they say.
    """

    file: str
    name: str
    type: str
    meaning: str


FILES = (
    File(RECORD, "always", "The record of the run: status, settings, results, environment."),
    File("epochs.csv", "always", "A row per epoch: losses and errors of all parts, times."),
    File("batches.csv", "always", "A row per mini-batch."),
    File("histograms.csv", "always", "Distribution of the weights, a row per parameter and epoch."),
    File("train.log", "always", "What was printed, and more; each line has its time."),
    File("weights.pkl", "at the end", "Parameters and state that were kept: arrays by path."),
    File("checkpoint.pkl", "always", "What `resume` needs; replaced by the next one."),
    File("checkpoints/", "checkpoint.keep=all", "The weights after every epoch, for `explore`."),
    File("layers.csv", "profile=true", "Time, size and operations of every layer."),
    File("diagnostics.csv", "diagnostics=true", "Norms of gradients and weights, dead units."),
    File("confusion.csv", "at the end, with classes", "True classes against predicted ones."),
    File("per_class.csv", "at the end, with classes", "Precision and recall of each class."),
    File("predictions.csv", "at the end, with classes", "True and predicted class of each sample."),
    File(".hydra/", "always", "The composed config, the overrides, and Hydra's own settings."),
    File(".lock", "always", "Held by the process that writes in the folder."),
    File("code/", "plugins, or changes since the commit", "Your modules and uncommitted changes."),
    File("events.out.tfevents.*", "trackers=[tensorboard]", "For TensorBoard."),
    File("wandb/", "trackers=[wandb]", "For Weights & Biases."),
    File("inspect/", "after `inspect`", "Pictures of the network, and a page with all of them."),
    File("explore.html", "after `explore`", "The live page."),
)

SWEEP_FILES = (
    File(SWEEP, "always", "Each start of the sweep, and the folder of each job."),
    File("0/, 1/, …", "always", "The run folder of each job."),
    File(".sweep.lock", "always", "Held by the process that runs the sweep."),
)

KEPT_AT_END = " Where it is evaluated at the end only, the last row has that of the kept weights."
_EPOCH = ("learning_rate", "seconds", "eval_seconds", "samples_per_second")
_KEPT = {
    "epoch": ("int", "Number of finished epochs."),
    "best_epoch": ("int", "The best epoch, by the validation part."),
    "best_FIGURE": ("float", "The figure of that epoch, for example `best_validation_error`."),
    "seconds": ("float", "Training time of all epochs."),
    "eval_seconds": ("float", "Evaluation time of all epochs."),
    "seconds_per_epoch": ("float", "`seconds` divided by the number of finished epochs."),
    "samples_per_second": ("float", "Training samples of all epochs divided by `seconds`."),
}
_USAGE = {
    "wall_seconds": ("float", "Time from beginning to end, including that before a resume."),
    "cpu_seconds": ("float", "Processor time of the process and its worker processes."),
    "peak_memory_bytes": ("int or None", "Peak memory of the process."),
}
_ENVIRONMENT = {
    "cnnexp": ("str", "Version of this program."),
    "results_version": ("int", "Raised when the same settings give other numbers."),
    "python": ("str", "Version of Python."),
    "packages": ("dict", "Versions of the packages that a run depends on, by name."),
    "numpy": ("str", "Version of NumPy."),
    "machine": ("str", "Architecture of the processor, for example `x86_64`."),
    "system": ("str", "Operating system and its version."),
    "cpu": ("str", "Name of the processor."),
    "cores": ("int", "Cores that the process may use."),
    "blas": ("dict or None", "NumPy's BLAS library: name, version, architecture, threads."),
    "openblas_coretype": ("str or None", "The value of `$OPENBLAS_CORETYPE`."),
    "git": ("dict or None", "Repository of cnnexp: commit, whether changed since, folder."),
    "project": ("dict or None", "The same for the working folder, if it is another repository."),
    "user": ("str or None", "Who ran it."),
    "command": ("list of str", "A command that can be typed again."),
    "folder": ("str", "The working folder."),
}
_CHECKSUMS = {
    "checkpoints": ("list", "SHA-256 of the checkpoint; length and SHA-256 of each log then."),
    "epochs": ("dict", "SHA-256 of each file in `checkpoints/`."),
    "weights.pkl": ("str", "SHA-256 of the file."),
    "logs": ("dict", "Length and SHA-256 of each log at the end."),
}
_SWEEP = {
    "started": (
        "list",
        "An entry for each start: when, what was typed, where, what `auto` was, the signature.",
    ),
    "jobs": ("dict", "The folder of each job, by the fingerprint of its settings."),
}
_CONFUSION = {
    "part": ("str", "`validation` or `test`."),
    "class": ("str", "The class of the samples in this row."),
    "CLASS": ("int", "A column for each class: how many of them were predicted as it."),
}
_PREDICTIONS = {
    "part": ("str", "`validation` or `test`."),
    "sample": ("int", "Counted from 0, in the order of the part."),
    "class": ("str", "The true class."),
    "predicted": ("str", "The predicted class."),
}


def columns() -> Iterator[Entry]:
    """Yield every column of the CSV files of a run folder."""
    yield from _of_class("epochs.csv", EpochDone, ["epoch"])
    yield from _figures("epochs.csv")
    yield from _of_class("epochs.csv", EpochDone, _EPOCH)
    yield from _of_class("batches.csv", BatchDone, ["epoch", "batch", "samples"])
    yield Entry("batches.csv", "loss", "float", "Mini-batch: mean loss per sample.")
    for name in METRICS:
        yield Entry("batches.csv", name, "float", f"Mini-batch: {_metric(name)}")
    yield from _of_class("batches.csv", BatchDone, ["learning_rate", "seconds"])
    yield from _of_class("histograms.csv", Histogram)
    yield Entry("diagnostics.csv", "epoch", "int", "Counted from 1.")
    yield from _of_class("diagnostics.csv", DiagnosticRow)
    yield from _of_class("layers.csv", ProfileRow)
    for entry in _of_class("per_class.csv", ClassRow):
        yield entry._replace(name="class" if entry.name == "name" else entry.name)
    yield from _of_table("confusion.csv", "", _CONFUSION)
    yield from _of_table("predictions.csv", "", _PREDICTIONS)


def fields() -> Iterator[Entry]:
    """Yield every field of ``run.json``; those of ``config`` are the settings."""
    for entry in _of_class(RECORD, Record):
        if entry.name != "unknown":
            yield entry
            yield from _below(entry.name)


def sweep_fields() -> Iterator[Entry]:
    """Yield every field of ``sweep.json``."""
    return _of_table(SWEEP, "", _SWEEP)


def described(key: str) -> list[Entry]:
    """Return the columns and fields of a name, for example ``test_error``.

    Examples
    --------
    >>> [entry.file for entry in described("eval_seconds")]
    ['epochs.csv', 'run.json']
    """
    return [entry for entry in entries() if key in (*names_of(entry), entry.file)]


def entries() -> list[Entry]:
    """Return all columns and fields."""
    return [*columns(), *fields(), *sweep_fields()]


def names() -> set[str]:
    """Return all that may be asked for."""
    files = {file.name for file in (*FILES, *SWEEP_FILES)}
    return files.union(*map(names_of, entries()))


def names_of(entry: Entry) -> set[str]:
    """Return what may be typed for an entry: its path with and without what stands before."""
    return {entry.name, entry.name.rpartition(".")[2]}


def _below(field: str) -> Iterator[Entry]:
    """Yield the fields below one of ``run.json``."""
    if field == "results":
        yield from _figures(RECORD, "results.")
    tables = {"usage": _USAGE, "environment": _ENVIRONMENT, "checksums": _CHECKSUMS}
    yield from _of_table(RECORD, f"{field}.", {"results": _KEPT, **tables}.get(field, {}))
    classes = {"process": Process, "data": DataRecord, "network": NetworkRecord}
    for name, cls in {**classes, "init_from": Origin, "resumed": Resume}.items():
        if name == field:
            for entry in _of_class(RECORD, cls):
                yield entry._replace(name=f"{field}.{entry.name}")


def _figures(file: str, before: str = "") -> Iterator[Entry]:
    """Yield the loss and the metrics of each part."""
    for part in PARTS:
        whole = f"{part.capitalize()} part: "
        kept = KEPT_AT_END if part == "test" and file != RECORD else ""
        yield Entry(file, f"{before}{part}_loss", "float", f"{whole}mean loss per sample.{kept}")
        for name in METRICS:
            yield Entry(file, f"{before}{part}_{name}", "float", f"{whole}{_metric(name)}{kept}")


def _metric(name: str) -> str:
    """Return what a metric is, as a mean per sample; its function returns sums."""
    text = first_line(METRICS[name]).replace("Return the number of samples", "fraction of samples")
    return text.replace("Return the sum over samples of the", "mean over samples of the")


def _of_class(file: str, cls: type, names: list[str] | tuple[str, ...] = ()) -> Iterator[Entry]:
    """Yield the attributes that a docstring describes: all, or those named."""
    about = documented(cls)
    for name in names or about:
        kind = OBJECT.sub("dict", about[name].type)
        yield Entry(file, name, kind, about[name].meaning.replace("``", "`"))


def _of_table(file: str, before: str, table: dict[str, tuple[str, str]]) -> Iterator[Entry]:
    for name, (kind, meaning) in table.items():
        yield Entry(file, before + name, kind, meaning)
