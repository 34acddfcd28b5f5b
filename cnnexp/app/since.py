"""Since which version there is a setting.

Written down is what each released version had, by the sections of `cnnexp.app.settings`. What is
not here came after the last of them: ``python -m tests.docs.reference --release 0.2.0`` enters it.
"""

from __future__ import annotations

UNRELEASED = "unreleased"

RELEASES: dict[str, dict[str, str]] = {
    "0.1.0": {
        "a run": (
            "model impl data optimizer schedule learning_rate epochs batch_size seed dtype plugins"
            " init_from profile checkpoint sweep"
        ),
        "model": "name layers",
        "checkpoint": "every",
        "sweep": "dir rerun objective search_on_test",
        "impl": "name threads fuse",
        "data": "name split seed limit validation scaling",
        "data=npz": "file",
        "data=digits": "",
        "data=mnist": "dir",
        "data=fashion_mnist": "dir",
        "data=image_folder": "dir size channels",
        "optimizer=sgd": "momentum nesterov weight_decay",
        "optimizer=adam": "beta1 beta2 epsilon weight_decay",
        "schedule=constant": "",
        "schedule=cosine": "warmup final",
        "schedule=triangle": "warmup",
        "type: conv": "filters kernel_size stride padding activation initializer",
        "type: max_pool": "kernel_size stride padding",
        "type: avg_pool": "kernel_size stride padding",
        "type: flatten": "",
        "type: dense": "units activation initializer",
        "type: relu": "",
        "type: sigmoid": "",
        "type: tanh": "",
        "type: softmax": "",
    },
}


def since(section: str, option: str = "") -> str:
    """Return the version that was the first to have a section, or one of its options.

    Examples
    --------
    >>> since("optimizer=sgd", "nesterov"), since("optimizer=sgd", "clip_norm")
    ('0.1.0', 'unreleased')
    """
    for version, had in RELEASES.items():
        if section in had and (not option or option in had[section].split()):
            return version
    return UNRELEASED
