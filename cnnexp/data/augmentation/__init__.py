"""Augmentation: training images that are moved, bent or covered a little, anew in every epoch.

========= ===================================================================================
shift     moves by some pixels
rotate    turns about the centre
scale     enlarges or shrinks
shear     slants, as handwriting does
elastic   bends: every pixel moves, neighbours alike
erase     covers a rectangle
noise     adds a random number to every pixel
mixup     mixes two samples of the mini-batch, with their targets
========= ===================================================================================
"""

from cnnexp.data.augmentation import geometric, pixelwise
from cnnexp.data.augmentation.base import AUGMENTATIONS, Augmentation, Pixels
from cnnexp.data.augmentation.geometric import Geometric
from cnnexp.data.augmentation.pipeline import Augmenter

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Augmenter",
    "Geometric",
    "Pixels",
    "geometric",
    "pixelwise",
]
