"""Measure everything again, at one clean commit: ``python -m experiments.measure``.

    python -m experiments.measure --list              what there is, how long it takes, what is old
    python -m experiments.measure                     everything; asked again, it continues
    python -m experiments.measure --old               only what is older than its code
    python -m experiments.measure --only speed seeds  these
    python -m experiments.measure --without gpu reliability_    all but those whose names begin so
    python -m experiments.measure --pages             the pages and figures, from the files

The newest commit that changed code is checked out into a folder of its own, where nothing else can
change it, and each command runs there. Its file is copied into ``experiments/results`` as soon as
it is whole. A file that already names this commit is not measured again, so a measurement that was
stopped continues where it was. A task that fails keeps its old file, and so does one that takes far
longer than the list says, which is ended; the others are measured all the same, and the last line
names what is not. Uncommitted changes are refused: what is measured could never be measured again.
Each file has the machine, the versions and the commit.

Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from experiments.outcomes import swept
from experiments.provenance import (
    RESULTS,
    ROOT,
    SHORT,
    NoCommit,
    changed_files,
    git,
    last_change,
    stated,
)
from experiments.release import age_of
from experiments.tasks import TASKS, Task

CHECKOUTS = ROOT / "outputs" / "measure"
TIMES = "times.csv"  # how long each task took, beside the results
LEAST_LIMIT, LONGER = 10, 4  # minutes, and times as long as expected: then a task is ended
GRACE = 30  # seconds for a command to end by itself
PAGES = (
    "python -m experiments.tables --kept",
    "python -m experiments.benchmarks table",
    "python -m experiments.reliability page",
    "python docs/tables.py",
    "python -m experiments.page_pictures",
    "python -m experiments.release --mark",
)


def main(words: Sequence[str] | None = None) -> int:
    """Do what was asked for, and return the exit code."""
    asked = _parser().parse_args(words)
    try:
        tasks = chosen(asked)
        if asked.list:
            print("\n".join(listed(tasks)))
            return 0
        if asked.pages:
            return sum(_run(page.split(), ROOT) != 0 for page in PAGES)
        return measure(tasks)
    except (NoCommit, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command continues with what is not measured yet")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.measure",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--list", action="store_true", help="measure nothing; say what there is")
    add("--only", nargs="+", metavar="NAME", help="these, in the order of the list")
    add("--without", nargs="+", metavar="NAME", default=(), help="not those whose names begin so")
    add("--old", action="store_true", help="what is not there, or older than its code")
    add("--pages", action="store_true", help="measure nothing; write pages and figures")
    return parser


def chosen(asked: argparse.Namespace) -> list[Task]:
    """Return the tasks that were asked for.

    Raises
    ------
    ValueError
        If there is no such task.
    """
    names = [task.name for task in TASKS]
    if unknown := [name for name in asked.only or () if name not in names]:
        raise ValueError(f"no task is named {unknown[0]!r}. Tasks: {', '.join(names)}.")
    for begin in asked.without:
        if not any(name.startswith(begin) for name in names):
            raise ValueError(f"no task's name begins with {begin!r}. Tasks: {', '.join(names)}.")
    wanted = [n for n in asked.only or names if not n.startswith(tuple(asked.without))]
    return [
        task
        for task in TASKS
        if task.name in wanted and not (asked.old and age_of(task).state == "of today's code")
    ]


# What there is -----------------------------------------------------------------------------------


def listed(tasks: Sequence[Task]) -> Iterator[str]:
    """Yield a line for each task, and the sum."""
    known = times()
    minutes = {task.name: known.get(task.name, task.minutes) for task in tasks}
    wide = max(map(len, minutes), default=0)
    for task in tasks:
        age, lacking = age_of(task), missing(task)
        state = f"needs {', '.join(lacking)}; {age.state}" if lacking else age.state
        about = " " if task.name in known else "~"
        figure = f"{about}{minutes[task.name]:6.1f} min"
        yield f"{task.name:<{wide}}  {figure}  {state:<46} {task.command}"
    yield f"{len(tasks)} tasks, about {sum(minutes.values()) / 60:.1f} hours; ~: not measured yet"


def times() -> dict[str, float]:
    """Return the minutes that tasks took when they were last measured."""
    path = RESULTS / TIMES
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["task"]: float(row["minutes"]) for row in csv.DictReader(file)}


def missing(task: Task) -> list[str]:
    """Return the packages that a task needs and that are not there."""
    return [name for name in task.needs if importlib.util.find_spec(name) is None]


def unread(task: Task) -> list[str]:
    """Return the files of other tasks that a task reads and that are not there."""
    return [name for name in task.reads if not (RESULTS / name).exists()]


# Measuring ---------------------------------------------------------------------------------------


def measure(tasks: Sequence[Task]) -> int:
    """Measure tasks in their order, and return 1 if one fails or cannot be measured."""
    if changed := changed_files():
        raise NoCommit(
            f"the code has changes that are not committed ({', '.join(changed[:3])}"
            f"{', …' if len(changed) > 3 else ''}). Commit them: figures belong to a commit."
        )
    commit = last_change()
    folder = checkout(commit)
    failed = []
    for number, task in enumerate(tasks, 1):
        print(f"[{number}/{len(tasks)}] {task.name}", flush=True)
        if is_measured(task, commit):
            print("  measured already")
        elif lacking := missing(task):
            print(f"  left out: {', '.join(lacking)} is not installed")
            failed.append(task.name)
        elif absent := unread(task):
            print(f"  left out: it reads {', '.join(absent)}, not measured yet")
            failed.append(task.name)
        elif not carry_out(task, folder, commit):
            failed.append(task.name)
    print(f"{len(tasks) - len(failed)} of {len(tasks)} measured at {commit[:SHORT]}")
    print(f"runs are kept in {folder}; git worktree remove --force {folder} deletes them")
    if failed:
        print(f"not measured: {', '.join(failed)}. The same command tries these again.")
    return bool(failed)


def checkout(commit: str) -> Path:
    """Return a folder with the files of a commit, apart from everybody's work."""
    folder = CHECKOUTS / commit[:SHORT]
    if not folder.exists():
        git("worktree", "prune")
        git("worktree", "add", "--detach", str(folder), commit)
    git("checkout", "--", ".", root=folder)
    return folder


def is_measured(task: Task, commit: str, results: Path | None = None) -> bool:
    """Whether the file of a task was measured at a commit, as a whole.

    Rows that it has from the files of other tasks keep the commits of those. If such a file was
    measured again since, they are old.
    """
    path = (results or RESULTS) / task.file
    if not path.exists() or unread(task):
        return False
    found = stated(path)
    right = {commit[:SHORT], *(c for name in task.reads for c in stated(RESULTS / name).commits)}
    return commit[:SHORT] in found.commits and right.issuperset(found.commits) and not found.dirty


def carry_out(task: Task, folder: Path, commit: str) -> bool:
    """Run a task in its folder and keep what it wrote; say whether it went well."""
    results = folder / "experiments" / "results"
    for name in task.reads:  # as they were measured last
        shutil.copy2(RESULTS / name, results / name)
    start = time.monotonic()
    limit = 60 * (LEAST_LIMIT + LONGER * max(task.minutes, times().get(task.name, 0)))
    done = all(_run(words, folder, limit) == 0 for words in commands(task, folder))
    written = results / task.file
    minutes = (time.monotonic() - start) / 60
    if not done or not is_measured(task, commit, results):
        git("checkout", "--", ".", root=folder)
        log = CHECKOUTS / "measure.log"
        print(f"  failed after {minutes:.1f} min; its file is left as it was; see {log}")
        return False
    for path in (written, written.with_suffix(".png")):
        if path.exists():
            target = RESULTS / path.relative_to(results)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    git("checkout", "--", ".", root=folder)
    note_time(task.name, minutes, commit)
    print(f"  {minutes:.1f} min")
    return True


def commands(task: Task, folder: Path) -> list[list[str]]:
    """Return the words of what to run: a study leaves run folders, from which its file is made."""
    words = task.command.split()
    if not task.study:
        return [words]
    runs = folder / "outputs" / task.name
    key = "sweep.dir" if swept(task.study) else "hydra.run.dir"
    if key == "hydra.run.dir":
        shutil.rmtree(runs, ignore_errors=True)  # a single run that was stopped begins again
    tables = ["python", "-m", "experiments.tables", "--files", "--runs", str(runs)]
    return [[*words, f"{key}={runs}"], tables]


def note_time(task: str, minutes: float, commit: str) -> None:
    """Note how long a task took."""
    path, rows = RESULTS / TIMES, []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["task"] != task]
    rows.append({"task": task, "minutes": f"{minutes:.2f}", "commit": commit[:SHORT]})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("task", "minutes", "commit"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["task"]))


def _run(command: Sequence[str], folder: Path, limit: float | None = None) -> int:
    """Run a command in a folder, with the code of that folder; what it prints goes to a log.

    A command that takes longer than `limit` seconds is ended, so that the others have their turn.
    """
    words = [sys.executable if word == "python" else word for word in command]
    CHECKOUTS.mkdir(parents=True, exist_ok=True)
    with (CHECKOUTS / "measure.log").open("a", encoding="utf-8") as log:
        log.write(f"\n$ {shlex.join(command)}\n")
        log.flush()
        child = subprocess.Popen(
            words,
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=log,
            start_new_session=True,  # its processes are ended with it
        )
        try:
            return child.wait(limit)
        except subprocess.TimeoutExpired:
            log.write(f"ended after {limit:.0f} s\n")
            return 1
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a command that still runs, and every process that it left, however it ended."""
    try:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(GRACE)
    except subprocess.TimeoutExpired:
        pass  # it is killed
    finally:
        with suppress(ProcessLookupError):  # nothing is left
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a command: those of here, with the code of its folder.

    A folder of data is meant from here. Without compiled modules, each start of Python, and so each
    run that is timed as a process, would be slower than users have it.
    """
    found = os.environ | {"PYTHONPATH": str(folder)}
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    if data := found.get("CNNEXP_DATA_DIR"):
        found["CNNEXP_DATA_DIR"] = str(Path(data).resolve())
    return found


if __name__ == "__main__":
    sys.exit(main())
