"""The fast implementation, in NumPy alone.

What makes it fast, the largest gain first:

1. Batch-last layout: every slice is long runs (`columns.py`).
2. Memory that is allocated once (`cnnexp.engine.context`), and micro-batches that fit the cache.
3. Fusions of neighbouring layers: the pixels of a pooling window as stride groups
   (`pooled_conv.py`), merged filters (`merged.py`), Winograd's convolution (`winograd.py`,
   `winograd_pool.py`). They are a table, and a network's summary names those that are used.

The first fusion in the table that applies is taken. Without fusions (``fuse: false``) every layer
is computed by itself, with the same methods for convolution and pooling.
"""

from __future__ import annotations

from cnnexp.engine.batch_norm import BATCH_NORM
from cnnexp.engine.fast.batch_norm_pool import ConvBatchNormPointwiseMaxPool
from cnnexp.engine.fast.convolution import CONV
from cnnexp.engine.fast.in_place import BatchNormInPlace, InPlace
from cnnexp.engine.fast.merged import MergedConvPointwiseMaxPool
from cnnexp.engine.fast.pooled_conv import ConvPointwiseMaxPool
from cnnexp.engine.fast.pooling import AVG_POOL, MAX_POOL
from cnnexp.engine.fast.winograd_pool import WinogradPointwiseMaxPool
from cnnexp.engine.operations import IMPLEMENTATIONS, Implementation
from cnnexp.engine.shared import NUMPY

FAST = Implementation(
    "fast",
    {"conv": CONV, "max_pool": MAX_POOL, "avg_pool": AVG_POOL},
    about="Batch-last layout, one product per convolution, Winograd where it pays, fusions.",
    base=NUMPY,
    fusions=(
        ConvBatchNormPointwiseMaxPool(),
        WinogradPointwiseMaxPool(),
        MergedConvPointwiseMaxPool(),
        ConvPointwiseMaxPool(),
        InPlace("conv"),
        InPlace("dense"),
        BatchNormInPlace(),
    ),
    folds=BATCH_NORM,
    caches=8,
)
IMPLEMENTATIONS.register("fast")(FAST)
