"""The largest number of each row."""

from __future__ import annotations

import numpy as np
import pytest

from cnnexp.engine import row_maxima
from cnnexp.engine.shared import FEW


@pytest.mark.parametrize("shape", [(7, 10), (1, 3), (5, FEW), (5, FEW + 1), (2, 3, 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_row_maxima_are_those_of_numpy(shape: tuple[int, ...], order: str) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    values.flat[1] = np.nan
    values.flat[-1] = np.inf
    Z = np.array(values, order=order)  # type: ignore[call-overload]
    np.testing.assert_array_equal(row_maxima(Z), values.max(axis=-1, keepdims=True))
