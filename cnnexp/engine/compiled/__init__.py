"""The compiled implementation: kernels of machine code, made by Numba when they are first used.

NumPy makes one pass over memory for each call. A compiled kernel makes one pass for a whole layer,
or for several. Matrix products stay with NumPy's BLAS, and all that is not better here is taken
from `fast`. The extra ``pip install 'cnnexp[compiled]'`` brings Numba, which is imported only when
a network uses this implementation.
"""

from __future__ import annotations

from functools import partial

from cnnexp.engine.compiled import update_kernels
from cnnexp.engine.compiled.batch_norm import BATCH_NORM, BATCH_NORM_TRAINING, BatchNormPass
from cnnexp.engine.compiled.convolution import CONV
from cnnexp.engine.compiled.dense import DENSE
from cnnexp.engine.compiled.one_pass import Direct, DirectMean, Packed, Winograd
from cnnexp.engine.compiled.preparing import prepare, ready
from cnnexp.engine.fast import FAST
from cnnexp.engine.operations import IMPLEMENTATIONS, Implementation

CONV_POINTWISE = ("conv", "pointwise")
OWN = [
    *(kind(*CONV_POINTWISE, "max_pool") for kind in (Winograd, Direct, Packed)),
    DirectMean(*CONV_POINTWISE, "avg_pool"),
    *(kind(*CONV_POINTWISE) for kind in (Winograd, Direct, Packed)),
    BatchNormPass("batch_norm", "pointwise", "max_pool"),
    BatchNormPass("batch_norm", "pointwise"),
]
# `fast` pools before it normalises, which saves passes over memory that are not made here.
OF_FAST = [fusion for fusion in FAST.fusions if fusion.pattern[:2] != ("conv", "batch_norm")]

COMPILED = Implementation(
    "compiled",
    {
        "conv": CONV,
        "dense": DENSE,
        "batch_norm": BATCH_NORM,
        "batch_norm_training": BATCH_NORM_TRAINING,
    },
    about="Kernels compiled by Numba, one pass over memory a layer; the rest as in fast.",
    base=FAST,
    # the most layers first, and our own before those of `fast`
    fusions=tuple(sorted([*OWN, *OF_FAST], key=lambda fusion: -len(fusion.pattern))),
    folds=BATCH_NORM,
    caches=FAST.caches,
    needs="numba",
    extra="compiled",
    prepare=prepare,
    updates={
        "momentum": partial(ready, update_kernels.momentum),
        "adam": partial(ready, update_kernels.adam),
    },
)
IMPLEMENTATIONS.register("compiled")(COMPILED)
