"""The peer that benchmarks are timed against computes what we compute."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from experiments.benchmarks import agreement, peer
from experiments.benchmarks.jobs import LAYOUTS, NETS, Job, made_samples

SAMPLES = 8


def job_of(net: str, dtype: str = "float64") -> Job:
    return Job(net, batch=SAMPLES, threads=1, dtype=dtype, pool=SAMPLES)


@pytest.mark.few(2)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("net", NETS)
def test_gradients_and_two_steps_are_those_of_pytorch(net: str, layout: str) -> None:
    figures = agreement.differences(job_of(net), layout)
    assert figures["loss_difference"] < 1e-12
    assert figures["gradient_difference"] < agreement.TOLERANCE["float64"]
    assert figures["step_difference"] < agreement.TOLERANCE["float64"]


@pytest.mark.long
def test_residual_blocks_and_batch_norm_are_those_of_pytorch() -> None:
    figures = agreement.differences(job_of("resnet"))
    assert max(figures.values()) < agreement.TOLERANCE["float64"]


@pytest.mark.parametrize("net", NETS)
def test_in_float32_they_differ_by_rounding_alone(net: str) -> None:
    figures = agreement.differences(job_of(net, "float32"))
    assert 0 < max(figures.values()) < agreement.TOLERANCE["float32"]


def test_a_difference_ends_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="Nothing is timed"):
        agreement.expect_rounding(job_of("flat"), {"gradient_difference": 1e-3})
    with pytest.raises(SystemExit, match="Nothing is timed"):
        agreement.expect_rounding(job_of("flat"), {"gradient_difference": float("nan")})


@pytest.mark.parametrize("shape", [(3, 3, 2, 5), (12, 7)])
def test_weights_go_to_pytorch_and_back(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random(shape)
    image = (3, 2, 2) if len(shape) == 2 else ()
    assert np.array_equal(peer.ours(peer.theirs(array, image), image), array)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_lie_in_memory_as_the_layout_says(layout: str) -> None:
    X, _ = peer.tensors(made_samples(4), layout)
    strides = {"channels_first": (784, 784, 28, 1), "channels_last": (784, 1, 28, 1)}
    assert X.stride() == strides[layout]


def test_it_learns_and_predicts() -> None:
    import torch

    torch.manual_seed(0)  # labels are random, and some first weights need longer to learn them
    made = peer.Peer(Job("flat", LAYOUTS[0], batch=32, pool=64))
    before = made.wrong(made_samples(64))
    assert made.train(400) > 0
    assert made.wrong(made_samples(64)) < before - 0.1
    assert made.infer(64, 32) > 0
