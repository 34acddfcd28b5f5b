"""What is disturbed, and what must hold afterwards.

A scenario is a command in a prepared folder. Its judge looks at the folder after a failure: it must
be readable as it is, and the same command, or ``resume``, must lead to what an undisturbed command
leaves, bit for bit.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.benchmarks.kill_and_resume import differences
from experiments.reliability.injection import KINDS, Injection
from experiments.reliability.trials import Place

SIZE, CLASSES = 4, 3
SETTINGS = (
    "data=npz",
    "data.file=data.npz",
    "model=flat",
    "model.layers.1.units=5",
    "batch_size=16",
    "epochs=2",
    "impl.threads=1",
    "schedule=constant",
    "checkpoint.every=1",
)
RUN = "run"
Judge = Callable[[Place], list[str]]


@dataclass
class Scenario:
    """A command, what it needs, and what is asked afterwards.

    Attributes
    ----------
    name : str
        Stands in the table.
    prepare : callable
        Fills an empty root.
    words : sequence of str
        The command.
    judge : callable
        Returns what is wrong with the root after a disturbed command.
    watched : str
        Operations below this folder of the root count.
    only_reads : bool
        Whether it prints the same whenever it ends well.
    who : {"all", "parent", "jobs"}
        Whose operations count: those of the jobs of a sweep, of the process that starts them, or
        all.
    """

    name: str
    prepare: Callable[[Place], None]
    words: Sequence[str]
    judge: Judge
    watched: str = "."
    only_reads: bool = False
    who: str = "all"


def write_data(place: Place) -> None:
    """Write 20 images whose classes can be learnt: a bright row tells the class."""
    rng = np.random.default_rng(0)
    Y = rng.integers(0, CLASSES, 20)
    X = rng.integers(0, 120, (20, SIZE, SIZE)).astype(np.uint8)
    X[np.arange(20), Y] += 100
    np.savez(place.root / "data.npz", X=X, Y=Y)


# Asking ------------------------------------------------------------------------------------------


def command(*words: object) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it printed."""
    from cnnexp.app.main import main

    screen = io.StringIO()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
        code = main([str(word) for word in words])
    return code, screen.getvalue()


def expect(faults: list[str], what: str, *words: object, codes: Sequence[int] = (0,)) -> bool:
    """Note a command that does not end as it should, and say whether it did."""
    try:
        code, text = command(*words)
    except BaseException as error:
        faults.append(f"{what}: raises {type(error).__name__}: {error}")
        return False
    if code not in codes or "Traceback" in text:
        faults.append(f"{what}: exit code {code}: {last_line(text)}")
    return code == 0


def last_line(text: str) -> str:
    """Return the last line of what a command printed."""
    return ["", *text.strip().splitlines()][-1][:300]


def readable(run: Path) -> list[str]:
    """Return what cannot be read of a run that may be unfinished, and is not going on."""
    from cnnexp import load_run
    from cnnexp.errors import RunError
    from cnnexp.runs import checkpoint

    faults: list[str] = []
    expect(faults, "show", "show", run)
    try:
        found = load_run(run)
        if found.status not in ("finished", "failed", "killed"):
            faults.append(f"its status is {found.status}")
        found.check_files()
        rows = [len(log) for log in (found.epochs, found.batches, found.diagnostics)]
        saved = checkpoint.load(run)
        if rows[0] > 1 + (saved["training"]["epoch"] if saved is not None else 0):
            faults.append("the checkpoint is not that of the epoch before")
        if saved is not None:
            checkpoint.check_form(run, saved)
        with contextlib.suppress(RunError) if saved is None else contextlib.nullcontext():
            assert found.weights
    except Exception as error:
        faults.append(f"load_run: {type(error).__name__}: {error}")
    return faults


def equal(whole: Path, run: Path) -> list[str]:
    """Return in what a run differs from one that nothing disturbed, and what is left over."""
    try:
        faults = differences(whole, run)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    names = {path.name for path in whole.iterdir()} - {".hydra"}  # Hydra's copies of the config
    faults += [f"not there: {name}" for name in names - {path.name for path in run.iterdir()}]
    return faults


def judge_run(words: Sequence[str], again: Sequence[str]) -> Judge:
    """Return a judge of one run: `words` begin it, `again` goes on."""

    def judge(place: Place) -> list[str]:
        run = place.root / RUN
        if not (run / "run.json").exists():
            faults: list[str] = []
            expect(faults, "started again", *words)
        else:
            faults = readable(run)
            expect(faults, "compare", "compare", run)
            expect(faults, "resumed", *again)
        return faults + equal(place.whole / RUN, run)

    return judge


# Runs --------------------------------------------------------------------------------------------


def training(*more: str) -> list[str]:
    """Return the command of a run."""
    return [*SETTINGS, *more, f"hydra.run.dir={RUN}"]


def begun(*more: str) -> Callable[[Place], None]:
    """Return what prepares a run that was killed in the middle."""

    def prepare(place: Place) -> None:
        write_data(place)
        place.keep_template()
        log = place.log
        log.unlink(missing_ok=True)
        place.command(training(*more), Injection(place.root, log=log))
        place.restore()
        middle = len(log.read_text().splitlines()) * 2 // 3
        while (
            place.command(training(*more), Injection(place.root, middle, KINDS["kill"])).code >= 0
        ):
            place.restore()
            middle += 1

    return prepare


def finished(*more: str) -> Callable[[Place], None]:
    """Return what prepares a run that has finished."""

    def prepare(place: Place) -> None:
        write_data(place)
        ended = place.command(training(*more))
        if ended.code:
            raise RuntimeError(ended.text)

    return prepare


LOGGED = ("diagnostics=true", "profile=true", "data.validation=3", "epochs=1")
RESUME = ["resume", RUN]
EXTEND = [*RESUME, "epochs=3"]
RUNS = [
    Scenario("run", write_data, training(), judge_run(training(), RESUME)),
    Scenario(
        "run with diagnostics and profile",
        write_data,
        training(*LOGGED),
        judge_run(training(*LOGGED), RESUME),
    ),
    Scenario("resume of a killed run", begun(), RESUME, judge_run(training(), RESUME)),
    Scenario("resume for another epoch", finished(), EXTEND, judge_run(training(), EXTEND)),
]

# Sweeps ------------------------------------------------------------------------------------------

SWEEP = "sweep"


def sweeping(seeds: str) -> list[str]:
    """Return the command of a sweep over seeds."""
    shorter = ("epochs=1", "checkpoint.every=epoch")
    return ["-m", *SETTINGS, *shorter, f"seed={seeds}", f"hydra.sweep.dir={SWEEP}"]


def jobs_in(folder: Path) -> dict[int, Path]:
    """Return the folders of a sweep's jobs by their seeds."""
    from cnnexp import load_run

    runs = [path.parent for path in sorted(folder.glob("*/run.json"))]
    return {load_run(run).config["seed"]: run for run in runs}


def judge_sweep(words: Sequence[str]) -> Judge:
    """Return a judge of a sweep, which goes on when it is started again."""

    def judge(place: Place) -> list[str]:
        faults: list[str] = []
        for record in sorted((place.root / SWEEP).glob("*/run.json")):
            faults += readable(record.parent)
        if any((place.root / SWEEP).glob("*/run.json")):
            expect(faults, "compare", "compare", SWEEP)
        expect(faults, "started again", *words)
        whole, found = (jobs_in(folder / SWEEP) for folder in (place.whole, place.root))
        if whole.keys() != found.keys():
            return [*faults, f"jobs with the seeds {sorted(found)}"]
        for seed, run in whole.items():
            faults += equal(run, found[seed])
        return faults

    return judge


def half_done(place: Place) -> None:
    """Prepare a sweep with one job that has finished, and one that was killed."""
    write_data(place)
    place.command(sweeping("0"))
    place.keep_template()
    place.log.unlink(missing_ok=True)
    place.command(sweeping("0,1"), Injection(place.root, log=place.log))
    place.restore()
    names = [line.split("\t")[0] for line in place.log.read_text().splitlines()]
    middle = max(k for k, name in enumerate(names, 1) if name in KINDS["kill"].operations)
    while not any((place.root / SWEEP).glob("*/checkpoint.pkl")) or _all_done(place):
        place.restore()
        middle -= 12
        place.command(sweeping("0,1"), Injection(place.root, middle, KINDS["kill"]))


def _all_done(place: Place) -> bool:
    from cnnexp import load_run

    runs = jobs_in(place.root / SWEEP).values()
    return len(runs) < 2 or all(load_run(run).status == "finished" for run in runs)


ONE, TWO = (sweeping(seeds) for seeds in ("0", "0,1"))
SWEEPS = [
    Scenario("sweep of two jobs", write_data, TWO, judge_sweep(TWO), who="parent"),
    Scenario("job of a sweep", write_data, ONE, judge_sweep(ONE), who="jobs"),
    Scenario("sweep that is repeated", half_done, TWO, judge_sweep(TWO), who="parent"),
]
