"""``cnnexp export RUN FILE``: a run's network, or its weights, in a format of other programs."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnexp import __version__
from cnnexp.app.arguments import add_reading_options, load_given_run, parser_of_run
from cnnexp.app.screen import say, writing
from cnnexp.errors import OptionError
from cnnexp.exchange.onnx_graph import OPSET, onnx_model
from cnnexp.exchange.torch_code import torch_module
from cnnexp.exchange.torch_reading import need_torch
from cnnexp.exchange.torch_weights import to_state
from cnnexp.runs.evaluation import scales_of
from cnnexp.runs.files import write_output
from cnnexp.runs.reading import Run

EPILOG = f"""\
.npz and .safetensors hold arrays named <layer>.<parameter>, for example conv1.W (f_w, f_w, n_c,
n_f) and dense1.W (n_in, units). .onnx holds the whole network (opset {OPSET}, float32, any number
of samples): it takes samples as files hold them, such as pixels from 0 to 255, and scales them.
.pt is a PyTorch state_dict, with the module that it is for beside it as .py; "import" reads it.

examples:
  python -m cnnexp export RUN weights.npz            np.load("weights.npz") opens it
  python -m cnnexp export RUN weights.safetensors    needs: pip install 'cnnexp[safetensors]'
  python -m cnnexp export RUN model.onnx             needs: pip install 'cnnexp[onnx]'
  python -m cnnexp export RUN model.pt               needs: pip install 'cnnexp[torch]'
"""


ABOUT = "A network of cnnexp as a module of PyTorch; the weights are in the .pt file beside it."


class Exported(NamedTuple):
    """What is written, and what is said of it."""

    files: dict[Path, bytes]
    what: str


def main(words: list[str]) -> int:
    """Write the network of a run."""
    parser = parser_of_run("export", EPILOG)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a new file; an old one is replaced"
    )
    parser.add_argument(
        "--scaled",
        action="store_true",
        help="for .onnx: take samples that are scaled already, and give values as they were learnt",
    )
    parser.add_argument(
        "--channels-first",
        action="store_true",
        help="for .onnx: take images as (n, channels, rows, columns)",
    )
    add_reading_options(parser)
    given = parser.parse_args(words)
    if given.file.suffix not in FORMATS:
        raise OptionError(
            f"{given.file}: the ending says the format, and must be one of {', '.join(FORMATS)}."
        )
    exported = FORMATS[given.file.suffix](load_given_run(given), given)
    for path, content in exported.files.items():
        with writing(path):
            write_output(path, content)
    say(f"{', '.join(map(str, exported.files))}: {exported.what}")
    return 0


def classes_of(run: Run) -> list[str]:
    """Return the names of a run's classes; none if it learnt real values."""
    return list(run.recorded.data["classes"]) if run.recorded.data else []


def _arrays(run: Run) -> str:
    numbers = sum(array.size for array in run.weights.values())
    return f"{len(run.weights)} arrays, {numbers:,} numbers"


def as_npz(run: Run, given: argparse.Namespace) -> Exported:
    """Return the weights as a NumPy archive."""
    buffer = io.BytesIO()
    np.savez(buffer, **run.weights)
    return Exported({given.file: buffer.getvalue()}, _arrays(run))


def as_safetensors(run: Run, given: argparse.Namespace) -> Exported:
    """Return the weights in the safetensors format.

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
    content: bytes = save(
        {name: np.ascontiguousarray(array) for name, array in run.weights.items()}
    )
    return Exported({given.file: content}, _arrays(run))


def as_onnx(run: Run, given: argparse.Namespace) -> Exported:
    """Return the network as an ONNX graph."""
    scale, target_scale = (None, None) if given.scaled else scales_of(run)
    about = {"classes": json.dumps(classes_of(run)), "cnnexp": __version__}
    content = onnx_model(
        run.network,
        scale=scale,
        target_scale=target_scale,
        channels_first=given.channels_first,
        about=about,
    )
    return Exported(
        {given.file: content}, f"opset {OPSET}, {run.network.parameter_count:,} numbers"
    )


def as_torch(run: Run, given: argparse.Namespace) -> Exported:
    """Return the weights as a ``state_dict``, and the module that they are for."""
    torch = need_torch()
    code = given.file.with_suffix(".py")
    if code.exists() and not code.read_bytes().startswith(f'"""{ABOUT}'.encode()):
        raise OptionError(
            f"{code}: is there already, and the module for {given.file.name} would be written"
            " there. Choose another name."
        )
    module = torch_module(run.network, about=ABOUT, extra=preparing(run))
    state = to_state(run.network.weights(), module.weights)
    buffer = io.BytesIO()
    torch.save({key: torch.from_numpy(array) for key, array in state.items()}, buffer)
    files = {given.file: buffer.getvalue(), code: module.source.encode()}
    return Exported(files, _arrays(run))


def preparing(run: Run) -> str:
    """Return the source of a function that scales samples as a run did."""
    lines = ["", "", f"CLASSES = {classes_of(run)!r}"]
    scale, _ = scales_of(run)
    if scale is not None:
        factor, shift = (np.asarray(part).tolist() for part in (scale.factor, scale.shift))
        images = len(run.network.input_shape) > 1
        lines += [
            f"FACTOR, SHIFT = {factor!r}, {shift!r}",
            "",
            "",
            "def prepared(samples):",
            f'    """Return samples as files hold them{", (n, rows, columns, channels)" * images},'
            ' as the module takes them."""',
            "    samples, factor, shift = (",
            "        torch.as_tensor(part, dtype=torch.float64)",
            "        for part in (samples, FACTOR, SHIFT)",
            "    )",
            "    x = samples * factor - shift",
            f"    return x.float(){'.movedim(-1, 1)' * images}",
        ]
    return "\n".join(lines)


FORMATS: dict[str, Callable[[Run, argparse.Namespace], Exported]] = {
    ".npz": as_npz,
    ".safetensors": as_safetensors,
    ".onnx": as_onnx,
    ".pt": as_torch,
}
