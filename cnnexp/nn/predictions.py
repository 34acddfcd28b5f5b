"""Which class a network predicts for each sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.nn.network import Network

Array = npt.NDArray[Any]


def predicted_classes(network: Network, A: Array, classes: int) -> Array | None:
    """Return the class that a network predicts for each sample, or None if it is no classifier.

    Parameters
    ----------
    network : Network
        It classifies if the error is among its metrics.
    A : array (n_m, classes) or (n_m, 1)
        Its outputs; a single one says yes or no.
    classes : int
        How many there are.
    """
    if "error" not in network.figures or A.ndim != 2:
        return None
    if A.shape[1] == 1 and classes == 2:
        return (A[:, 0] > (0.5 if network.layers[-1].type == "sigmoid" else 0.0)).astype(np.intp)
    return A.argmax(axis=1) if A.shape[1] == classes else None
