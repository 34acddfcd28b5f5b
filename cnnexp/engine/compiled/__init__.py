"""The compiled implementation: kernels of machine code, made by Numba when they are first used.

NumPy makes one pass over memory for each call. A compiled kernel makes one pass for a whole layer,
or for several. Matrix products stay with NumPy's BLAS, and all that is not better here is taken
from `fast`. The extra ``pip install 'cnnexp[compiled]'`` brings Numba, which is imported only when
a network uses this implementation.
"""

from __future__ import annotations

from cnnexp.engine.compiled.convolution import CONV
from cnnexp.engine.compiled.direct import Direct
from cnnexp.engine.compiled.preparing import prepare
from cnnexp.engine.compiled.winograd import Winograd
from cnnexp.engine.fast import FAST
from cnnexp.engine.operations import IMPLEMENTATIONS, Implementation

COMPILED = Implementation(
    "compiled",
    {"conv": CONV},
    about="Kernels compiled by Numba, one pass over memory a layer; the rest as in fast.",
    base=FAST,
    fusions=(
        Direct("conv", "pointwise", "max_pool"),
        Winograd("conv", "pointwise", "max_pool"),
        *(fusion for fusion in FAST.fusions if fusion.pattern != ("conv", "pointwise")),
        Direct("conv", "pointwise"),
        Winograd("conv", "pointwise"),
        *(fusion for fusion in FAST.fusions if fusion.pattern == ("conv", "pointwise")),
    ),
    caches=FAST.caches,
    needs="numba",
    extra="compiled",
    prepare=prepare,
)
IMPLEMENTATIONS.register("compiled")(COMPILED)
