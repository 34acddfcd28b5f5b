"""Kill a training run at random moments, resume it, and compare it with one that was never stopped.

A run is started as a process of its own and killed by SIGKILL at a random moment, anywhere from its
first import to its last file. Then ``cnnexp resume`` goes on with it until it is done; one resume
in three is killed as well. A run that was killed before it wrote its record is started again. In
the end it must have the same bits in every array of ``weights.pkl``, the same rows in all logs but
for seconds and rates, the same results in ``run.json``, and nothing left over. There are four kinds
of runs in turn: gradient descent with Nesterov's momentum; Adam; a residual network with batch
normalisation and dropout; and one with all that chooses and averages: early stopping, best weights,
a moving average, accumulated gradients and diagnostics.
"""

from __future__ import annotations

import argparse
import csv
import json
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.machine import describe

SUMMARY = "kill runs at random moments, resume them, and compare"
NEEDS = ()
SHOWN = ("run", "optimizer", "killed_after_seconds", "found_at_the_kill", "outcome")

RESIDUAL = (
    "[{type: conv, filters: 8, kernel_size: 3, padding: same}, {type: batch_norm}, {type: relu},"
    " {type: residual, layers: [{type: conv, filters: 8, kernel_size: 3, padding: same},"
    " {type: batch_norm}, {type: relu}, {type: dropout, rate: 0.2}]}, {type: max_pool,"
    " kernel_size: 2}, {type: flatten}, {type: dropout}, {type: dense, activation: softmax}]"
)
SETTINGS = {
    "sgd": ["optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true"],
    "adam": ["optimizer=adam", "schedule=triangle"],
    "residual": ["optimizer=adamw", f"model.layers={RESIDUAL}"],
    "chosen": [
        "schedule=constant",
        "early_stopping.patience=2",
        "early_stopping.metric=validation_loss",
        "best_weights=true",
        "ema=0.95",
        "accumulate=3",
        "diagnostics=true",
    ],
}
COMMON = [
    "data=digits",
    "data.limit=600",
    "data.validation=0.1",
    "batch_size=4",
    "impl.threads=2",
    "impl.micro_batch=2",
    "epochs=4",
    "checkpoint.every=7",
    "model.layers.0.filters=8",
]
KILL_AGAIN = 1 / 3
MOST_KILLS = 4  # of one run
LOGS = ("epochs.csv", "batches.csv", "histograms.csv", "diagnostics.csv", "per_class.csv")
VARYING = ("seconds", "eval_seconds", "samples_per_second")
VARYING_RESULTS = (*VARYING, "seconds_per_epoch")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=50, help="how many runs are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="keep the runs here")


def measure(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Run all rounds; runs that came out different end the program with exit code 1."""
    root = asked.folder or Path(tempfile.mkdtemp(prefix="kill_and_resume_"))
    kills = 2 if asked.quick else asked.kills
    equal = 0
    try:
        for row in run_rounds(root, kills, random.Random(asked.seed)):
            equal += row["outcome"] == "equal"
            yield row | describe()
    finally:
        if asked.folder is None:
            shutil.rmtree(root)
    print(f"{equal} of {kills} equal")
    if equal < kills:
        raise SystemExit(1)


def run_rounds(root: Path, kills: int, moments: random.Random) -> Iterator[dict[str, Any]]:
    """Kill and resume runs, and say of each how it came out."""
    unbroken = {name: run_unbroken(root / f"unbroken_{name}", name) for name in SETTINGS}
    for k in range(kills):
        name = list(SETTINGS)[k % len(SETTINGS)]
        folder = root / str(k)
        whole, seconds = unbroken[name]
        times, places = run_broken(folder, name, seconds, moments)
        faults = differences(whole, folder)
        yield {
            "run": k + 1,
            "optimizer": name,
            "killed_after_seconds": " ".join(f"{moment:.2f}" for moment in times),
            "found_at_the_kill": ", ".join(places),
            "outcome": "; ".join(faults) or "equal",
        }
        shutil.rmtree(folder)


def run_unbroken(folder: Path, name: str) -> tuple[Path, float]:
    """Make a run that nothing stops; return its folder and the seconds of its whole process."""
    start = time.perf_counter()
    subprocess.run(training(folder, name), check=True, stdout=subprocess.DEVNULL)
    return folder, time.perf_counter() - start


def run_broken(
    folder: Path, name: str, seconds: float, moments: random.Random
) -> tuple[list[float], list[str]]:
    """Kill a run, and go on with it until it is done; return when, and what was there then."""
    times: list[float] = []
    places: list[str] = []
    while True:
        begun = (folder / "run.json").exists()
        command = [*cnnexp(), "resume", str(folder)] if begun else training(folder, name)
        wanted = not times or (len(times) < MOST_KILLS and moments.random() < KILL_AGAIN)
        moment = moments.uniform(0, seconds) if wanted else None
        if run_until(command, moment):
            if times:
                return times, places
            shutil.rmtree(folder)  # it was done before its moment came: draw again
        elif moment is not None:
            times.append(moment)
            places.append(place_of(folder))


def run_until(command: list[str], moment: float | None) -> bool:
    """Run a command, killed at a moment if one is given; return whether it ended by itself."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        code = child.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        code = child.wait()
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(command)}: ended with exit code {code}")
    return code == 0


def cnnexp() -> list[str]:
    """Return the words that start the program."""
    return [sys.executable, "-m", "cnnexp"]


def training(folder: Path, name: str) -> list[str]:
    """Return the command that starts a run in a folder."""
    return [*cnnexp(), *COMMON, *SETTINGS[name], f"hydra.run.dir={folder}"]


def place_of(folder: Path) -> str:
    """Say how far a run had come when it was killed."""
    if not (folder / "run.json").exists():
        return "no record"
    if (folder / "weights.pkl").exists():
        return "weights"
    rows = len(log_rows(folder / "batches.csv"))
    return f"batch {rows}" if rows else "record"


def differences(whole: Path, broken: Path) -> list[str]:
    """Return in what a resumed run differs from an unbroken one; nothing if it is the same."""
    faults = [
        *_array_differences(weights(whole), weights(broken)),
        *(f"{name} differs" for name in LOGS if log_rows(whole / name) != log_rows(broken / name)),
    ]
    if results(whole) != results(broken):
        faults.append("results in run.json differ")
    faults += [f"left over: {path.name}" for path in broken.rglob("*.tmp")]
    return faults


def _array_differences(wanted: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> list[str]:
    if wanted.keys() != found.keys():
        return ["other arrays in weights.pkl"]
    return [
        f"{name} differs"
        for name, array in wanted.items()
        if array.dtype != found[name].dtype or array.tobytes() != found[name].tobytes()
    ]


def weights(folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a run."""
    found: dict[str, np.ndarray] = pickle.loads((folder / "weights.pkl").read_bytes())
    return found


def log_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a log without seconds and rates."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key not in VARYING}
            for row in csv.DictReader(file)
        ]


def results(folder: Path) -> dict[str, object]:
    """Return the status and the figures in ``run.json``, without seconds and rates."""
    record = json.loads((folder / "run.json").read_bytes())
    figures = {k: v for k, v in record["results"].items() if k not in VARYING_RESULTS}
    return figures | {"status": record["status"], "fingerprint": record["fingerprint"]}
