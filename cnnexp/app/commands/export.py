"""``cnnexp export RUN FILE``: a run's weights in a format that other programs read."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.app.outputs import writing
from cnnexp.errors import OptionError
from cnnexp.runs.files import replace_file
from cnnexp.runs.reading import load_run

Weights = dict[str, Any]

EPILOG = """\
Arrays are named <layer>.<parameter>, for example conv1.W (f_w, f_w, n_c, n_f) and dense1.W (n_in,
units).

examples:
  python -m cnnexp export RUN weights.npz            np.load("weights.npz") opens it
  python -m cnnexp export RUN weights.safetensors    needs: pip install 'cnnexp[safetensors]'
"""


def main(words: list[str]) -> int:
    """Write the weights of a run."""
    parser = argparse.ArgumentParser(
        prog="cnnexp export",
        description="Write a run's weights as .npz or .safetensors.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a new file; an old one is replaced"
    )
    given = parser.parse_args(words)
    if given.file.suffix not in FORMATS:
        raise OptionError(
            f"{given.file}: the ending says the format, and must be one of {', '.join(FORMATS)}."
        )
    weights = load_run(given.run).weights
    content = FORMATS[given.file.suffix](weights)
    with writing(given.file):
        replace_file(given.file, content)
    numbers = sum(array.size for array in weights.values())
    print(f"{given.file}: {len(weights)} arrays, {numbers:,} numbers")
    return 0


def as_npz(weights: Weights) -> bytes:
    """Return arrays as the bytes of a NumPy archive."""
    buffer = io.BytesIO()
    np.savez(buffer, **weights)
    return buffer.getvalue()


def as_safetensors(weights: Weights) -> bytes:
    """Return arrays in the safetensors format.

    Raises
    ------
    OptionError
        If the package ``safetensors`` is not installed.
    """
    try:
        from safetensors.numpy import save
    except ImportError:
        raise OptionError(
            "export to .safetensors needs the package safetensors, which is not installed:"
            " pip install 'cnnexp[safetensors]'. Or export to .npz, which needs nothing."
        ) from None
    content: bytes = save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    return content


FORMATS = {".npz": as_npz, ".safetensors": as_safetensors}
