"""``cnnexp summary``: a network as a table, and what a training step needs of memory."""

from __future__ import annotations

from typing import Any

from cnnexp.app.arguments import add_settings, parser_of
from cnnexp.app.networks import config_of, images_of, networks_of
from cnnexp.nn.memory import StepMemory, megabytes
from cnnexp.nn.network import Network
from cnnexp.registry import made
from cnnexp.train import OPTIMIZERS

EPILOG = """\
The network is the one of a run with these settings; nothing is trained, and no run folder is made.
A receptive field is what one pixel of a layer's result depends on, in pixels of the image; behind a
block it is the largest of its branches. Memory is worked out from the shapes; what is counted is
listed, the data set is not.

examples
  python -m cnnexp summary model=resnet data=mnist
  python -m cnnexp summary model=vgg data=mnist batch_size=128 optimizer=adam impl=im2col
"""


def main(words: list[str]) -> int:
    """Print the table and the memory of a step."""
    parser = parser_of("summary", EPILOG)
    add_settings(parser)
    config = config_of("summary", parser.parse_intermixed_args(words).overrides)
    images = images_of(config)
    (network,) = networks_of({"": config}, images).values()
    memory = network.step_memory(config["batch_size"], optimizer_bytes(config, network))
    size = "x".join(map(str, network.input_shape))
    print(f"model={config['model']['name']}, data={images.name}, samples of {size}\n")
    print(network.summary())
    print("\n".join(["", *memory_lines(config, memory)]))
    return 0


def optimizer_bytes(config: dict[str, Any], network: Network) -> int:
    """Return the bytes of the state that a config's optimizer keeps for a network."""
    optimizer = made(OPTIMIZERS, config["optimizer"], "name")
    state = optimizer.initial_state(network.named_parameters, network.parameters)
    return sum(array.nbytes for array in state.values())


def memory_lines(config: dict[str, Any], memory: StepMemory) -> list[str]:
    """Return what a step needs of memory, part by part."""
    parts = [
        ("parameters", memory.parameters, ""),
        ("gradients", memory.gradients, "one vector, and one for each further micro-batch"),
        ("optimizer", memory.optimizer, f"state of {config['optimizer']['name']}"),
        ("results", memory.samples * memory.results, "of layers, with gradients and a copy"),
        ("columns", memory.samples * memory.columns, "windows of the convolutions"),
        ("all", memory.total, f"{megabytes(memory.results + memory.columns)} for each sample"),
    ]
    lines = [f"  {name:<11}{megabytes(size):>9}  {what}".rstrip() for name, size, what in parts]
    return [
        f"memory of a training step, batch_size={config['batch_size']},"
        f" {memory.samples} samples at a time",
        *lines,
    ]
