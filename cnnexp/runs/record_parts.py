"""The parts of a record: what ``run.json`` says of data, network, weights, resumes and files."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from cnnexp.data.scale import ScaleRecord


class Origin(TypedDict, total=False):
    """The weights that a run began from.

    Attributes
    ----------
    checksum : str
        SHA-256 of the file ``weights.pkl`` that ``init_from`` named.
    """

    checksum: str


class DataRecord(TypedDict):
    """The data set of a run.

    Attributes
    ----------
    checksum : str
        SHA-256 of all samples and targets; part of the fingerprint.
    train : int
        Number of training samples, without those of the validation part.
    validation : int
        Number of validation samples.
    test : int
        Number of test samples.
    classes : list of str
        Names of the classes, in the order of the outputs; empty for real-valued targets.
    targets : list of str
        Names of the columns of real-valued targets; empty for classes.
    target_shape : list of int or None
        Shape of one target, where targets are real values.
    scale : dict or None
        How the values were scaled: factor, shift, and the largest value of an image.
    target_scale : dict or None
        How real-valued targets were scaled.
    """

    checksum: str
    train: int
    validation: int
    test: int
    classes: list[str]
    targets: NotRequired[list[str]]
    target_shape: NotRequired[list[int] | None]
    scale: NotRequired[ScaleRecord | None]
    target_scale: NotRequired[ScaleRecord | None]


class NetworkRecord(TypedDict):
    """The network of a run, with workers and sizes of micro-batches as they were used.

    Attributes
    ----------
    input_shape : list of int
        Shape of one sample.
    parameters : int
        Number of trained values.
    multiply_adds : int
        Multiplications of one sample's forward pass.
    threads : int
        Workers that share the micro-batches.
    micro_batch : int
        Samples of a micro-batch in training.
    inference_micro_batch : int
        Samples of a micro-batch where no backward pass follows.
    device : dict
        Only with ``impl=cupy``: the name of the GPU, and the versions of CuPy and CUDA.
    """

    input_shape: list[int]
    parameters: int
    multiply_adds: int
    threads: int
    micro_batch: int
    inference_micro_batch: int
    device: NotRequired[dict[str, str]]


class Resume(TypedDict):
    """When a run was resumed, from where, and how the machine differed.

    Attributes
    ----------
    at : str
        When, with the offset from universal time.
    epoch : int
        Epochs that were finished.
    batch : int
        Mini-batches of the next epoch that were done.
    differences : list of str or None
        Differences from the previous environment that can change the last bits.
    command : list of str or None
        What was typed.
    git : dict or None
        The commit of cnnexp, as in ``environment.git``.
    """

    at: str
    epoch: int
    batch: int
    differences: NotRequired[list[str] | None]
    command: NotRequired[list[str] | None]
    git: NotRequired[dict[str, Any] | None]


class CheckpointEntry(TypedDict):
    """The checksum of a checkpoint, and length and checksum of each log as it was then."""

    checkpoint: str
    logs: dict[str, list[Any]]


Checksums = TypedDict(
    "Checksums",
    {
        "checkpoints": list[CheckpointEntry],
        "epochs": dict[str, str],
        "weights.pkl": str,
        "logs": dict[str, list[Any]],
    },
    total=False,
)
