"""Augmentation from the command line: overrides, what is recorded, one's own, and old runs."""

from __future__ import annotations

import copy
import json
import signal
import sys

import pytest

from cnnexp import load_run
from cnnexp.app.main import main
from cnnexp.app.running.resume import complete
from cnnexp.app.settings.check import check
from cnnexp.data.augmentation import AUGMENTATIONS
from cnnexp.errors import ConfigError
from cnnexp.runs.fingerprint import fingerprint
from cnnexp.runs.writing import RunWriter
from experiments.benchmarks.kill_and_resume import differences
from tests.app.test_configs import compose
from tests.commandline import cnnexp, succeed
from tests.runs.small import change_record, settings, train, write_data

TYPED = "augment.transforms=[{type: elastic, pixels: 0.3}, {type: noise}, {type: mixup}]"


@pytest.fixture(autouse=True)
def own_augmentations_are_forgotten(monkeypatch):
    monkeypatch.setattr(AUGMENTATIONS, "_things", dict(AUGMENTATIONS._things))
    monkeypatch.delitem(sys.modules, "my_images", raising=False)


def test_overrides_reach_inside_and_defaults_are_recorded():
    config = check(
        compose(
            "augment=affine", "augment.transforms.1.degrees=15", "augment.transforms.2.factor=1.3"
        )
    )
    assert config["augment"] == {
        "name": "affine",
        "transforms": [
            {"type": "shift", "pixels": 2.0},
            {"type": "rotate", "degrees": 15.0},
            {"type": "scale", "factor": 1.3, "separate": True},
            {"type": "shear", "degrees": 10.0},
        ],
    }


def test_a_list_that_is_typed_has_a_name_of_its_own():
    config = check(compose("augment.transforms=[{type: erase}]"))
    assert config["augment"]["name"] == "own"
    assert config["augment"]["transforms"][0]["aspect"] == 3.0


def test_all_faults_are_found_at_once():
    with pytest.raises(ConfigError) as caught:
        check(
            compose(
                "augment.transforms=[{type: rotat}, {type: erase, area: 1}, {type: mixup}, 3]",
                "loss=hinge",
                "epochs=0",
            )
        )
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "epochs must be at least 1. Got 0.",
        "augment.transforms.0.type",
        "augment.transforms.1 (erase)",
        "augment.transforms.2 (mixup)",
        "augment.transforms.3",
    ]


def test_runs_that_are_older_than_augmentation_have_none_and_keep_their_fingerprint():
    config = check(compose("sweep.dir=S"))
    old = copy.deepcopy(config)
    del old["augment"]
    assert complete(old)["augment"] == {"name": "none", "transforms": []}
    assert fingerprint(old, "sha256:0") == fingerprint(config, "sha256:0")
    other = check(compose("sweep.dir=S", "augment=affine"))
    assert fingerprint(other, "sha256:0") != fingerprint(config, "sha256:0")


@pytest.mark.long
def test_a_run_of_before_is_read_and_resumed(tmp_path):
    data = write_data(tmp_path / "data.npz")
    whole = train(tmp_path / "whole", data)
    old = train(tmp_path / "old", data)
    record = json.loads((old / "run.json").read_text())
    del record["config"]["augment"]
    change_record(old, config=record["config"])
    assert load_run(old).network.parameter_count
    assert main(["resume", str(old)]) == 0
    assert differences(whole, old) == []
    change_record(old, config=record["config"])
    assert load_run(old).config["augment"] == {"name": "none", "transforms": []}
    for words in (["show", old], ["compare", old, whole], ["inspect", old]):
        succeed(*words)


def test_a_run_that_is_stopped_and_resumed_has_the_same_bits(tmp_path, monkeypatch):
    data = write_data(tmp_path / "data.npz")
    whole = train(tmp_path / "whole", data, TYPED)
    run, done, batch_done = tmp_path / "run", [], RunWriter.batch_done

    def stop_at_eight(writer, event, training):
        batch_done(writer, event, training)
        done.append(event)
        if len(done) == 8:  # the second of the second epoch
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "batch_done", stop_at_eight)
        assert main([*settings(data, TYPED), f"hydra.run.dir={run}"]) == 130
    assert main(["resume", str(run)]) == 0
    assert differences(whole, run) == []
    plain = train(tmp_path / "plain", data)
    assert differences(whole, plain) != []


OWN = '''
from dataclasses import dataclass

from cnnexp.data.augmentation import AUGMENTATIONS, Augmentation


@AUGMENTATIONS.register("mirror")
@dataclass(frozen=True)
class Mirror(Augmentation):
    """Swaps left and right in a part of the images."""

    probability: float = 0.5

    def draws(self, image_shape):
        return 1

    def apply(self, X, U, pixels):
        mirrored = X.copy()
        chosen = U[:, 0] < self.probability
        mirrored[chosen] = X[chosen, :, ::-1]
        return mirrored
'''


def test_ones_own_augmentation_has_all_checks(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_images.py").write_text(OWN)
    words = ["model=flat", "epochs=1", "data.limit=40", "plugins=[my_images]"]
    chosen = "augment.transforms=[{type: mirror}, {type: shift, pixels: 0.5}]"
    succeed(*words, chosen, "hydra.run.dir=run")
    recorded = load_run("run").config["augment"]["transforms"]
    assert recorded[0] == {"type": "mirror", "probability": 0.5}
    wrong = cnnexp(*words, chosen, "augment.transforms.0.probabilty=1")
    assert wrong.code == 2
    assert "(mirror): probabilty: no such option. Did you mean 'probability'?" in wrong.err


@pytest.mark.parametrize("name", ["affine", "elastic", "strong", "mixup"])
@pytest.mark.few(2)
def test_every_preset_trains(name):
    succeed("model=flat", "epochs=1", "data.limit=40", f"augment={name}", "hydra.run.dir=run")
    assert load_run("run").status == "finished"
