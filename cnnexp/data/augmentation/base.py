"""What all augmentations have in common: their table, and where their random numbers come from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from cnnexp.errors import OptionError
from cnnexp.registry import Registry

Array = npt.NDArray[Any]

AUGMENT = 4  # the purpose of a draw, part of its seed


class Pixels(NamedTuple):
    """The scaled pixels of a data set.

    Attributes
    ----------
    background : float
        A pixel that was 0 before it was scaled. What comes in from outside an image has it.
    span : float
        From there to a fully lit pixel.
    """

    background: float = 0.0
    span: float = 1.0


@dataclass(frozen=True)
class Augmentation(ABC):
    """Base of all augmentations. The dataclass fields of a subclass are its options.

    An augmentation draws nothing itself. It says how many numbers it needs per sample, and is given
    them: they depend on the seed, the epoch and the sample alone. So the images of an epoch are the
    same however it is cut into mini-batches, whoever makes them, and wherever training resumes.

    Attributes
    ----------
    mixes : bool
        Whether an image depends on others of its mini-batch. Targets are then rows of numbers.
    """

    mixes: ClassVar[bool] = False

    @abstractmethod
    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return how many random numbers one image of shape (ih, iw, n_c) needs."""

    @abstractmethod
    def apply(self, X: Array, U: Array, pixels: Pixels) -> Array:
        """Return augmented images of the same shape and type; those given stay as they are.

        Parameters
        ----------
        X : array (n_m, ih, iw, n_c)
            Scaled images: those of a mini-batch, or some of them if it does not mix.
        U : array (n_m, draws)
            Random numbers of each image, at least 0 and below 1.
        pixels : Pixels
            What is background, and what is bright.
        """

    def apply_to_targets(self, targets: Array, U: Array) -> Array:
        """Return the targets of the augmented images; the same, unless it mixes them."""
        return targets


AUGMENTATIONS: Registry[type[Augmentation]] = Registry("augmentation")


class Draws:
    """The random numbers of an epoch, sample by sample.

    Numbers are made by a counter: the seed and the epoch are its key, and the sample is a part of
    the count, so those of any sample are made at once, without those before it.

    Parameters
    ----------
    seed, epoch : int
        The key.
    count : int
        Numbers per sample.

    References
    ----------
    J. Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011,
    https://doi.org/10.1145/2063384.2063405 (Philox)

    Examples
    --------
    >>> draws = Draws(seed=0, epoch=1, count=3)
    >>> both, alone = draws.of([5, 7]).copy(), draws.of([7])
    >>> np.array_equal(both[1], alone[0])
    True
    """

    def __init__(self, seed: int, epoch: int, count: int) -> None:
        place = np.random.SeedSequence([seed, AUGMENT, epoch])
        self._bits = np.random.Philox(key=place.generate_state(2, np.uint64))
        self._generator = np.random.Generator(self._bits)
        self._start: Any = self._bits.state
        self._memory = np.empty((0, count))

    def of(self, samples: Sequence[int] | Array) -> Array:
        """Return numbers in [0, 1) for some samples, (n_m, count); the next call overwrites them.

        Parameters
        ----------
        samples : sequence of int
            Positions in the training part.
        """
        if len(self._memory) < len(samples):
            self._memory = np.empty((len(samples), self._memory.shape[1]))
        found = self._memory[: len(samples)]
        counter = self._start["state"]["counter"]
        for sample, row in zip(samples, found, strict=True):
            counter[3] = sample  # the highest word: a sample has 2¹⁹² blocks before the next one's
            self._bits.state = self._start
            self._generator.random(out=row)
        return found


class Memory:
    """Arrays that are used again, by name: the system need not give new ones for each mini-batch.

    It belongs to one thread.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array whose numbers are any; the next call with this name returns it again."""
        size = math.prod(shape)
        found = self._arrays.get(name)
        if found is None or found.size < size or found.dtype != dtype:
            found = self._arrays[name] = np.empty(size, dtype)
        return found[:size].reshape(shape)


def between(U: Array, low: float, high: float) -> Array:
    """Return numbers from `low` to `high`, given some in [0, 1)."""
    scaled: Array = low + (high - low) * U
    return scaled


def check_range(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise OptionError unless an option is from `low` to `high`, and finite."""
    if not (low <= value <= high and math.isfinite(value)):
        words = f"at least {low:g}, and finite" if high == math.inf else f"from {low:g} to {high:g}"
        raise OptionError(f"{name} must be {words}. Got {value}.")
