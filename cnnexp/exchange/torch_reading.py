"""Weights from a ``state_dict`` that PyTorch saved, read without running anything that is in it."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnexp.engine import Array
from cnnexp.errors import OptionError, ShapeError
from cnnexp.exchange.torch_weights import Weight, expected_shapes

LARGEST = 1 << 31  # bytes of all tensors together
INSIDE = ("state_dict", "model_state_dict", "model")  # where checkpoints of others keep it
PARALLEL = "module."  # before every name, where PyTorch trained on several devices
COUNTS = "num_batches_tracked"  # of batch normalisation; here nothing depends on it
SHOWN = 4  # faults in a message


def need_torch() -> Any:
    """Return PyTorch.

    Raises
    ------
    OptionError
        If it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise OptionError(
            "files of PyTorch (.pt, .pth) need the package torch, which is not installed:"
            " pip install 'cnnexp[torch]'"
        ) from None
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        raise OptionError(  # before, weights_only=True could be passed by (CVE-2025-32434)
            f"files of PyTorch need torch 2.6 or newer, and {torch.__version__} is installed:"
            " pip install 'torch>=2.6'"
        )
    return torch


def read_state(content: bytes) -> dict[str, Array]:
    """Return the arrays of a ``state_dict`` by their keys.

    It may be in a checkpoint, under ``state_dict``, ``model_state_dict`` or ``model``. PyTorch's
    own unpickler builds nothing but tensors and plain containers (``weights_only=True``).

    Raises
    ------
    OptionError
        If it is not a ``state_dict`` of dense tensors, or far too large, or PyTorch is not there.
    """
    torch = need_torch()
    _refuse_packed(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    for key in INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    tensors = isinstance(found, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in found.items()
    )
    if not tensors or not found:
        raise OptionError(
            "it holds no state_dict, which is a mapping from names to tensors. Save one with"
            " torch.save(model.state_dict(), FILE)."
        )
    _refuse_large(found)
    return _without_prefix({key: _as_array(key, tensor) for key, tensor in found.items()})


def _refuse_packed(content: bytes) -> None:
    """Refuse what PyTorch does not write: old formats, and compressed parts, which may grow."""
    # PyTorch looks at the beginning of a file, zipfile at its end: they must mean the same file.
    if not content.startswith(b"PK\x03\x04") or not zipfile.is_zipfile(io.BytesIO(content)):
        raise OptionError("it is not a file of torch.save, as PyTorch 1.6 and later write it.")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
    if any(part.filename.endswith("/constants.pkl") for part in parts):
        raise OptionError("it is a program (TorchScript), and only weights are read.")
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise OptionError("its parts are compressed, which torch.save never does.")
    if sum(part.file_size for part in parts) > len(content):
        raise OptionError("its parts say that they are larger than the file.")


def _refuse_large(found: Mapping[str, Any]) -> None:
    """Refuse tensors that would need far more memory than the file: they may repeat numbers."""
    if sum(tensor.numel() * tensor.element_size() for tensor in found.values()) > LARGEST:
        raise OptionError(f"its tensors have more than {LARGEST:,} bytes.")


def _as_array(key: str, tensor: Any) -> Array:
    torch = need_torch()
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise OptionError(f"{key}: it must be a dense tensor of numbers.")
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    array: Array = tensor.detach().resolve_conj().resolve_neg().numpy().copy()
    if array.dtype.kind == "c":
        raise OptionError(f"{key}: it must hold real numbers.")
    return array


def _without_prefix(state: dict[str, Array]) -> dict[str, Array]:
    if all(key.startswith(PARALLEL) for key in state):
        return {key.removeprefix(PARALLEL): array for key, array in state.items()}
    return state


def weights_from(
    state: Mapping[str, Array], ours: Mapping[str, Array], entries: Sequence[Weight]
) -> dict[str, Array]:
    """Return the weights of a network, given those of PyTorch.

    They are found by name, or, if no name is known, by their order: a module of one's own has other
    names, and its parameters stand in the order of its layers.

    Parameters
    ----------
    state : mapping
        Arrays by the keys of the ``state_dict``.
    ours : mapping
        The weights as they are; names, shapes and types are taken from them.
    entries : sequence of Weight
        What the ``state_dict`` of the network's own module holds.

    Raises
    ------
    ShapeError
        If names or shapes do not fit.
    """
    expected = expected_shapes(ours, entries)
    given = {key: array for key, array in state.items() if not key.endswith(COUNTS)}
    if not given.keys() & expected.keys() and len(given) == len(expected):
        given = dict(zip(expected, given.values(), strict=True))
    if faults := _faults(given, expected):
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise ShapeError(f"does not fit the network: {'; '.join(faults[:SHOWN])}{more}.")
    return {
        entry.path: entry.from_torch(given[entry.key]).astype(ours[entry.path].dtype)
        for entry in entries
        if entry.path
    }


def _faults(given: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Say what is missing, unknown, of another shape, or not finite."""
    faults = [f"{key} {shape} is missing" for key, shape in expected.items() if key not in given]
    faults += [f"{key} {a.shape} is in no layer" for key, a in given.items() if key not in expected]
    for key in (key for key in expected if key in given):
        array, shape = given[key], expected[key]
        if array.shape != shape:
            faults.append(f"{key} must be {shape}, and is {array.shape}")
        elif math.prod(shape) and not np.isfinite(array).all():
            faults.append(f"{key} holds numbers that are not finite")
    return faults
