import copy

import pytest

from cnnexp.runs import fingerprint as module
from cnnexp.runs.fingerprint import config_hash, fingerprint

CONFIG = {
    "model": {"name": "flat", "layers": [{"type": "dense", "units": 5}]},
    "impl": {"name": "sg", "threads": 1, "micro_batch": "auto"},
    "data": {"name": "npz", "file": "/a/data.npz", "dir": "/a", "limit": None},
    "epochs": 2,
    "seed": 0,
    "init_from": None,
    "checkpoint": {"every": "epoch"},
    "sweep": {"dir": "outputs/x", "rerun": "failed", "objective": "validation_error"},
}
CHECKSUM = "sha256:0"
WANTED = fingerprint(CONFIG, CHECKSUM)


def changed(path: str, value: object) -> dict:
    config = copy.deepcopy(CONFIG)
    *groups, last = path.split(".")
    place = config
    for group in groups:
        place = place[group]
    place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.file", "/b/data.npz"),
        ("data.dir", "/b"),
        ("init_from", "/b/run"),  # its weights count, not where they lie
        ("checkpoint.every", 5),
        ("sweep.dir", "S"),
        ("sweep.rerun", "all"),
        ("sweep.objective", "test_error"),
    ],
)
def test_what_does_not_change_a_result_does_not_count(path, value):
    assert fingerprint(changed(path, value), CHECKSUM) == WANTED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("epochs", 3),
        ("seed", 1),
        ("data.limit", 10),
        ("impl.name", "naive"),
        ("impl.micro_batch", 16),
        ("impl.threads", 2),  # timings are results too
        ("model.layers", [{"type": "dense", "units": 6}]),
    ],
)
def test_what_changes_a_result_counts(path, value):
    assert fingerprint(changed(path, value), CHECKSUM) != WANTED


def test_data_and_initial_weights_count():
    found = {
        WANTED,
        fingerprint(CONFIG, "sha256:1"),
        fingerprint(CONFIG, CHECKSUM, "sha256:0"),
        fingerprint(CONFIG, CHECKSUM, "sha256:1"),
    }
    assert len(found) == 4


def test_the_version_of_results_counts(monkeypatch):
    monkeypatch.setattr(module, "RESULTS_VERSION", module.RESULTS_VERSION + 1)
    assert fingerprint(CONFIG, CHECKSUM) != WANTED


def test_the_order_of_keys_does_not_count():
    turned = dict(reversed(CONFIG.items()))
    assert fingerprint(turned, CHECKSUM) == WANTED
    assert config_hash(turned) == config_hash(CONFIG)


def test_a_config_is_left_as_it_was():
    before = copy.deepcopy(CONFIG)
    fingerprint(CONFIG, CHECKSUM)
    assert before == CONFIG


def test_options_that_came_later_do_not_count_where_they_say_what_was_done_before():
    """A run that is older than an option is the same as one with its first value."""
    before = {
        **CONFIG,
        "model": {"name": "flat"},
        "schedule": {"name": "constant"},
        "data": {"name": "mnist"},
    }
    same = {
        **CONFIG,
        "model": {"name": "flat", "target": "label"},
        "schedule": {"name": "constant", "warmup_epochs": 0.0},
        "data": {"name": "mnist", "task": None, "target_scaling": None},
        "accumulate": 1,
        "ema": None,
    }
    other = {**same, "schedule": {"name": "constant", "warmup_epochs": 1.0}}
    assert fingerprint(before, CHECKSUM) == fingerprint(same, CHECKSUM)
    assert fingerprint(before, CHECKSUM) != fingerprint(other, CHECKSUM)
    assert fingerprint(before, CHECKSUM) != fingerprint({**same, "ema": 0.9}, CHECKSUM)


def test_no_transforms_are_no_augmentation():
    plain = {**CONFIG, "augment": {"transforms": []}}
    assert fingerprint(plain, CHECKSUM) == fingerprint({**CONFIG, "augment": None}, CHECKSUM)
    assert fingerprint(plain, CHECKSUM) == fingerprint(CONFIG, CHECKSUM)
    flipped = {**CONFIG, "augment": {"transforms": [{"type": "flip"}]}}
    assert fingerprint(flipped, CHECKSUM) != fingerprint(CONFIG, CHECKSUM)


@pytest.mark.parametrize("key", module.NEWER)
def test_a_setting_at_the_value_of_before_does_not_count(key):
    assert fingerprint({**CONFIG, key: module.NEWER[key]}, CHECKSUM) == WANTED
    other = fingerprint({**CONFIG, key: "other"}, CHECKSUM)
    assert (other == WANTED) is (key in module.NO_RESULT)


def test_the_values_of_before_are_those_that_runs_without_them_had():
    assert module.NEWER["best_weights"] is False and module.NEWER["evaluate"] == "each_epoch"


def test_a_hash_of_settings_leaves_out_what_is_for_people():
    named = {**CONFIG, "name": "mine", "tags": ["a"], "note": "first"}
    assert config_hash(named) == config_hash(CONFIG) != config_hash({**CONFIG, "epochs": 3})


def test_the_version_of_an_implementation_counts_for_its_runs_alone(monkeypatch):
    compiled = fingerprint(changed("impl.name", "compiled"), CHECKSUM)
    monkeypatch.setitem(module.OF_IMPLEMENTATION, "compiled", 99)
    assert fingerprint(CONFIG, CHECKSUM) == WANTED
    assert fingerprint(changed("impl.name", "compiled"), CHECKSUM) != compiled
