"""Every layer of the table against every rule, under every implementation.

``python -m tests.nn.test_layer_check`` writes the table of ``docs/layers.md`` again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnexp import LAYERS, Layer, Pointwise
from cnnexp.nn.layer import make_layer
from cnnexp.nn.layer_check import RULES, Subject, check_layer
from tests.nn.networks import IMPLEMENTATIONS

OWN = [name for name in LAYERS if LAYERS[name].__module__.startswith("cnnexp.")]
CONV = {"type": "conv", "filters": 4, "kernel_size": 3, "padding": "same"}
SETTINGS = {
    "conv": {"filters": 3, "kernel_size": [3, 2], "groups": 1},
    "depthwise_conv": {"kernel_size": 3, "multiplier": 2},
    "pointwise_conv": {"filters": 3},
    "separable_conv": {"filters": 3, "kernel_size": 3, "activation": "relu"},
    "transposed_conv": {"filters": 3, "kernel_size": 3, "stride": 2, "padding": "same"},
    "max_pool": {"kernel_size": 2},
    "avg_pool": {"kernel_size": 2},
    "pad": {"padding": 1},
    "crop": {"margin": 1},
    "reshape": {"shape": [3, 12, -1]},
    "upsample": {"factor": 2},
    "group_norm": {"groups": 2},
    "block": {"layers": [CONV, {"type": "relu"}]},
    "residual": {"layers": [CONV]},
    "concat": {"layers": [CONV, {"type": "block", "layers": [CONV, {"type": "tanh"}]}]},
}
PAGE = Path(__file__).parents[2] / "docs" / "layers.md"
BEGIN, END = "<!-- table: layers -->", "<!-- end of table -->"
SHAPES = {"dense": (8,), "reshape": (6, 6, 4)}


def found(name: str, impl: str) -> dict[str, str]:
    """Return the faults of a layer by rule."""
    settings = SETTINGS.get(name, {"units": 5} if name == "dense" else {})
    shape = SHAPES.get(name, (6, 5, 4))
    return dict(check_layer(lambda: make_layer({"type": name} | settings), shape, impl))


@pytest.mark.parametrize(
    "impl",
    [pytest.param(i, marks=() if i == "fast" else pytest.mark.long) for i in IMPLEMENTATIONS],
)
@pytest.mark.parametrize("name", OWN)
@pytest.mark.few(5)
def test_every_layer_keeps_every_rule(name: str, impl: str) -> None:
    faults = {rule: fault for rule, fault in found(name, impl).items() if fault}
    assert not faults


def table() -> str:
    """Return the table: layers down, rules across, implementations in the cells."""
    short = {impl: impl for impl in IMPLEMENTATIONS}
    rules = [f"{k}" for k, _ in enumerate(RULES, 1)]
    rows = [f"| layer | {' | '.join(rules)} |", "|---" * (len(rules) + 1) + "|"]
    for name in OWN:
        results = {impl: found(name, impl) for impl in IMPLEMENTATIONS}
        cells = []
        for rule in RULES:
            kept = [short[impl] for impl, faults in results.items() if not faults[rule]]
            cells.append("all" if len(kept) == len(results) else ", ".join(kept) or "none")
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def test_the_page_has_a_row_for_every_layer() -> None:
    text = PAGE.read_text(encoding="utf-8")
    inside = text[text.index(BEGIN) : text.index(END)]
    rows = [
        line.split("|")[1].strip(" `") for line in inside.splitlines() if line.startswith("| `")
    ]
    assert rows == OWN
    assert all(f"{k}. {rule}" in text for k, rule in enumerate(RULES, 1))
    assert "none" not in inside


@dataclass
class Wrong(Layer):
    """Breaks the rule that it is told to break."""

    rule: int = 0

    def forward(self, A_prev: Any, context: Any) -> Any:
        if self.rule == 3:
            A_prev *= 2
        if self.rule == 4:
            self.kept = A_prev
        if self.rule == 5:
            return A_prev.astype(np.float64), None
        if self.rule == 7:
            return A_prev - A_prev.mean(axis=0), len(A_prev)
        return A_prev[:, :-1] if self.rule == 0 else A_prev + 0, None

    def backward(self, cache: Any, dA: Any, context: Any) -> Any:
        if self.rule == 7:
            return dA - dA.mean(axis=0), {}
        return dA * (2 if self.rule == 1 else 1), {}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (0, "infer_shape says (6, 5, 4), and forward gives (5, 5, 4)"),
        (1, "Those of the layer before it come from dA_prev."),
        (3, "forward or backward changes its input"),
        (4, "a pass stores kept on the layer; return it in the cache"),
        (5, "where its input is float32"),
        (7, "the gradients depend on the size of a micro-batch"),
    ],
)
def test_a_broken_rule_is_found_and_said_in_words(rule: int, words: str) -> None:
    Wrong.type = "wrong"
    checks = check_layer(lambda: Wrong(rule), (6, 5, 4))
    assert words in checks[rule].fault


class Twice(Layer):
    """Right, but for what a subclass breaks. No dataclass: it has no options."""

    type = "twice"

    def forward(self, A_prev: Any, context: Any) -> Any:
        return A_prev * 2, None

    def backward(self, cache: Any, dA: Any, context: Any) -> Any:
        return dA * 2, {}


class Weighted(Twice):
    """A weight for each channel."""

    def build(self, input_shape: Any, generator: Any, dtype: Any) -> None:
        super().build(input_shape, generator, dtype)
        self.params = {"W": np.ones(input_shape[-1], dtype)}

    def forward(self, A_prev: Any, context: Any) -> Any:
        return A_prev * self.params["W"], A_prev

    def backward(self, cache: Any, dA: Any, context: Any) -> Any:
        summed = (dA * cache).reshape(-1, dA.shape[-1]).sum(axis=0)
        return dA * self.params["W"], {"W": summed}


class Counts(Twice):
    def __init__(self) -> None:
        self.count = 0

    def forward(self, A_prev: Any, context: Any) -> Any:
        self.count += 1
        return A_prev * 2, None


class Draws(Twice):
    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def forward(self, A_prev: Any, context: Any) -> Any:
        return A_prev * 2 + self.rng.random(A_prev.shape), None


def changed(base: type[Layer], **methods: Any) -> type[Layer]:
    return type("Changed", (base,), methods)


BROKEN = {
    "no backward": (
        changed(Layer, forward=Twice.forward),
        0,
        "Changed has no backward, and names no operation that has one",
    ),
    "no cache": (
        changed(Twice, forward=lambda self, A, context: A * 2),
        0,
        "forward must return two things, (A, cache). Got an array of shape (7, 6, 5, 4)",
    ),
    "no gradients": (
        changed(Twice, backward=lambda self, cache, dA, context: dA * 2),
        0,
        "backward must return two things, (dA_prev, gradients by name). Got an array",
    ),
    "other shape": (
        changed(Twice, infer_shape=lambda self, shape: (*shape[:2], shape[2] + 1)),
        0,
        "infer_shape says (6, 5, 5), and forward gives (6, 5, 4) for each sample",
    ),
    "gradient missing": (
        changed(Weighted, backward=lambda self, cache, dA, context: (dA, {})),
        0,
        "backward must return a gradient for W. Got none",
    ),
    "gradient of each sample": (
        changed(Weighted, backward=lambda self, A, dA, context: (dA, {"W": dA * A})),
        0,
        "the gradient of W must have its shape, (4,), as the sum over samples. Got (7, 6, 5, 4)",
    ),
    "wrong gradient": (
        changed(Twice, backward=lambda self, cache, dA, context: (dA, {})),
        1,
        "Those of the layer before it come from dA_prev.",
    ),
    "dA changed": (
        changed(Twice, backward=lambda self, cache, dA, context: (np.multiply(dA, 2, dA), {})),
        3,
        "backward changes dA",
    ),
    "counts": (Counts, 4, "a pass changes count of the layer"),
    "own generator": (
        Draws,
        4,
        "a pass draws from rng, a generator of its own; take context.random(draws)",
    ),
    "dtype of dA_prev": (
        changed(Twice, backward=lambda self, c, dA, context: (dA.astype(np.float64) * 2, {})),
        5,
        "dA_prev is float64 where dA is float32",
    ),
    "mean of gradients": (
        changed(
            Weighted,
            backward=lambda self, A, dA, context: (
                dA * self.params["W"],
                {"W": (dA * A).mean(axis=(0, 1, 2))},
            ),
        ),
        7,
        "gradients of parameters are sums over the samples",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_layers_of_beginners(case: str) -> None:
    cls, rule, words = BROKEN[case]
    check = list(RULES.values())[rule]
    assert words in check(Subject(cls, (6, 5, 4), "fast"))


@pytest.mark.parametrize("cls", [Twice, Weighted])
def test_what_these_begin_from_is_right(cls: type[Layer]) -> None:
    assert not [check.fault for check in check_layer(cls, (6, 5, 4)) if check.fault]


def test_what_a_layer_raises_is_a_fault() -> None:
    class Raises(Wrong):
        def forward(self, A_prev: Any, context: Any) -> Any:
            raise ValueError("no")

    checks = check_layer(Raises, (6, 5, 4))
    assert {check.fault for check in checks[:-1]} == {"raises ValueError: no"}


def test_draws_of_ones_own_are_found() -> None:
    generator = np.random.default_rng(0)

    class Noise(Pointwise):
        type = "noise"

        def apply(self, Z: Any, out: Any) -> None:
            np.add(Z, generator.random(Z.shape), out=out)

        def gradient(self, dA: Any, kept: Any, out: Any) -> None:
            np.copyto(out, dA)

    faults = {check.rule for check in check_layer(Noise, (6, 5, 4)) if check.fault}
    assert {"any size of a micro-batch", "resumed, bit for bit"} <= faults


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{after}", encoding="utf-8")


def test_what_is_returned_must_be_a_pair() -> None:
    class Listed(Wrong):
        def forward(self, A_prev: Any, context: Any) -> Any:
            return [A_prev + 0, None]

    class Three(Wrong):
        def forward(self, A_prev: Any, context: Any) -> Any:
            return A_prev + 0, None, None

    for cls in (Listed, Three):
        faults = [check.fault for check in check_layer(cls, (6, 5, 4)) if check.fault]
        assert any("forward must return two things, (A, cache)" in fault for fault in faults)


def test_draws_depend_on_the_step_of_a_resumed_training() -> None:
    check = RULES["resumed, bit for bit"]
    assert (
        check(Subject(lambda: make_layer({"type": "dropout", "rate": 0.5}), (6, 5, 4), "fast"))
        == ""
    )
