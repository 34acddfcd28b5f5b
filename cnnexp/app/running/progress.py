"""What a run shows while it goes on: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cnnexp.app.settings.options import Plain
from cnnexp.data.table_faults import some
from cnnexp.runs import rebuild
from cnnexp.runs.foreign_text import printable
from cnnexp.train import BatchDone, EpochDone

QUIET = "CNNEXP_QUIET"  # set where a run shows nothing, also in the processes of its jobs


@contextmanager
def screen_may_be_gone() -> Iterator[None]:
    """Let a run go on when nobody reads what it prints any more: a pipe or a terminal that closed.

    All that is printed later goes nowhere.
    """
    try:
        yield
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Progress:
    """Shows the events of one run.

    Parameters
    ----------
    epochs, batches : int
        Epochs of the run, and batches of an epoch.
    label : str
        Stands before every line; for the jobs of a sweep.
    """

    def __init__(self, epochs: int, batches: int, label: str = "") -> None:
        self.epochs, self.batches, self.label = epochs, batches, label
        self._bar: Any = None
        self._samples, self._seconds = 0, 0.0

    def __enter__(self) -> Progress:
        if QUIET not in os.environ and sys.stdout.isatty():
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self.epochs * self.batches, figures="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, epoch: int, batch: int) -> None:
        """Set the bar to where a resumed run begins."""
        if self._bar is not None:
            self._bar.update(self._task, completed=epoch * self.batches + batch)

    def batch_done(self, event: BatchDone) -> None:
        """Move the bar."""
        self._samples += event.samples
        self._seconds += event.seconds
        if self._bar is None:
            return
        with screen_may_be_gone():
            self._bar.update(
                self._task,
                completed=(event.epoch - 1) * self.batches + event.batch,
                description=f"epoch {event.epoch}/{self.epochs} batch {event.batch}/{self.batches}",
                figures=f"{_words(event.figures, '  ')}"
                f"  {self._samples / max(self._seconds, 1e-9):,.0f} samples/s",
            )

    def epoch_done(self, event: EpochDone) -> None:
        """Write a line."""
        narrow = sys.stdout.isatty() and shutil.get_terminal_size().columns - len(self.label)
        self.say(epoch_line(event, self.epochs, narrow or None))

    def say(self, line: str) -> None:
        """Write any line, above the bar if there is one."""
        if QUIET in os.environ:
            return
        text = printable(f"{self.label}{line}")
        with screen_may_be_gone():
            if self._bar is not None:
                self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
            else:
                print(text, flush=True)


def announce(config: Plain, folder: str) -> None:
    """Say at once what is going to be trained, and where; of a table also from which columns."""
    model, data, impl = (config[group]["name"] for group in ("model", "data", "impl"))
    progress = Progress(0, 0)
    progress.say(f"training {model} on {data} with impl={impl}, in {folder}")
    if names := rebuild.build_source(config).feature_names():
        progress.say(f"features: {some(names)}")


def epoch_line(event: EpochDone, epochs: int, width: int | None = None) -> str:
    """Return one epoch as a line; on a narrow screen without its last, the samples a second."""
    parts = [
        f"epoch {event.epoch:>{len(str(epochs))}}/{epochs}",
        f"train {_words(event.train)}",
    ]
    if event.validation is not None:
        parts.append(f"validation {_words(event.validation)}")
    if event.test is not None:
        parts.append(f"test {_words(event.test)}")
    parts += [
        f"{event.seconds:.2f} s",
        f"{event.samples_per_second:,.0f} samples/s",
    ]
    line = "  ".join(parts)
    return line if width is None or len(line) <= width else "  ".join(parts[:-1])


def _words(figures: Mapping[str, float], between: str = " ") -> str:
    """Return figures as text, for example ``loss 0.1234 error 0.0500``."""
    return between.join(f"{name} {value:.4f}" for name, value in figures.items())
