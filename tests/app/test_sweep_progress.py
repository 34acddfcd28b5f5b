"""What a sweep shows on a terminal while it goes on, and elsewhere."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnnexp.app.sweeps import progress as sweep_progress
from cnnexp.app.sweeps.progress import SweepProgress, shown

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def job(name: str, status: str, error: float | None = None, seed: int = 0, **others: object):
    return SimpleNamespace(
        folder=Path("S", name),
        overrides=[f"seed={seed}"],
        config={"sweep": {"objective": "validation_error"}, "epochs": 4},
        status=status,
        figure=lambda figure: error if figure == "test_error" else None,
        objective=lambda: None,
        **{"launched": status not in ("running", "not started"), "todo": True} | others,
    )


@pytest.fixture(autouse=True)
def half(monkeypatch):
    """Half of each running job is trained."""
    monkeypatch.setattr(sweep_progress, "_share", lambda job: 0.5)


def test_counts_time_left_and_the_best(tmp_path):
    """Two of five are through, and half of a third: 2.5 took 10 s, so 2.5 will take 10."""
    jobs = [
        job("1", "failed", seed=1),
        job("2", "finished", 0.25, seed=2),
        job("3", "running", seed=3),
        job("4", "not started", seed=4),
        job("5", "not started", seed=5),
    ]
    beside = [job("0", "finished", 0.5, launched=False, todo=False), *jobs]
    progress = SweepProgress(jobs, beside, tmp_path)
    progress._live.stop()
    progress._running = {"3": jobs[2]}
    progress._began -= 10
    lines = progress._panel().plain.splitlines()
    assert lines == [
        "██████░░░░░░ 2 of 6 done · 1 running · 1 failed · 2 to come · 0:10 left · best test_error"
        " 0.2500, job 2 seed=2",
        "██████░░░░░░ [3] seed=3",
    ]


def test_lines_of_jobs_stand_above_whole_and_once(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    one = job("0", "running")
    with shown([one], [one]) as progress:
        file = progress.file_of(one)
        file.write_bytes(b"[0] epoch 1/4\n[0] epo")
        progress.look([one])
        assert "[0] epo\n" not in ESCAPES.sub("", terminal.getvalue())
        file.write_bytes(b"[0] epoch 1/4\n[0] epoch 2/4 \x1b[31mred\n")
        one.status, one.launched = "finished", True
        progress.look([])
    printed = ESCAPES.sub("", terminal.getvalue())
    assert printed.count("[0] epoch 1/4") == printed.count("[0] epoch 2/4") == 1
    assert "\x1b[31mred" not in terminal.getvalue()  # what a job prints commands no terminal
    assert not file.exists()


def test_a_job_that_begins_and_ends_between_two_looks(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    jobs = [job("0", "running"), job("1", "running"), job("2", "running")]
    with shown(jobs, jobs) as progress:
        for one in jobs:
            progress.file_of(one).write_text(f"[{one.folder.name}] epoch 1/1\n")
            progress.look([one])  # one runs each time, so most looks are too soon
            one.status, one.launched = "finished", True
    printed = ESCAPES.sub("", terminal.getvalue())
    assert [printed.count(f"[{k}] epoch 1/1") for k in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO, "xterm"), (Terminal, "dumb")])
def test_elsewhere_nothing_is_drawn(stream, term, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream())
    monkeypatch.setenv("TERM", term)
    with shown([], []) as progress:
        assert progress is None


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are of POSIX")
def test_on_a_pseudo_terminal(tmp_path):
    import pty

    words = ["-m", "model=flat", "data.limit=60", "epochs=2", "seed=0,1,2", "sweep.dir=S"]
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        os.environ |= {"TERM": "xterm", "COLUMNS": "150"}
        os.execv(sys.executable, [sys.executable, "-m", "cnnexp", *words])
    printed = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # its other end was closed
            break
        printed += read
    assert os.waitpid(pid, 0)[1] == 0
    text = ESCAPES.sub("", printed.decode()).replace("\r", "")
    assert "0 of 3 done · " in text
    assert "3 of 3 done · 0 running · 0 to come" in text
    assert all(f"[{k}] epoch {epoch}/2" in text for k in range(3) for epoch in (1, 2))
    last = text[text.rindex("this time") :].splitlines()
    assert len(last) == 5  # the table, with nothing drawn over it
    assert last[-1] == "3 of 3 jobs have a result, in S"
