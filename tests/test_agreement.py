"""Every row of a table has its comparison with PyTorch, and what was measured is small."""

from __future__ import annotations

import pytest

from cnnexp import LAYERS
from cnnexp.nn.losses import LOSSES, METRICS
from cnnexp.train import OPTIMIZERS, SCHEDULES
from tests import agreement
from tests.nn.test_fifty_steps import BOUND


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("layer", LAYERS),
        ("loss", LOSSES),
        ("metric", METRICS),
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
    ],
)
def test_every_row_of_a_table_is_compared(kind: str, table: object) -> None:
    own = {n for n in table if table[n].__module__.startswith("cnnexp.")}  # type: ignore[attr-defined, index]
    compared = {row["name"] for row in agreement.read() if row["kind"] == kind}
    assert compared == own, "python -m tests.agreement measures them"


def test_what_was_measured_is_rounding() -> None:
    assert all(float(row["largest_difference"]) < BOUND for row in agreement.read())


def test_layers_and_losses_have_a_figure_for_each_implementation() -> None:
    for row in agreement.read():
        figures = [row[impl] for impl in agreement.IMPLS]
        if row["kind"] in ("layer", "loss"):
            assert max(map(float, figures)) == float(row["largest_difference"])
        else:
            assert not any(figures)


def test_metrics_optimizers_and_schedules_still_agree() -> None:
    """Layers and losses are measured again by test_fifty_steps."""
    pytest.importorskip("torch")
    measured = [
        *agreement.of_metrics(),
        *agreement.of_optimizers(),
        *agreement.of_schedules(),
    ]
    assert len(measured) > 15
    assert all(row.difference < BOUND for row in measured)
