"""Data sets: where they come from, how they are split, and batches of them."""

from cnnexp.data.dataset import Dataset, Samples
from cnnexp.data.idx import FashionMnist, Mnist
from cnnexp.data.sources import SOURCES, Source

__all__ = ["SOURCES", "Dataset", "FashionMnist", "Mnist", "Samples", "Source"]
