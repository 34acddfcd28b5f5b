"""Every layer, loss, metric, optimizer and schedule beside PyTorch, over fifty steps in float64.

``python -m tests.agreement`` measures all of it, writes ``experiments/results/pytorch.csv``, and
the table of ``docs/agreement.md`` from that. Where PyTorch has nothing of the kind, the other side
is the formula of the paper, written in PyTorch's functions; gradients are found by PyTorch's
differentiation in any case.
"""

from __future__ import annotations

import contextlib
import csv
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine import IMPLEMENTATIONS as TABLE
from cnnexp.nn.losses import METRICS
from cnnexp.runs.environment import cpu_name
from cnnexp.train import OPTIMIZERS
from cnnexp.train.schedules import ReduceOnPlateau, Triangle
from experiments.benchmarks.results import refuse_changes
from experiments.provenance import commit
from tests.nn.test_fifty_steps import CASES, STEPS, difference
from tests.train import test_schedules as schedules
from tests.train.test_optimizers import parameters_of

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results" / "pytorch.csv"
IMPLS = ("sg", "im2col", "fast", "compiled")
COLUMNS = ("kind", "name", "peer", "steps", "largest_difference", "remark", *IMPLS)
FORMULA = "formula in torch functions"
LOSS_PEERS = {
    "cross_entropy": "functional.cross_entropy",
    "focal": FORMULA,
    "hinge": "functional.multi_margin_loss",
    "binary_cross_entropy": "functional.binary_cross_entropy_with_logits",
    "mean_squared_error": "functional.mse_loss",
    "mean_absolute_error": "functional.l1_loss",
    "huber": "functional.huber_loss",
}
NO_MODULE = {  # layers that PyTorch has as a function, or in parts
    "separable_conv": "functional.conv2d, twice",
    "depthwise_conv": "functional.conv2d, groups",
    "pointwise_conv": "functional.conv2d, 1x1",
    "block": "the layers inside",
    "residual": "the layers inside, and +",
    "concat": "cat",
    "crop": "indexing",
    "reshape": "reshape",
    "flatten": "reshape",
    "upsample": "repeat_interleave",
    "dropout": "our mask, multiplied",
    "spatial_dropout": "our mask, multiplied",
    "batch_norm": "formula in torch functions, with running statistics",
    "global_avg_pool": "mean",
    "global_max_pool": "max",
    "dense": "matmul",
    "conv": "functional.conv2d",
    "transposed_conv": "functional.conv_transpose2d",
    "max_pool": "functional.max_pool2d",
    "avg_pool": "functional.avg_pool2d",
    "layer_norm": "functional.layer_norm",
    "group_norm": "functional.group_norm",
    "pad": "functional.pad",
    "gelu": "functional.gelu, tanh",
    "hard_swish": "functional.hardswish",
}


class Row(NamedTuple):
    """One comparison; `difference` is the largest of any number after any step.

    Layers and losses have one `by` each implementation.
    """

    kind: str
    name: str
    peer: str
    difference: float
    remark: str = ""
    by: Mapping[str, float] = MappingProxyType({})


def rows() -> Iterator[Row]:
    """Measure everything."""
    yield from of_layers_and_losses()
    yield from of_metrics()
    yield from of_optimizers()
    yield from of_schedules()


def of_layers_and_losses() -> Iterator[Row]:
    """Yield the largest difference of any parameter or state, under the implementations but naive.

    With four loops that would take an hour; `test_fifty_steps` has it among the long tests.
    """
    for case in CASES:
        name, _, variant = case.replace(",", "").partition(" ")
        kind = "loss" if name in LOSS_PEERS else "layer"
        peer = LOSS_PEERS.get(name, NO_MODULE.get(name, f"functional.{name}"))
        by = {impl: difference(case, impl) for impl in IMPLS if not TABLE[impl].missing()}
        yield Row(kind, name, peer, max(by.values()), variant, by)


def of_metrics() -> Iterator[Row]:
    """Yield the largest difference of a metric of fifty random batches."""
    import torch

    def beyond(k: int) -> Callable[[Any, Any], Any]:
        return lambda Z, Y: (Z.topk(k, dim=1).indices != Y[:, None]).all(dim=1).sum()

    def binary(Z: Any, Y: Any) -> Any:
        wanted = torch.nn.functional.one_hot(Y, Z.shape[1]).bool()
        return ((Z > 0) != wanted).double().mean(dim=1).sum()

    peers: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
        "error": (lambda Z, Y: (Z.argmax(dim=1) != Y).sum(), "argmax"),
        "binary_error": (binary, FORMULA),
        "top_3_error": (beyond(3), "topk"),
        "top_5_error": (beyond(5), "topk"),
        "mean_absolute_error": (
            lambda Z, Y: torch.nn.functional.l1_loss(Z, Y) * len(Z),
            "functional.l1_loss",
        ),
    }
    rng = np.random.default_rng(0)
    for name, (peer, words) in peers.items():
        worst = 0.0
        for _ in range(STEPS):
            Z, Y = rng.standard_normal((40, 9)), rng.integers(0, 9, 40)
            targets = rng.standard_normal((40, 9)) if name == "mean_absolute_error" else Y
            theirs = float(peer(torch.tensor(Z), torch.tensor(targets)))
            worst = max(worst, abs(METRICS[name](Z, targets) - theirs))
        yield Row("metric", name, words, worst)


def of_optimizers() -> Iterator[Row]:
    """Yield the largest difference of a parameter over fifty steps down a crooked valley."""
    import torch

    optim = torch.optim
    peers: dict[str, tuple[Any, str]] = {
        "sgd": (lambda p: optim.SGD(p, 0.03, 0.9, nesterov=True), "optim.SGD"),
        "adam": (lambda p: optim.Adam(p, 0.03), "optim.Adam"),
        "adamw": (lambda p: optim.AdamW(p, 0.03, weight_decay=0.01), "optim.AdamW"),
        "adagrad": (lambda p: optim.Adagrad(p, 0.03), "optim.Adagrad"),
        "rmsprop": (lambda p: optim.RMSprop(p, 0.03), "optim.RMSprop"),
        "nadam": (lambda p: optim.NAdam(p, 0.03), "optim.NAdam"),
        "lion": (_Lion, FORMULA),
        "lamb": (_Lamb, FORMULA),
    }
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # of NAdam's product of momenta
    for name, (make, words) in peers.items():
        yield Row("optimizer", name, words, _optimizer_difference(name, make))
    torch.set_default_dtype(before)


def _optimizer_difference(name: str, make: Callable[[Any], Any]) -> float:
    import torch

    rng = np.random.default_rng(0)
    values, names = rng.standard_normal(30), parameters_of(30)
    tensor = torch.tensor(values.copy(), requires_grad=True)
    peer, optimizer, worst = make([tensor]), OPTIMIZERS[name](), 0.0
    state = optimizer.initial_state(names, values)
    for _ in range(STEPS):
        slope = rng.standard_normal(30)
        peer.zero_grad()
        (torch.cos(tensor).sum() + (tensor * torch.tensor(slope)).sum()).backward()
        peer.step()
        optimizer.step(values, slope - np.sin(values), state, 0.03, names)
        worst = max(worst, float(np.abs(values - tensor.detach().numpy()).max()))
    return worst


class _Formula:
    """An optimizer of one tensor, as its paper has it."""

    def __init__(self, tensors: list[Any]) -> None:
        (self.w,) = tensors
        self.m, self.v, self.t = 0 * self.w.detach(), 0 * self.w.detach(), 0

    def zero_grad(self) -> None:
        self.w.grad = None


class _Lion(_Formula):
    """Algorithm 2 of Chen et al., 2023, without decay."""

    def step(self) -> None:
        g, w = self.w.grad, self.w.data
        w -= 0.03 * (0.9 * self.m + 0.1 * g).sign()
        self.m = 0.99 * self.m + 0.01 * g


class _Lamb(_Formula):
    """Algorithm 2 of You et al., 2019, with a decay of 0.01."""

    def step(self) -> None:
        g, w = self.w.grad, self.w.data
        self.t += 1
        self.m, self.v = 0.9 * self.m + 0.1 * g, 0.999 * self.v + 0.001 * g * g
        m, v = self.m / (1 - 0.9**self.t), self.v / (1 - 0.999**self.t)
        update = m / (v.sqrt() + OPTIMIZERS["lamb"]().epsilon) + 0.01 * w
        w -= 0.03 * w.norm() / update.norm() * update


def of_schedules() -> Iterator[Row]:
    """Yield the largest difference of a factor over sixty steps, twelve epochs of five."""
    import torch

    kinds = torch.optim.lr_scheduler
    peers = schedules.peers(torch)
    half = schedules.STEPS // 2
    peers["triangle"] = (
        lambda o: kinds.CyclicLR(o, 0.0, 1.0, half, half, cycle_momentum=False),
        1,
        Triangle(warmup=0.5),
    )
    for case, (make, every, schedule) in peers.items():
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        peer, theirs = make(optimizer), []
        for k in range(schedules.STEPS):
            if k and k % every == 0:
                optimizer.step()
                peer.step()
            theirs.append(optimizer.param_groups[0]["lr"])
        name, _, variant = case.partition(" ")
        worst = float(np.abs(np.array(schedules.factors(schedule)) - theirs).max())
        yield Row("schedule", name, f"lr_scheduler.{type(peer).__name__}", worst, variant)
    yield _plateau()


def _plateau() -> Row:
    import torch

    losses = [1.0, 0.8, 0.8, 0.79999, 0.9, 0.7, 0.71, 0.72, 0.73, 0.5, 0.51, 0.52]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", 0.5, 1, min_lr=0.2, eps=0)
    theirs: list[float] = []
    for loss in losses:
        theirs += [optimizer.param_groups[0]["lr"]] * schedules.PER_EPOCH
        peer.step(loss)
    ours = schedules.factors(ReduceOnPlateau(patience=1, fall=0.5, least=0.2), losses)
    worst = float(np.abs(np.array(ours) - theirs).max())
    return Row("schedule", "reduce_on_plateau", "lr_scheduler.ReduceLROnPlateau", worst)


def read() -> list[dict[str, str]]:
    """Return the rows that were written."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def write(found: list[Row]) -> None:
    """Write the file of results, with what was compared."""
    import torch

    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        file.write("# python -m tests.agreement; float64\n")
        file.write(f"# torch {torch.__version__}, numpy {np.__version__},")
        file.write(f" python {sys.version.split()[0]}, {cpu_name()}, commit {commit()}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in found:
            steps = schedules.STEPS if row.kind == "schedule" else STEPS
            figures = [_figure(row.by.get(impl)) for impl in IMPLS]
            writer.writerow(
                [row.kind, row.name, row.peer, steps, _figure(row.difference), row.remark, *figures]
            )


def _figure(difference: float | None) -> str:
    """Return a difference as text; none where there is nothing of the kind."""
    if difference is None:
        return ""
    return f"{difference:.1e}" if difference else "0"


if __name__ == "__main__":
    refuse_changes(RESULTS.parent)
    with contextlib.suppress(BrokenPipeError):
        measured = []
        for row in rows():
            print(f"{row.kind:10}{row.name:22}{row.difference:8.1e}  {row.peer} {row.remark}")
            measured.append(row)
    write(measured)
    subprocess.run([sys.executable, ROOT / "docs" / "tables.py", ROOT / "docs" / "agreement.md"])
