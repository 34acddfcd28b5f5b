"""What a sweep shows on a terminal while its jobs run: how far it is, and what was best so far.

What the jobs print would be drawn over. So each prints into a file, and its lines are shown above.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnexp.app.running.progress import screen_may_be_gone
from cnnexp.app.sweeps.job import DONE, Job
from cnnexp.app.sweeps.points import chosen, varying
from cnnexp.app.sweeps.table import best, figure_of
from cnnexp.report.histories import read_history
from cnnexp.report.watching import clock
from cnnexp.runs.foreign_text import printable

EVERY = 0.2  # seconds between two looks
MOST = 8  # running jobs that are shown, each on a line


@contextmanager
def shown(jobs: Sequence[Job], beside: Sequence[Job]) -> Iterator[SweepProgress | None]:
    """Show the progress of jobs, if there is a terminal.

    Parameters
    ----------
    jobs : sequence of Job
        What is run.
    beside : sequence of Job
        All jobs of the sweep, of which some may be done already.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        progress = SweepProgress(jobs, beside, Path(folder))
        try:
            yield progress
        finally:
            progress.close()


class SweepProgress:
    """Draws the lower end of the terminal.

    Parameters
    ----------
    jobs, beside : sequence of Job
        As for `shown`.
    folder : Path
        Where the jobs print.
    """

    def __init__(self, jobs: Sequence[Job], beside: Sequence[Job], folder: Path) -> None:
        from rich.console import Console
        from rich.live import Live

        self._jobs, self._beside, self._folder = jobs, beside, folder
        self._keys = varying(beside)
        self._running: dict[str, Job] = {}
        self._printing: dict[str, Job] = {}  # those whose last lines may not be shown yet
        self._read: Counter[str] = Counter()  # bytes that were shown of each job's lines
        self._began, self._drawn = time.monotonic(), 0.0
        self._live = Live(console=Console(), auto_refresh=False, transient=True)
        self._live.start()

    def file_of(self, job: Job) -> Path:
        """Return where a job prints; it may end before the next look."""
        self._printing[job.folder.name] = job
        return self._folder / job.folder.name

    def look(self, running: Sequence[Job]) -> None:
        """Show what is new, if some time has passed since the last look."""
        if time.monotonic() - self._drawn < EVERY and len(running) == len(self._running):
            return
        self._drawn = time.monotonic()
        with screen_may_be_gone():
            self._running = {job.folder.name: job for job in running}
            self._show_new_lines()
            self._printing = dict(self._running)
            self._live.update(self._panel(), refresh=True)

    def close(self) -> None:
        """Show the last lines, and leave the terminal as it was."""
        with screen_may_be_gone():
            self._show_new_lines()
            self._live.stop()

    def _show_new_lines(self) -> None:
        for job in self._printing.values():
            self._show_lines(job)

    def _show_lines(self, job: Job) -> None:
        """Show the whole lines that a job has printed since the last look."""
        path = self.file_of(job)
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read[job.folder.name])
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        self._read[job.folder.name] += len(new)
        if new:
            text = "\n".join(map(printable, new.decode(errors="replace").splitlines()))
            self._live.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _panel(self) -> Any:
        """Return a line for the sweep, and one for each running job."""
        from rich.text import Text

        shares = [_share(job) for job in self._running.values()]
        ended = sum(job.launched for job in self._jobs)
        share = (ended + sum(shares)) / len(self._jobs)
        lines = [f"{bar(share)} {self._counts(share)}"]
        for job, part in list(zip(self._running.values(), shares, strict=True))[:MOST]:
            lines.append(f"{bar(part)} [{job.folder.name}] {self._words(job)}")
        return Text("\n".join(map(printable, lines)), no_wrap=True, overflow="ellipsis")

    def _counts(self, share: float) -> str:
        """Return how many jobs are done, run, failed and are left, how long, and the best."""
        ended = [job.status in DONE for job in self._beside if job.launched or not job.todo]
        parts = [f"{sum(ended)} of {len(self._beside)} done", f"{len(self._running)} running"]
        if failed := len(ended) - sum(ended):
            parts.append(f"{failed} failed")
        parts.append(f"{len(self._beside) - len(ended) - len(self._running)} to come")
        if share > 0:
            seconds = time.monotonic() - self._began
            parts.append(f"{clock(seconds * (1 - share) / share)} left")
        figure = figure_of(self._beside)
        if (found := best(self._beside, figure)) is not None:
            words = self._words(found)
            parts.append(
                f"best {figure} {found.figure(figure):.4f}, job {found.folder.name} {words}"
            )
        return " · ".join(parts).rstrip()

    def _words(self, job: Job) -> str:
        return " ".join(chosen(job, self._keys))


def _share(job: Job) -> float:
    """Return how much of a job is trained, from 0 to 1."""
    return min(len(read_history(job.folder).get("epoch", ())) / float(job.config["epochs"]), 1.0)


def bar(share: float, width: int = 12) -> str:
    """Return a share as a bar.

    Examples
    --------
    >>> bar(0.5, 4)
    '██░░'
    """
    return f"{'█' * round(share * width):░<{width}}"
