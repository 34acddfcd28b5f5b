"""What a pass gives to a layer besides its input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cnnexp.engine.scratch import Array, Scratch

if TYPE_CHECKING:
    from cnnexp.engine.kernels import Kernels


@dataclass
class Context:
    """What a pass gives to a layer besides its input.

    Attributes
    ----------
    kernels : Kernels
        The implementation of convolution and pooling.
    scratch : Scratch
        Memory of this layer and this worker.
    training : bool
        Whether a backward pass follows. If not, nothing need be kept.
    need_dA_prev : bool
        Whether anything before this layer has parameters. If not, ``dA_prev`` may be None.
    grads : dict of str to array
        Where gradients may be written; a layer may return arrays of its own as well.
    defer : bool
        Whether a gradient may be returned as `Factors`, to be multiplied once for the whole batch.
    """

    kernels: Kernels
    scratch: Scratch = field(default_factory=lambda: Scratch(reuse=False))
    training: bool = True
    need_dA_prev: bool = True
    grads: dict[str, Array] = field(default_factory=dict)
    defer: bool = False


class Factors(NamedTuple):
    """A gradient that is yet to be multiplied: ``A.T @ dZ``, a sum over samples.

    For a piece of a batch the product would be as large as the parameters and be added up once a
    piece; for the whole batch it is made once.

    Attributes
    ----------
    A : array (n_m, n_in)
    dZ : array (n_m, n_out)
    """

    A: Array
    dZ: Array
