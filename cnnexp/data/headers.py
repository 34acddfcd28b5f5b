"""The headers of ``.npy`` and ``.npz`` files: what an array is, before memory is taken for it."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from cnnexp.errors import DataError, system_cause, system_reason

LONGEST_HEADER = 10_000  # bytes; what NumPy writes for plain arrays has about 100


class Header(NamedTuple):
    """What an array is."""

    shape: tuple[int, ...]
    dtype: np.dtype
    nbytes: int


def npz_headers(path: str | Path) -> dict[str, Header]:
    """Return the headers of all arrays in an ``.npz`` file, by name; no array is read.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for info in archive.infolist():
                if not info.filename.endswith(".npy"):
                    continue
                with archive.open(info) as file:
                    header, start = _header(file)
                if start + header.nbytes != info.file_size:
                    raise DataError(
                        f"the array {info.filename[:-4]} says that it has {header.nbytes:,} bytes,"
                        f" and {info.file_size - start:,} are there."
                    )
                found[info.filename[:-4]] = header
            return found
    except FileNotFoundError:
        raise DataError(f"data.file={path}: there is no such file.") from None
    except DataError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    except Exception as error:  # whatever a reader raises on bytes from elsewhere
        if (cause := system_cause(error)) is not None:
            raise DataError(f"data.file={path}: cannot be read: {system_reason(cause)}.") from None
        raise DataError(f"data.file={path}: not an .npz file, as numpy.savez writes it.") from None


def npy_header(path: str | Path, option: str) -> Header:
    """Return the header of an ``.npy`` file; `option` names the setting in messages.

    Raises
    ------
    DataError
        If there is no such file, it is damaged, or it is shorter than its header says.
    """
    try:
        with open(path, "rb") as file:
            header, start = _header(file)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise DataError(f"data.{option}={path}: there is no such file.") from None
    except DataError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    except OSError as error:
        raise DataError(f"data.{option}={path}: cannot be read: {system_reason(error)}.") from None
    except Exception:
        raise DataError(
            f"data.{option}={path}: not an .npy file, as numpy.save writes it."
        ) from None
    if start + header.nbytes != size:
        raise DataError(
            f"data.{option}={path}: damaged: its header says {header.nbytes:,} bytes, and"
            f" {size - start:,} are there."
        )
    return header


def _header(file: IO[bytes]) -> tuple[Header, int]:
    """Return the header of an array, and where its values begin."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, dtype = readers[version](file, max_header_size=LONGEST_HEADER)
    if dtype.hasobject:
        raise DataError("an array holds Python objects; to load them could run code.")
    if any(size < 0 for size in shape):
        raise ValueError("a negative length")
    return Header(shape, dtype, math.prod(shape) * dtype.itemsize), file.tell()
