"""Data sets: where they come from, how they are split, and batches of them."""

from cnnexp.data.arrays import Npy, Npz
from cnnexp.data.bundled import Digits, Sklearn
from cnnexp.data.cifar import Cifar10
from cnnexp.data.dataset import Dataset, Samples
from cnnexp.data.emnist import Emnist
from cnnexp.data.idx import FashionMnist, Kmnist, Mnist
from cnnexp.data.image_folder import ImageFolder
from cnnexp.data.sources import SOURCES, Source
from cnnexp.data.tables import Csv, Parquet

__all__ = [
    "SOURCES",
    "Cifar10",
    "Csv",
    "Dataset",
    "Digits",
    "Emnist",
    "FashionMnist",
    "ImageFolder",
    "Kmnist",
    "Mnist",
    "Npy",
    "Npz",
    "Parquet",
    "Samples",
    "Sklearn",
    "Source",
]
