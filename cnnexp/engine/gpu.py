"""The implementation on a GPU: operations of other implementations, on arrays of CuPy.

It has no code for any layer. Of all that there is for convolutions, one product with the columns of
the whole mini-batch, batch-last as in `fast`, is what a GPU computes best: few kernels, which read
along the samples. The stride groups and `im2col` run there too. Parameters, their gradients and the
optimizer's state stay in the memory of the GPU from step to step; a mini-batch is moved there once,
and the result of the last layer is read back once, for the loss and the metrics, which are NumPy's
under every implementation. Draws, such as those of dropout, are made on the processor, from the
same seeds as everywhere.

The GPU gets its work from one thread of Python, a call for each kernel, some microseconds each. So
it needs large mini-batches: of 512 samples of a large network, say, rather than 32 of a small one.

References
----------
R. Okuta et al., CuPy: A NumPy-Compatible Library for NVIDIA GPU Calculations, 2017
"""

from __future__ import annotations

from typing import Any

from cnnexp.engine.device import Device
from cnnexp.engine.fast.convolution import BY_COLUMNS
from cnnexp.engine.fast.pooling import AVG_POOL, MAX_POOL
from cnnexp.engine.operations import IMPLEMENTATIONS, Implementation
from cnnexp.engine.shared import NUMPY


class GPU(Device):
    """The current GPU of CuPy; ``CUDA_VISIBLE_DEVICES`` chooses among several."""

    @property
    def xp(self) -> Any:
        """CuPy, imported when it is first asked for."""
        import cupy

        return cupy

    def fault(self) -> str:
        """Say that there is no GPU, or what CuPy says of it."""
        try:
            count = self.xp.cuda.runtime.getDeviceCount()
        except Exception as error:  # a library that cannot be loaded, a driver that is too old
            return f"found no usable one: {_first_line(error)}"
        return "" if count else "found none"

    def describe(self) -> dict[str, str]:
        """Return the name of the GPU, and the versions of CuPy, CUDA and the driver's CUDA."""
        xp = self.xp
        runtime = xp.cuda.runtime
        properties = runtime.getDeviceProperties(xp.cuda.Device().id)
        return {
            "device": properties["name"].decode(),
            "cupy": xp.__version__,
            "cuda": _version(runtime.runtimeGetVersion()),
            "driver": _version(runtime.driverGetVersion()),
        }

    def synchronize(self) -> None:
        """Wait for all kernels."""
        self.xp.cuda.Device().synchronize()


def _version(number: int) -> str:
    """Return a version of CUDA as people write it.

    Examples
    --------
    >>> _version(12040)
    '12.4'
    """
    return f"{number // 1000}.{number % 1000 // 10}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


CUPY = Implementation(
    "cupy",
    {"conv": BY_COLUMNS, "max_pool": MAX_POOL, "avg_pool": AVG_POOL},
    about="One product per convolution on a GPU, by CuPy.",
    base=NUMPY,
    needs="cupy",
    extra="cupy",
    device=GPU(),
)
IMPLEMENTATIONS.register("cupy")(CUPY)
