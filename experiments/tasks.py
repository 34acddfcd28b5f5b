"""Everything that is measured, in an order: what it writes, how long it takes, and what it is of.

A task names the code on which its figures depend. If that code has changed since the commit in its
file, the figures are old.
"""

from __future__ import annotations

from typing import NamedTuple

ENGINE = ("cnnexp/engine", "cnnexp/nn")
TRAINING = (*ENGINE, "cnnexp/train", "cnnexp/data")
STUDY = "python -m cnnexp experiments={}"
BENCHMARK = "python -m experiments.benchmarks {}"
PART = "python -m experiments.reliability {}"


class Task(NamedTuple):
    """One measurement.

    Attributes
    ----------
    name : str
        What ``--only`` takes.
    command : str
        The command that measures it, as one would type it.
    file : str
        The CSV file below ``experiments/results``; a picture of the same name goes with it.
    minutes : float
        About how long it takes on two cores.
    of : tuple of str
        The code on which its figures depend.
    needs : tuple of str
        Packages without which it cannot be measured, or not as a whole.
    reads : tuple of str
        Files of other tasks, which are measured before it, of which some of its rows are.
    """

    name: str
    command: str
    file: str
    minutes: float
    of: tuple[str, ...]
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def study(self) -> str:
        """The name of the study, if it is one."""
        return self.name if self.command == STUDY.format(self.name) else ""


def study(name: str, minutes: float, *needs: str) -> Task:
    """Return the task of a study: runs of the command line, which leave run folders."""
    of = (*TRAINING, "conf", f"experiments/{name}.yaml")
    return Task(name, STUDY.format(name), f"{name}.csv", minutes, of, needs)


def benchmark(words: str, minutes: float, *of: str, needs: tuple[str, ...] = ()) -> Task:
    """Return the task of a benchmark; its options follow its name."""
    name = words.partition(" ")[0]
    file = {"mnist_99": "mnist_99_peers"}.get(name, name)
    own = f"experiments/benchmarks/{name}.py"
    title = f"{name}_benchmark" if name in ("mnist_99", "agreement", "growth", "sweeps") else name
    return Task(title, BENCHMARK.format(words), f"{file}.csv", minutes, (*of, own), needs)


def part(words: str, minutes: float, *of: str, needs: tuple[str, ...] = ()) -> Task:
    """Return the task of a part of the page on reliability; its options follow its name."""
    name = words.partition(" ")[0]
    own = f"experiments/reliability/{name}.py"
    file = f"reliability/{name}.csv"
    return Task(f"reliability_{name}", PART.format(words), file, minutes, (*of, own), needs)


TASKS = (
    # First what tells whether the rest is worth measuring.
    benchmark("agreement", 0.7, *TRAINING, needs=("torch",)),
    Task("pytorch", "python -m tests.agreement", "pytorch.csv", 0.5,
         (*TRAINING, "tests/agreement.py", "tests/nn/networks.py", "tests/nn/test_fifty_steps.py",
          "tests/train/test_schedules.py", "tests/train/test_optimizers.py"), ("torch",)),
    Task("exchange", "python -m experiments.exchange", "exchange.csv", 0.3,
         ("cnnexp/exchange", *ENGINE, "experiments/exchange.py"), ("torch", "onnx", "onnxruntime")),
    # Speed and memory.
    benchmark("speed", 21, *TRAINING, needs=("torch", "numba")),
    benchmark("peers", 8, *TRAINING, needs=("torch", "numba")),
    benchmark("recipes", 1.5, *TRAINING, needs=("torch", "numba")),
    benchmark("memory", 2, *ENGINE, needs=("torch",)),
    benchmark("layer_pass", 0.1, *ENGINE),
    benchmark("growth", 1.2, *ENGINE),
    benchmark("steps", 1.5, *TRAINING),
    benchmark("naive_to_fast", 1, "docs/notebooks/6_naive_to_fast.ipynb"),
    benchmark("batch_norm", 1.5, *TRAINING, needs=("torch",)),
    benchmark("data_path", 2.5, *TRAINING),
    benchmark("workers", 3, *TRAINING, needs=("numba",)),
    benchmark("tuning", 0.7, *TRAINING, needs=("numba",)),
    benchmark("phases", 0.2, *TRAINING, needs=("numba",)),
    benchmark("gpu", 5, *TRAINING, needs=("cupy", "torch")),
    benchmark("augmentation --rounds 5", 3.5, *TRAINING),
    Task("landing", "python -m experiments.landing", "landing.csv", 0.7,
         (*TRAINING, "experiments/landing.py"), ("torch",)),
    Task("stride_groups_scaling", "python -m experiments.stride_groups_scaling",
         "stride_groups_scaling.csv", 0.5, (*ENGINE, "experiments/stride_groups_scaling.py")),
    # Runs and sweeps.
    benchmark("run_folders", 0.5, "cnnexp/runs"),
    benchmark("sweeps", 1, "cnnexp/app", "cnnexp/runs"),
    benchmark("kill_and_resume --kills 24", 3.5, "cnnexp/runs", "cnnexp/train", "cnnexp/app"),
    benchmark("live_page", 1, "cnnexp/report/live", "cnnexp/nn", needs=("playwright",)),
    # Studies, the quick ones first.
    study("original_flat", 0.7),
    study("original_cnn", 0.3),
    study("naive_vs_sg", 1),
    study("seeds", 1),
    study("search_cnn", 0.6, "optuna"),
    study("learning_rates", 2),
    study("initialisation", 1.5),
    study("depth", 2),
    study("batch_size", 5),
    study("mnist_99", 1),
    benchmark("mnist_99", 5, *TRAINING, needs=("torch",)),
    study("mnist_minute", 2),
    study("mnist_best", 17),
    Task("claims", "python -m experiments.claims", "claims.csv", 0.8,
         (*TRAINING, "experiments/claims.py"), reads=("original_flat.csv", "original_cnn.csv")),
    # Trust: hours.
    part("defects --before 2526773", 10, "cnnexp"),
    part("extremes", 2, *ENGINE),
    part("bounds", 2, "cnnexp/data", "cnnexp/runs"),
    part("growth", 20, *TRAINING),
    part("numbers", 90, *ENGINE, needs=("torch",)),
    part("fuzz --inputs 100000", 60, "cnnexp/data", "cnnexp/runs"),
    part("faults", 30, "cnnexp/runs", "cnnexp/app"),
    part("sweeps", 15, "cnnexp/app", "cnnexp/runs"),
    part("coverage", 30, "cnnexp", needs=("coverage",)),
    part("versions", 30, "pyproject.toml"),
    part("audit", 2, "pyproject.toml"),
    part("mutants", 600, "cnnexp/engine", "cnnexp/nn", "cnnexp/runs", needs=("cosmic_ray",)),
)  # fmt: skip

CURVES = ("drawing", "grouping", "histories", "lines", "plots")
PICTURES = {  # pictures that show no CSV file: the code that they show
    "docs/comparing.png": (*(f"cnnexp/report/{name}.py" for name in CURVES), *TRAINING),
    "docs/pictures/inspect_maps.png": ("cnnexp/report/inside", *ENGINE),
    "docs/pictures/inspect_mistakes.png": ("cnnexp/report/inside", *ENGINE),
    "docs/pictures/inspect_saliency.png": ("cnnexp/report/inside", *ENGINE),
    "docs/pictures/stride_groups.png": ("cnnexp/report/inside", "cnnexp/engine/window.py"),
    "docs/pictures/augmentation.png": ("cnnexp/data/augmentation", "experiments/augmented.py"),
    "docs/pictures/live_page.gif": ("cnnexp/report/live", "experiments/moving_picture.py"),
}
