"""A network that ends in a softmax does not learn real values: that is refused, and no more."""

import numpy as np
import pytest

from tests.commandline import cnnexp

QUICK = ("epochs=1", "impl=fast", "impl.threads=1", "loss=mean_squared_error")
FLAT = ("model=flat", "model.layers.1.units=3")


def settings(folder, Y):
    np.savez(folder / "a.npz", X=np.random.default_rng(0).normal(size=(20, 4)), Y=Y)
    return ("data=npz", f"data.file={folder / 'a.npz'}", *QUICK)


def test_real_values_found_in_the_data_are_refused(tmp_path):
    ended = cnnexp(*settings(tmp_path, np.linspace(0, 1, 20)), *FLAT)
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        "error: model=flat: it ends in a softmax, whose outputs add up to 1, and the targets of"
        " data=npz are real values, so it cannot learn them. Choose model=regression, or a last"
        " layer without softmax: model.layers.2.activation=null."
    )
    assert not list(tmp_path.glob("outputs/*/*"))


def test_what_the_message_advises_is_taken(tmp_path):
    words = settings(tmp_path, np.linspace(0, 1, 20))
    assert cnnexp(*words, *FLAT, "model.layers.2.activation=null").code == 0
    assert cnnexp(*words, "model=regression").code == 0


@pytest.mark.parametrize("softmax", ["softmax", "log_softmax"])
def test_a_softmax_that_is_a_layer_of_its_own_is_found_too(softmax, tmp_path):
    layers = f"model.layers=[{{type: dense}}, {{type: {softmax}}}]"
    ended = cnnexp(*settings(tmp_path, np.linspace(0, 1, 20)), layers)
    assert (ended.code, f"without {softmax}: leave out model.layers.1." in ended.err) == (2, True)


def test_fractions_that_add_up_to_1_may_be_learnt_as_they_are(tmp_path):
    part = np.linspace(0.1, 0.9, 20)
    words = (*settings(tmp_path, np.stack([part, 1 - part], axis=1)), *FLAT)
    assert cnnexp(*words).code == 2  # scaled, they do not add up to 1
    assert cnnexp(*words, "data.target_scaling=none").code == 0


def test_classes_may_be_learnt_by_their_squared_distance(tmp_path):
    assert cnnexp(*settings(tmp_path, np.arange(20) % 3), *FLAT, "metrics=[error]").code == 0


def test_show_knows_the_defaults_of_a_network_without_its_softmax(tmp_path):
    words = settings(tmp_path, np.linspace(0, 1, 20))
    run = tmp_path / "run"
    changed = "model.layers.2.activation=null"
    assert cnnexp(*words, *FLAT, changed, f"hydra.run.dir={run}").code == 0
    shown = cnnexp("show", run).out
    assert "cannot be composed" not in shown
    assert "model.layers.2.activation" in shown
