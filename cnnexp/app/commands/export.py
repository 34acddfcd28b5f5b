"""``cnnexp export RUN FILE``: a run's weights in a format that other programs read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.app.arguments import add_reading_options, load_given_run, parser_of
from cnnexp.app.named_run import HELP, named_run
from cnnexp.app.screen import say, writing
from cnnexp.errors import OptionError
from cnnexp.runs.files import write_output

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
    parser = parser_of("export", EPILOG)
    parser.add_argument("run", type=named_run, metavar="RUN", help=HELP)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a new file; an old one is replaced"
    )
    add_reading_options(parser, plugins=False)
    given = parser.parse_args(words)
    if given.file.suffix not in FORMATS:
        raise OptionError(
            f"{given.file}: the ending says the format, and must be one of {', '.join(FORMATS)}."
        )
    weights = load_given_run(given).weights
    content = FORMATS[given.file.suffix](weights)
    with writing(given.file):
        write_output(given.file, content)
    numbers = sum(array.size for array in weights.values())
    say(f"{given.file}: {len(weights)} arrays, {numbers:,} numbers")
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
