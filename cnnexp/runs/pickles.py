"""Pickles of plain containers and NumPy arrays, read without running anything.

``pickle.load`` runs whatever a file tells it to. Here a small reader of our own (`opcodes`) knows
only the opcodes that a run writes, builds nothing that a file merely describes, and stops at bounds
on size, depth and number of values.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from cnnexp.errors import UnsafePickle, foreign
from cnnexp.runs.files import read_bytes, replace_file
from cnnexp.runs.opcodes import Reader

LARGEST = 1 << 32  # bytes of a file; arrays are read into memory whole


def dumps(content: Any) -> bytes:
    """Return plain containers and arrays as a pickle.

    Protocol 5 would name a function for arrays that NumPy has only since version 2.
    """
    return pickle.dumps(content, protocol=4)


def save(path: Path, content: Any) -> None:
    """Write plain containers and arrays as a pickle, whole."""
    write(path, dumps(content))


def write(path: Path, pickled: bytes) -> None:
    """Write a pickle, whole."""
    replace_file(path, pickled)


def load(path: Path) -> Any:
    """Read a pickle of plain containers and numeric arrays.

    Raises
    ------
    UnsafePickle
        If it names anything else, or is damaged.
    """
    return loads(read_bytes(path, LARGEST), path)


def loads(content: bytes, name: str | Path = "the pickle") -> Any:
    """Read a pickle from bytes; `name` stands for it in messages."""
    with foreign(name, error=UnsafePickle):
        try:
            return Reader(content).read()
        except UnsafePickle as error:
            raise UnsafePickle(f"{name}: {error}") from None
