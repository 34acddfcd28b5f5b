"""Seconds of training to 99 % on MNIST, and to 98 % without convolutions, ours and PyTorch's.

Ours is the study ``experiments/mnist_99.yaml``, run as anybody runs it, by `compiled` and by
`fast`; its run folders stay in ``outputs/benchmarks/mnist_99``, where ``compare`` reads them.
PyTorch trains by the same recipe, read from the records of those runs: the same batches' size,
steps, momentum, weight decay and schedule, and the same initial weights. The recipe was chosen on a
validation part; the seeds 0 to 4 were fixed beforehand; each run trains on all 60,000 images and is
judged by its end. Seconds are those of training alone; PyTorch runs in the layout that is faster.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.benchmarks.jobs import LAYOUTS, Job, installed
from experiments.benchmarks.machine import describe, has_torch
from experiments.benchmarks.processes import RAISED_MALLOC, Worker, changed_environment, train

SUMMARY = "seconds to 99 % on MNIST (lenet5) and to 98 % (flat), by the same recipe"
NEEDS = ()
SHOWN = ("net", "by", "seed", "threads", "epochs", "seconds", "test_error", "target", "reached")
FILE = "mnist_99_peers"  # the study itself has a file of its own
FOLDER = Path("outputs/benchmarks/mnist_99")
# what each net shall reach, and what it changes in the study
TARGETS: dict[str, tuple[float, list[str]]] = {
    "lenet5": (0.01, []),
    "flat": (
        0.02,
        ["model=flat", "learning_rate=0.2", "epochs=10", "optimizer.weight_decay=0.0003"],
    ),
}
OURS = ("compiled", "fast")
OF_SGD = ("momentum", "nesterov", "weight_decay")
SEEDS = (0, 1, 2, 3, 4)
QUICK = ["data.limit=2000", "epochs=1"]
PROBE = 30  # batches, to find the faster layout

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--no-peer", action="store_true", help="leave PyTorch out")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Run the study, then PyTorch on the recipe of its runs."""
    here = installed()
    seeds = "seed=" + ",".join(map(str, asked.seeds[:1] if asked.quick else asked.seeds))
    for net in asked.nets:
        target, changes = TARGETS[net]
        folder = FOLDER / net
        words = [seeds, *changes, *(QUICK if asked.quick else [])]
        runs = {by: run_study(folder / by, [f"impl={by}", *words]) for by in OURS if by in here}
        with Worker() as worker:
            machine = worker.call(describe)
            rows = [worker.call(recorded, run) for found in runs.values() for run in found]
            if has_torch() and not asked.no_peer:
                rows += peers(worker, runs["fast"])
        for row in rows:
            reached = row["test_error"] <= target
            yield {"net": net, **row, "target": target, "reached": reached} | machine


def run_study(folder: Path, changes: list[str]) -> list[Path]:
    """Run the study as a user does, and return its run folders in order of seeds."""
    from cnnexp.runs.finding import find_runs

    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "cnnexp", "experiments=mnist_99", f"sweep.dir={folder}"]
    command.append("sweep.jobs=1")  # a run has all cores, as PyTorch has
    with changed_environment(RAISED_MALLOC):
        subprocess.run([*command, *changes], check=True, stdout=subprocess.DEVNULL)
    return [Path(run) for run in find_runs(folder)]


def recorded(run: Path) -> Row:
    """Return what a run of ours recorded."""
    from cnnexp.runs.reading import load_run

    found = load_run(run)
    return {
        "by": found.config["impl"]["name"],
        "seed": found.config["seed"],
        "threads": found.record["network"]["threads"],
        "epochs": found.config["epochs"],
        "seconds": found.results["seconds"],
        "test_error": found.results["test_error"],
    }


def peers(worker: Worker, runs: list[Path]) -> Iterator[Row]:
    """Train PyTorch by the recipe of each run."""
    layout = worker.call(faster_layout, runs[0])
    for run in runs:
        yield worker.call(trained_peer, run, layout)


def faster_layout(run: Path) -> str:
    """Return the layout in which PyTorch trains the net of a run faster, on made images."""
    from cnnexp.runs.reading import load_run

    config = load_run(run).config
    times = {}
    for layout in LAYOUTS:
        job = Job(config["model"]["name"], layout, config["batch_size"], _threads(run))
        times[layout] = min(train(job, PROBE) for _ in range(4))
    return min(times, key=lambda layout: times[layout])


def _threads(run: Path) -> int:
    """Return the threads for PyTorch: all cores, as `auto` gives ours."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def trained_peer(run: Path, layout: str) -> Row:
    """Train PyTorch by the recipe of a run, from its initial weights, and test it once."""
    import torch

    from cnnexp.runs.reading import load_run
    from cnnexp.runs.rebuild import build_network
    from experiments.benchmarks.peer import Peer, optimizer_of

    found = load_run(run)
    config, dataset = found.config, found.dataset
    threads = _threads(run)
    job = Job(config["model"]["name"], layout, config["batch_size"], threads)
    peer = Peer(job, dataset.train)
    peer.load(build_network(config, dataset.image_shape).weights())
    assert config["optimizer"]["name"] == "sgd", "the peer knows no other"
    options = {key: config["optimizer"][key] for key in OF_SGD}  # the study has no other one
    peer.optimizer = optimizer_of(peer.module, config["learning_rate"], **options)
    torch.manual_seed(config["seed"])
    start = time.perf_counter()
    follow(peer, config)
    seconds = time.perf_counter() - start
    return {
        "by": layout,
        "seed": config["seed"],
        "threads": threads,
        "epochs": config["epochs"],
        "seconds": seconds,
        "test_error": peer.wrong(dataset.test),
    }


def follow(peer: Any, config: dict[str, Any]) -> None:
    """Train all epochs, with the schedule's rate for every batch."""
    import torch

    from cnnexp.train import SCHEDULES
    from cnnexp.train.schedule import Moment

    options = {key: value for key, value in config["schedule"].items() if key != "name"}
    schedule = SCHEDULES[config["schedule"]["name"]](**options)
    samples, epochs = len(peer.Y), config["epochs"]
    per_epoch = -(-samples // config["batch_size"])
    done = 0
    (group,) = peer.optimizer.param_groups
    for epoch in range(1, epochs + 1):
        steps = peer.epoch(torch.randperm(samples))
        while True:
            moment = Moment(done, epoch, per_epoch, epochs)
            group["lr"] = config["learning_rate"] * schedule.factor(moment)
            if next(steps, False) is False:
                break
            done += 1
