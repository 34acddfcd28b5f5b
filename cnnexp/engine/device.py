"""Where arrays live, if that is not the memory of the processor.

NumPy's functions pass arrays of another library on to that library (NEP 13 and NEP 18): ``np.exp``
of an array of CuPy runs on the GPU, and its result stays there. So an operation is written once, in
NumPy's functions. An array that is made from nothing comes from the context, or from
`Context.xp`, the module of arrays; the rest follows its inputs. Only a runner moves arrays: samples
to the device, the last result of a pass back, and its gradient to the device again.

References
----------
NEP 18, A dispatch mechanism for NumPy's high level array functions,
https://numpy.org/neps/nep-0018-array-function-protocol.html
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Device(ABC):
    """A device with memory of its own, and a module like NumPy that computes there.

    Its arrays have a method `get`, which returns them as arrays of NumPy.
    """

    @property
    @abstractmethod
    def xp(self) -> Any:
        """The module of arrays: ``xp.empty``, ``xp.zeros``, ``xp.asarray`` and so on."""

    @abstractmethod
    def fault(self) -> str:
        """Say why it cannot be used here; empty if it can."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Return its name and the versions of its software, as a run records them."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until it has done all that was asked for: for measurements."""
