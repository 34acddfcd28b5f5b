"""What augmentation costs: an epoch with and without, made ahead by a thread and made in turn.

Every preset of ``conf/augment`` is trained on made images of MNIST's shape by the program's own
trainer, in turns with a training without augmentation. `over_none` is the time with over the time
without. Made ahead, a background thread prepares the next mini-batches while the network trains;
made in turn, each is prepared before its step. `own_seconds` is what an epoch of images takes to be
augmented, with nothing beside it, and `scipy_seconds` what SciPy's `affine_transform` takes for the
affine maps alone, image by image.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

from cnnexp.data.augmentation import Augmentation
from cnnexp.train.batches import AHEAD, mini_batches
from experiments.benchmarks.jobs import MNIST, MODELS, NETS, POOL, Job, made_dataset
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import DEFAULT_MALLOC, Worker, as_columns, in_turns, spread

SUMMARY = "an epoch with and without augmentation, made ahead and made in turn"
NEEDS = ()
SHOWN = ("net", "threads", "augment", "made", "seconds_per_epoch", "over_none", "own_seconds")
PRESETS = ("affine", "elastic", "strong", "mixup")
MADE = {"ahead": AHEAD, "in turn": 0}

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=NETS, default=["cnn", "lenet5"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pool", type=int, default=POOL // 2, help="images of an epoch")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time every net and number of workers, each in a process of its own."""
    if asked.quick:
        asked.nets, asked.threads, asked.rounds, asked.pool = ["flat"], [1], 1, 1_024
    for net in asked.nets:
        for threads in asked.threads:
            with Worker(DEFAULT_MALLOC) as worker:
                machine = worker.call(describe)
                job = Job(net, threads=threads, pool=asked.pool)
                for row in worker.call(measure_job, job, asked.rounds):
                    yield as_columns(job) | row | machine


def measure_job(job: Job, rounds: int) -> list[Row]:
    """Return the rows of a job: all presets in turns, in this process."""
    from experiments.benchmarks.ours import Ours

    cases = {("none", "in turn"): Ours(job)}
    for preset in PRESETS:
        for made, ahead in MADE.items():
            ours = cases[preset, made] = Ours(job)
            trainer = ours.trainer
            batches = mini_batches(
                trainer.network, trainer.dataset, job.batch, 0, augmentations_of(preset)
            )
            trainer._batches = dataclasses.replace(batches, ahead=ahead)
    # Whole epochs: between two turns a thread would get ahead within one.
    timers = {case: _timer(ours) for case, ours in cases.items()}
    figures = in_turns(timers, rounds)  # type: ignore[arg-type, var-annotated]
    without = figures["none", "in turn"]  # type: ignore[index]
    rows = []
    for (preset, made), times in figures.items():  # type: ignore[misc]
        ratios = spread([a / b for a, b in zip(times, without, strict=True)])
        row: Row = {"augment": preset, "made": made, "seconds_per_epoch": spread(times)["median"]}
        row |= {"over_none": ratios["median"], "over_none_low": ratios["low"]}
        own = {"own_seconds": own_seconds(preset), "scipy_seconds": scipy_seconds()}
        rows.append(row | {"over_none_high": ratios["high"]} | own)
    for ours in cases.values():
        ours.network.close()
    return rows


def _timer(ours: Any) -> Any:
    """Return what trains an epoch and gives the seconds, scaled to MNIST's number of images."""
    trainer = ours.trainer
    scale = MNIST / trainer.dataset.train.count
    return lambda: ours.train(trainer.batches_per_epoch) * scale


def augmentations_of(preset: str) -> list[Augmentation]:
    """Return the augmentations of a file in ``conf/augment``."""
    from omegaconf import OmegaConf

    from cnnexp.runs.rebuild import build_augmentations

    file = MODELS.parent / "augment" / f"{preset}.yaml"
    return build_augmentations({"augment": OmegaConf.to_container(OmegaConf.load(file))})


def own_seconds(preset: str, batches: int = 20, batch: int = 128) -> float:
    """Return the seconds to augment MNIST's number of images, by one thread alone."""
    import numpy as np

    from cnnexp.data.augmentation import Augmenter, Pixels
    from cnnexp.data.augmentation.base import Memory

    X = made_dataset(batch).train.X
    augmenter = Augmenter(augmentations_of(preset), X.shape[1:], Pixels(), 0)
    draws, memory, targets = augmenter.draws(1), Memory(), np.eye(10, dtype=X.dtype)[[3] * batch]
    return median(lambda: augmenter(X, targets, draws.of(range(batch)), memory), batches, batch)


def scipy_seconds(batches: int = 20, batch: int = 128) -> float:
    """Return the seconds in which SciPy turns MNIST's number of images, one after the other."""
    import numpy as np
    from scipy.ndimage import affine_transform

    from cnnexp.data.augmentation.geometric import Rotate

    X = made_dataset(batch).train.X[..., 0]
    moves = Rotate().move(np.linspace(0, 1, batch)[:, None], (*X.shape[1:], 1))
    out = np.empty_like(X)

    def turn() -> None:
        for image, move, turned in zip(X, moves, out, strict=True):
            affine_transform(image, move[:, :2], move[:, 2], output=turned, order=1)

    return median(turn, batches, batch)


def median(make: Callable[[], object], batches: int, batch: int) -> float:
    """Return the seconds for MNIST's number of images, by the median over some mini-batches."""
    seconds = []
    for _ in range(batches + 1):
        start = time.perf_counter()
        make()
        seconds.append(time.perf_counter() - start)
    return spread(seconds[1:])["median"] / batch * MNIST
