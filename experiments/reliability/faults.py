"""Let every file operation fail, one after the other, and see what is left.

A command is carried out once to count its file operations below its folder: what it opens, reads,
writes, syncs, closes, renames, makes, removes, locks, lists and asks the state of. Then it is
carried out again for each of them, and that one fails: as on a full disk, on one that stays full,
without a permission, with an I/O error, or by a kill of the process at that point. Afterwards the
folder must be readable, the message must name the place and say what to do, and going on must end
with the bits of a command that nothing disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks import results
from experiments.benchmarks.page import markdown
from experiments.reliability.fault_commands import COMMANDS, DOWNLOADS, served
from experiments.reliability.fault_scenarios import RUNS, SWEEPS, Scenario, command, last_line
from experiments.reliability.injection import KINDS, Injection, Kind, Operation, operations_in
from experiments.reliability.trials import Ended, Place, warm

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "let every file operation of runs, sweeps and downloads fail once"
SHOWN = ("scenario", "kind", "operations", "trials", "refused", "went_on", "failures", "seconds")
SCENARIOS = [*RUNS, *SWEEPS, *DOWNLOADS, *COMMANDS]
QUICK = 6  # trials of each kind
CODES = (1, 2)  # of a command that gave up: a run or a job failed, or what was asked cannot be done
REMEDY = re.compile(
    r"Make room|Check|Choose|Give|Put|Delete|Remove|Stop|resume|the same command|again", re.I
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", action="append", help="only this one; may be repeated")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this kind")
    parser.add_argument("--every", type=int, default=1, help="only every n-th operation")
    parser.add_argument("--at", type=int, help="only this operation, and print what was said")


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Try all scenarios with all kinds of failures."""
    with tempfile.TemporaryDirectory(prefix="faults_") as folder, warm(), served():
        for scenario in SCENARIOS:
            if not chosen.scenario or scenario.name in chosen.scenario:
                yield from try_scenario(Place(Path(folder)), scenario, chosen)


def try_scenario(
    place: Place, scenario: Scenario, chosen: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Count the operations of a scenario, and let each of them fail in each way."""
    operations = count(place, scenario)
    for kind in KINDS.values():
        wanted = not chosen.kind or kind.name in chosen.kind
        if wanted and (row := try_kind(place, scenario, kind, operations, chosen)):
            yield row


def watch(place: Place, scenario: Scenario, *at: Any, log: Path | None = None) -> Injection:
    """Return what counts the operations of a scenario."""
    return Injection(place.root / scenario.watched, *at, log=log, who=scenario.who)


def count(place: Place, scenario: Scenario) -> list[Operation]:
    """Carry out a scenario undisturbed; keep what it leaves, and return its operations."""
    place.empty()
    scenario.prepare(place)
    place.keep_template()
    place.restore()
    place.log.unlink(missing_ok=True)
    ended = place.command(list(scenario.words), watch(place, scenario, log=place.log))
    if ended.code:
        raise RuntimeError(f"{scenario.name}: {ended.text}")
    place.keep_whole()
    place.text = ended.text
    place.restore()
    with contextlib.chdir(place.root):  # in this process, which remembers what is composed
        command(*scenario.words)
        if faults := scenario.judge(place):
            raise RuntimeError(f"{scenario.name}, undisturbed: {'; '.join(faults)}")
    gc.collect()
    gc.freeze()
    return operations_in(place.log)


def try_kind(
    place: Place,
    scenario: Scenario,
    kind: Kind,
    operations: Sequence[Operation],
    chosen: argparse.Namespace,
) -> dict[str, Any]:
    """Let all operations fail in one way, and return a row; an empty one if there are none."""
    start = cpu_seconds()
    affected = [k for k, each in enumerate(operations, 1) if each.name in kind.operations]
    if not affected:
        return {}
    every = max(chosen.every, len(affected) // QUICK if chosen.quick else 1)
    tried = affected[::every] if chosen.at is None else [chosen.at]
    counts = {"refused": 0, "went_on": 0, "killed": 0}
    failures = []
    for k in tried:
        outcome, faults = try_once(place, scenario, kind, k, operations[k - 1], chosen.at == k)
        counts[outcome] += 1
        if faults:
            failures.append(f"{k} {operations[k - 1].name} {'; '.join(faults)}")
            print(f"    {kind.name} {operations[k - 1]}: {'; '.join(faults)}", flush=True)
    return {
        "scenario": scenario.name,
        "kind": kind.name,
        "operations": len(affected),
        "trials": len(tried),
        **counts,
        "failures": len(failures),
        "first": failures[0] if failures else None,
        "seconds": cpu_seconds() - start,
    }


def cpu_seconds() -> float:
    """Return the processor time of this process and of those that it forked."""
    return sum(os.times()[:4])


def try_once(
    place: Place, scenario: Scenario, kind: Kind, k: int, operation: Operation, verbose: bool
) -> tuple[str, list[str]]:
    """Let one operation fail; return how the command ended, and what is wrong."""
    place.restore()
    ended = place.command(list(scenario.words), watch(place, scenario, k, kind))
    if verbose:
        print(operation, ended.code, ended.text, sep="\n")
    outcome, faults = judge_end(ended, kind, operation)
    other = scenario.only_reads and outcome == "went_on" and ended.text != place.text
    if other and not re.search("cannot be read|damaged", ended.text):
        faults.append("something else is printed, without a word of why")
    return outcome, faults + place.ask(lambda: scenario.judge(place))


def judge_end(ended: Ended, kind: Kind, operation: Operation) -> tuple[str, list[str]]:
    """Say how a command ended, and what is wrong with that."""
    faults = []
    if re.search(r"Traceback|Logging error|Exception ignored", ended.text):
        faults.append(f"a traceback: {last_line(ended.text)}")
    if ended.code == 0:
        return "went_on", faults
    if not kind.errno and ended.code < 0:
        return "killed", faults
    if ended.code not in CODES:
        faults.append(f"exit code {ended.code}: {last_line(ended.text)}")
    if not names(ended.text, operation):
        faults.append(f"the message does not name the place: {last_line(ended.text)}")
    if not REMEDY.search(ended.text):
        faults.append(f"the message does not say what to do: {last_line(ended.text)}")
    return "refused", faults


def names(text: str, operation: Operation) -> bool:
    """Say whether a message names a file, the folder that it is in, or that of the trial."""
    path = Path(operation.path)
    shown = re.sub(r"^\.(.*)\.\d+\.tmp$", r"\1", path.name)
    hidden = path.parent.name.startswith(".")
    folder = path.parent.parent.name if hidden else path.parent.name
    root = [str(parent) for parent in path.parents if parent.name == "root"]
    here = ("error: .:", "hydra.run.dir=run:", *root)  # the working folder
    return any(name in text for name in (shown, folder, *here))


def section(frame: pd.DataFrame) -> str:
    """Return the part of the page."""
    counted = frame[["trials", "refused", "went_on", "killed", "failures"]]
    total = counted.sum()
    head = ["scenario", "failure", "tried", "refused", "went on", "killed", "wrong afterwards"]
    rows = zip(frame["scenario"], frame["kind"], counted.to_numpy().tolist(), strict=True)
    cells = [[scenario, kind, *numbers] for scenario, kind, numbers in rows]
    return f"""## Failures of the disk, and kills, at every file operation

Each command ran once to count its file operations, and then once more for each operation and each
kind of failure: {total["trials"]:,} trials. {total["refused"]:,} commands gave up with a message
that names the place and says what to do, {total["went_on"]:,} went on unharmed, and
{total["killed"]:,} were killed. After each trial the folder had to be readable (`show`, `compare`,
`load_run`), the checkpoint had to load, and the resumed command had to give the bits of an
undisturbed one. All of this held in all but {total["failures"]:,} trials.

A full disk fails where space is needed; a missing permission where a path is opened, listed or
changed; an I/O error anywhere; a kill at every change. A write that fails has written half of its
bytes. Jobs of sweeps are forked, not started anew.

{markdown(head, cells)}
{killed_at_random()}"""


def killed_at_random() -> str:
    """Say what came of runs that were killed at random moments, if that was tried."""
    path = results.FOLDER / "kill_and_resume.csv"
    if not path.exists():
        return ""
    frame = results.read(path)
    kills = sum(len(str(times).split()) for times in frame["killed_after_seconds"])
    equal = int((frame["outcome"] == "equal").sum())
    return (
        f"`python -m experiments.benchmarks kill_and_resume`, at {frame['commit'].iloc[-1]}:"
        f" {len(frame)} runs in processes of their own were killed {kills} times at random moments;"
        f" {equal} of them ended with the bits of an unbroken run.\n"
    )
