"""What is said of receptive fields and of memory, against what passes do."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from cnnexp import (
    AvgPool2D,
    Block,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    GroupNorm,
    Layer,
    Network,
    Residual,
    Softmax,
    TransposedConv2D,
    UpSample2D,
)
from cnnexp.nn.memory import megabytes
from cnnexp.nn.plan import Plan, finish
from cnnexp.nn.summary import receptive_fields
from tests.commandline import cnnexp, succeed

SAME = {"padding": "same", "initializer": 0.1}
ROWS: dict[str, tuple[list[Layer], str]] = {
    # 3; 3 + 2·1 = 5; pooling 5 + 1·1 = 6; step 2: 6 + 2·2 = 10
    "conv, conv, pool, conv": (
        [Conv2D(2, 3, **SAME), Conv2D(2, 3, **SAME), AvgPool2D(2), Conv2D(2, 3, **SAME)],
        "10 x 10",
    ),
    "strides": ([Conv2D(2, (3, 5), stride=(2, 1), **SAME), Conv2D(2, 3, **SAME)], "7 x 7"),
    # rows 3 + 2·2 = 7 and then 7 + 1·2 = 9; columns 1 + 1·1 = 2 and then 2 + 3·1 = 5
    "oblong": (
        [
            Conv2D(2, (3, 1), stride=(2, 1), **SAME),
            Conv2D(2, (3, 2), **SAME),
            Conv2D(2, (2, 4), **SAME),
        ],
        "9 x 5",
    ),
    "dilation": ([Conv2D(2, 3, dilation=3, **SAME), Conv2D(2, 1, **SAME)], "7 x 7"),
    "residual": (
        [Residual([Conv2D(2, 3, **SAME), Conv2D(2, 3, **SAME)], [Conv2D(2, 1, **SAME)])],
        "5 x 5",
    ),
    "concat": (
        [
            Conv2D(2, 3, stride=2, **SAME),
            Concat([Conv2D(1, 1, **SAME), Block([Conv2D(1, 5, **SAME)])]),
        ],
        "11 x 11",
    ),
    "upsample": ([UpSample2D(2), Conv2D(1, 4, **SAME)], "3 x 3"),
    "transposed": (
        [Conv2D(2, 3, stride=2, **SAME), TransposedConv2D(1, 4, stride=2, **SAME)],
        "5 x 5",
    ),
    "group_norm": ([Conv2D(2, 3, **SAME), GroupNorm(1)], "all"),
    "global": ([Conv2D(2, 3, **SAME), GlobalAvgPool2D()], "all"),
}


def looked_at(net: Network, position: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the image on which one pixel of the result depends, by its gradient."""
    plan = Plan(net.layers, net.implementation, fuse=False, input_gradient=True)
    contexts = plan.contexts(reuse=False)
    A, caches = finish(plan.forward(np.ones((1, *net.input_shape)), contexts))
    dA = np.zeros_like(A)
    dA[0, position[0], position[1]] = 1
    seen = np.argwhere(finish(plan.backward(caches, dA, contexts))[0].any(axis=-1))
    rows, cols = np.ptp(seen, axis=0) + 1
    return int(rows), int(cols)


@pytest.mark.parametrize("name", ROWS)
def test_receptive_fields_are_what_gradients_reach(name: str) -> None:
    layers, expected = ROWS[name]
    net = Network(layers, loss="mean_squared_error", dtype="float64").build((40, 40, 1))
    assert receptive_fields(net.layers)[id(net.layers[-1])] == expected
    if expected == "all":
        return
    oh, ow, _ = net.output_shape
    near = [(oh // 2 + a, ow // 2 + b) for a in range(2) for b in range(2)]
    largest = np.max([looked_at(net, position) for position in near], axis=0)
    assert " x ".join(map(str, largest)) == expected
    assert expected in net.summary()


CASES: dict[str, list[Layer]] = {
    "cnn": [Conv2D(16, 3, activation="relu"), AvgPool2D(2), Flatten(), Dense(50), Dense(10)],
    "deep": [Conv2D(8, 3, activation="relu"), Conv2D(8, 3, activation="silu"), Flatten()],
    "dense": [Flatten(), Dense(200, activation="relu"), Dense(10)],
}


@pytest.mark.parametrize("impl", ["fast", "sg", "im2col"])
@pytest.mark.parametrize("case", CASES)
def test_memory_that_is_worked_out_is_near_to_what_is_used(case: str, impl: str) -> None:
    layers = [type(layer)(**vars_of(layer)) for layer in CASES[case]]
    net = Network([*layers, *([Dense(10)] if case == "deep" else []), Softmax()], impl=impl)
    net.build((20, 20, 3))
    X, Y = np.zeros((64, 20, 20, 3), np.float32), np.zeros(64, int)
    batch, before = net.batch(X, Y), 2 * net.parameters.nbytes  # parameters, and one gradient
    tracemalloc.start()
    try:
        for _ in range(2):
            net.batch_gradients(batch)
        used = tracemalloc.get_traced_memory()[1] + before
    finally:
        tracemalloc.stop()
    assert 0.6 < used / net.step_memory(64).total < 2.2


def vars_of(layer: Layer) -> dict[str, object]:
    from dataclasses import fields

    return {field.name: getattr(layer, field.name) for field in fields(layer)}  # type: ignore[arg-type]


def test_memory_is_counted_part_by_part() -> None:
    net = Network(
        [Conv2D(4, 3), Flatten(), Dense(5), Softmax()], dtype="float64", micro_batch=8
    ).build((6, 6, 2))
    found = net.step_memory(batch_size=20, optimizer=100)
    numbers = (3 * 3 * 2 + 1) * 4 + (4 * 4 * 4 + 1) * 5
    assert found.parameters == 8 * numbers
    assert found.gradients == 3 * 8 * numbers  # micro-batches of 8, 8 and 4
    assert found.results == 3 * 8 * (4 * 4 * 4 + 5)
    assert found.columns == 8 * (4 * 4 * 3 * 3 * 2)
    assert found.samples == 8
    assert found.total == 32 * numbers + 100 + 8 * (found.results + found.columns)
    assert f"{megabytes(found.results + found.columns)} for each sample" in found.sentence()


@pytest.mark.long
def test_the_command() -> None:
    shown = succeed("summary", "model=resnet", "optimizer=adam", "batch_size=8")
    assert "residual1" in shown and "7 x 7" in shown
    assert "optimizer    0.62 MB  state of adam" in shown  # 78,090 parameters, 8 bytes each
    assert "batch_size=8, 8 samples at a time" in shown
    ended = cnnexp("summary", "impl=sg,fast")
    assert (ended.code, ended.out) == (2, "")
    assert "one implementation" in ended.err
