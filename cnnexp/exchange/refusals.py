"""Refusing what cannot be exported, before anything is written."""

from __future__ import annotations

from collections.abc import Container

from cnnexp.errors import OptionError
from cnnexp.nn.layer import walk
from cnnexp.nn.network import Network


def refuse_unknown(network: Network, known: Container[str], target: str) -> None:
    """Raise OptionError that names all layers which cannot be exported.

    Parameters
    ----------
    network : Network
        What is to be exported.
    known : container of str
        The types of layers that can be exported.
    target : str
        What it is exported to, for the message.
    """
    layers = [layer for layer in walk(network.layers) if layer.type not in known]
    if layers:
        names = ", ".join(f"{layer.path} ({layer.type})" for layer in layers)
        raise OptionError(
            f"cannot be exported to {target}: there is no translation of {names}. The weights alone"
            " can be exported, to .npz or .safetensors."
        )
