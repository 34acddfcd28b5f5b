"""Blocks and losses in settings: overrides that reach inside, and mistakes inside of them."""

from __future__ import annotations

import pytest

from cnnexp import load_run
from tests.commandline import cnnexp, succeed

RESIDUAL = (
    "model.layers=[{type: residual, layers: [{type: conv, filters: 1, kernel_size: 3, padding:"
    " same, activation: relu}, {type: batch_norm}]}, {type: dropout, rate: 0.2}, {type: flatten,"
    " name: rows}, {type: dense, activation: softmax}]"
)
QUICK = ("epochs=2", "data.limit=60")


def test_a_network_with_a_block_is_trained_resumed_and_read(tmp_path):
    folder = tmp_path / "run"
    succeed(RESIDUAL, *QUICK, f"hydra.run.dir={folder}")
    run = load_run(folder)
    assert {"residual1.conv1.W", "residual1.batch_norm1.mean"} <= run.weights.keys()
    _, loss, error = run.network.evaluate(run.dataset.test.X, run.dataset.test.Y)
    assert (loss, error) == (run.results["test_loss"], run.results["test_error"])
    assert "residual1" in succeed("show", folder)


def test_settings_inside_of_a_block_can_be_changed(tmp_path):
    folder, inner = tmp_path / "run", "model.layers.0.layers.0.kernel_size"
    succeed(RESIDUAL, f"{inner}=[1,5]", *QUICK, f"hydra.run.dir={folder}")
    assert load_run(folder).weights["residual1.conv1.W"].shape == (1, 5, 1, 1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.layers.0.layers.0.filter=4",
            "model.layers.0.layers.0 (conv): filter: no such option. Did you mean 'filters'?",
        ),
        (
            "model.layers.0.layers.0.stride=[1,2,3]",
            "model.layers.0.layers.0 (conv): stride must be a whole number or a pair",
        ),
        ("model.layers.0.layers.1.type=batchnorm", "model.layers.0.layers.1.type: no layer is"),
        ("model.layers.0.layers=3", "model.layers.0.layers must be a list of layers. Got 3."),
        ("model.layers.0.layers.0.filters=2", "cannot add: its layers give shape (8, 8, 2)"),
        ("model.layers.2.name=a.b", "model.layers.2.name must be a text without a dot."),
        ("model.layers.0.layers.0.activation=conv", "activation must be one of"),
        ("loss=mean_squared", "loss=mean_squared: there is no such option. Did you mean"),
        ("metrics=[eror]", "metrics: no metric is named 'eror'. Did you mean 'error'?"),
        ("loss.label_smoothing=2", "loss.label_smoothing must be at least 0 and below 1."),
        ("sweep.objective=validation_eror", "Did you mean 'validation_error'?"),
    ],
)
@pytest.mark.few(2)
def test_mistakes_have_one_message_with_a_path(override, message):
    ended = cnnexp(RESIDUAL, override, *QUICK)
    assert ended.code == 2
    assert message in ended.err


@pytest.mark.long
def test_a_classifier_with_another_loss_keeps_its_error(tmp_path):
    folder = tmp_path / "run"
    shown = succeed(
        "loss=mean_squared_error", "learning_rate=0.02", "data.validation=0.2", *QUICK,
        f"hydra.run.dir={folder}",
    )  # fmt: skip
    assert "train loss" in shown and "error" in shown  # what a classifier is asked for
    run = load_run(folder)
    assert {"validation_loss", "validation_error"} <= {*run.epochs}
    assert run.config["sweep"]["objective"] == "validation_loss"
    assert run.results["best_validation_error"] > 0
    assert "test_loss" in succeed("compare", folder)
    assert "loss" in succeed("evaluate", folder)
    succeed("show", folder)
    succeed("inspect", folder)


def test_metrics_that_are_asked_for_are_logged(tmp_path):
    folder = tmp_path / "run"
    succeed(
        "loss=mean_squared_error", "metrics=[error, mean_absolute_error]", "learning_rate=0.02",
        *QUICK, f"hydra.run.dir={folder}",
    )  # fmt: skip
    run = load_run(folder)
    assert {"test_error", "train_mean_absolute_error"} <= set(run.epochs)
    assert {"error", "mean_absolute_error"} <= set(run.batches)
    assert run.config["sweep"]["objective"] == "validation_error"


def test_a_run_with_state_and_masks_resumes_bit_for_bit(tmp_path):
    """Running statistics come from the checkpoint, and dropout's masks from the step."""
    words = (RESIDUAL, "data.limit=60", "schedule=constant", "impl.threads=2")
    succeed(*words, "epochs=4", f"hydra.run.dir={tmp_path / 'unbroken'}")
    succeed(*words, "epochs=2", f"hydra.run.dir={tmp_path / 'resumed'}")
    succeed("resume", tmp_path / "resumed", "epochs=4")
    whole, resumed = load_run(tmp_path / "unbroken"), load_run(tmp_path / "resumed")
    assert whole.weights.keys() == resumed.weights.keys()
    for name, array in whole.weights.items():
        assert resumed.weights[name].tobytes() == array.tobytes()
    assert list(whole.batches["loss"]) == list(resumed.batches["loss"])
