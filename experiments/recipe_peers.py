"""An epoch of the two MNIST recipes beside PyTorch: ``python -m experiments.recipe_peers``.

Networks, batches of 128 and the optimizer are those of ``mnist_best`` and ``mnist_minute``, on two
workers, without augmentation. Ours, `compiled` and `fast`, and both layouts of PyTorch take turns
in processes of their own; an epoch has 60,000 images. It needs ``pip install 'cnnexp[peers]'``.
"""

from __future__ import annotations

import statistics

from experiments.benchmarks.jobs import LAYOUTS, MNIST, Job, installed
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import RAISED_MALLOC, Worker, train

OURS = ("compiled", "fast")
NETS = {"vgg_bn": 16, "lenet5_bn": 80}  # and mini-batches of a turn
ROUNDS = 5


def main() -> None:
    """Print a line for each network and side."""
    with Worker(RAISED_MALLOC) as ours, Worker(RAISED_MALLOC) as theirs:
        machine = ours.call(describe)
        print(", ".join(f"{key} {machine[key]}" for key in ("cpu", "blas_architecture", "commit")))
        for net, count in NETS.items():
            impls = [impl for impl in OURS if impl in installed()]
            jobs = {Job(net, impl, threads=2): ours for impl in impls}
            jobs |= {Job(net, layout, threads=2): theirs for layout in LAYOUTS}
            times: dict[Job, list[float]] = {job: [] for job in jobs}
            for turn in range(ROUNDS + 1):
                for job, worker in jobs.items():
                    seconds = worker.call(train, job, count) / count * MNIST / job.batch
                    if turn:  # the first one warms up
                        times[job].append(seconds)
            for job, found in times.items():
                middle, least, most = statistics.median(found), min(found), max(found)
                print(f"{net:<10} {job.by:<15} {middle:5.1f} s ({least:.1f} to {most:.1f})")


if __name__ == "__main__":
    main()
