"""Augmentations that change the values of pixels, and mixup, which mixes samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnexp.data.augmentation.base import (
    AUGMENTATIONS,
    Array,
    Augmentation,
    Pixels,
    between,
    check_range,
)
from cnnexp.errors import OptionError, require


@AUGMENTATIONS.register("erase")
@dataclass(frozen=True)
class Erase(Augmentation):
    """Covers a random rectangle of an image with background.

    Parameters
    ----------
    probability : float
        The fraction of images that are covered, from 0 to 1.
    smallest, largest : float
        The area of the rectangle, as a fraction of the image's, from 0 to 1.
    aspect : float
        The largest ratio of its sides, at least 1.

    References
    ----------
    T. DeVries and G. Taylor, Improved Regularization of Convolutional Neural Networks with Cutout,
    2017, https://arxiv.org/abs/1708.04552; Z. Zhong et al., Random Erasing Data Augmentation, 2017,
    https://arxiv.org/abs/1708.04896
    """

    probability: float = 0.5
    smallest: float = 0.02
    largest: float = 0.2
    aspect: float = 3.0

    def __post_init__(self) -> None:
        for name in ("probability", "smallest", "largest"):
            check_range(name, getattr(self, name), 0, 1)
        check_range("aspect", self.aspect, 1)
        if self.smallest > self.largest:
            raise OptionError(
                f"smallest must not be above largest. Got {self.smallest} and {self.largest}."
            )

    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return 5: whether, the area, the ratio, and where."""
        return 5

    def apply(self, X: Array, U: Array, pixels: Pixels) -> Array:
        """Return images with a rectangle covered."""
        ih, iw = X.shape[1:3]
        area = between(U[:, 1], self.smallest, self.largest) * (ih * iw)
        ratio = np.exp(between(U[:, 2], -math.log(self.aspect), math.log(self.aspect)))
        in_rows = _covered(np.sqrt(area * ratio), U[:, 3], ih)  # (n_m, ih)
        in_columns = _covered(np.sqrt(area / ratio), U[:, 4], iw)
        in_rows &= (U[:, 0] < self.probability)[:, None]
        covered = in_rows[:, :, None] & in_columns[:, None, :]
        return np.where(covered[..., None], X.dtype.type(pixels.background), X)


def _covered(length: Array, u: Array, size: int) -> Array:
    """Return which of `size` positions lie in an interval of a length, wherever it fits."""
    length = np.clip(np.rint(length), 1, size)
    start = np.floor(u * (size - length + 1))
    at = np.arange(size)
    found: Array = (at >= start[:, None]) & (at < (start + length)[:, None])
    return found


@AUGMENTATIONS.register("noise")
@dataclass(frozen=True)
class Noise(Augmentation):
    """Adds a random number from a normal distribution to every pixel.

    Parameters
    ----------
    deviation : float
        Its standard deviation; 1 is the distance from a dark to a fully lit pixel.

    References
    ----------
    C. Bishop, Training with Noise is Equivalent to Tikhonov Regularization, 1995,
    https://doi.org/10.1162/neco.1995.7.1.108
    """

    deviation: float = 0.05

    def __post_init__(self) -> None:
        check_range("deviation", self.deviation, 0)

    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return one for each number of an image, and one more if they are odd."""
        return 2 * -(-math.prod(image_shape) // 2)

    def apply(self, X: Array, U: Array, pixels: Pixels) -> Array:
        """Return images with noise: two normal numbers from two uniform ones (Box and Muller)."""
        half = U.shape[1] // 2
        radius = np.sqrt(-2 * np.log((1 - U[:, :half]).astype(X.dtype)))
        radius *= X.dtype.type(self.deviation * pixels.span)
        angle = (U[:, half:] * (2 * math.pi)).astype(X.dtype)
        noise = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        found: Array = X + noise[:, : X[0].size].reshape(X.shape)
        return found


@AUGMENTATIONS.register("mixup")
@dataclass(frozen=True)
class Mixup(Augmentation):
    """Mixes every sample with another one of its mini-batch, and their targets in the same ratio.

    The loss must take targets that are rows of numbers (`Loss.soft_targets`). The training error
    counts the class with the larger part.

    Parameters
    ----------
    alpha : float
        Parameter of the Beta distribution from which the ratio is drawn, above 0. Small values
        leave most samples nearly unchanged; with 1 all ratios are equally likely.

    References
    ----------
    H. Zhang et al., mixup: Beyond Empirical Risk Minimization, 2017,
    https://arxiv.org/abs/1710.09412
    """

    mixes: ClassVar[bool] = True

    alpha: float = 0.2

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0)
        if not self.alpha:
            raise OptionError("alpha must be above 0. Got 0.")
        require("scipy", "mixup", "mixup", "SciPy")

    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return 2: the ratio and the partner."""
        return 2

    def apply(self, X: Array, U: Array, pixels: Pixels) -> Array:
        """Return mixed images."""
        return self._mix(X, U)

    def apply_to_targets(self, targets: Array, U: Array) -> Array:
        """Return mixed targets."""
        return self._mix(targets, U)

    def _mix(self, values: Array, U: Array) -> Array:
        """Return each row, with a part of a partner's."""
        from scipy.special import betaincinv

        partner = (U[:, 1] * len(U)).astype(np.intp)
        kept = betaincinv(self.alpha, self.alpha, U[:, 0]).astype(values.dtype)
        mixed: Array = values[partner]
        mixed -= values
        mixed *= 1 - kept.reshape(-1, *[1] * (values.ndim - 1))
        mixed += values
        return mixed
