from __future__ import annotations

import dataclasses

import pytest

from cnnexp.app.commands import SUMMARIES
from cnnexp.app.commands.list import KINDS
from cnnexp.app.main import main
from cnnexp.data import SOURCES
from cnnexp.data.augmentation import AUGMENTATIONS
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.nn.layer import LAYERS
from cnnexp.train import OPTIMIZERS, SCHEDULES
from tests.commandline import succeed

Captured = pytest.CaptureFixture[str]


def listed(kind: str, capsys: Captured) -> dict[str, tuple[str, str]]:
    """Return what a kind lists: by name, what it is and its options."""
    assert main(["list", kind]) == 0
    entries: dict[str, tuple[str, str]] = {}
    name = ""
    for line in capsys.readouterr().out.splitlines():
        if not line:
            break
        if line.startswith(" "):
            entries[name] = (entries[name][0], line.strip())
        else:
            name, _, what = line.partition(" ")
            entries[name] = (what.strip(), "")
    return entries


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("layers", LAYERS),
        ("impls", IMPLEMENTATIONS),
        ("data", SOURCES),
        ("optimizers", OPTIMIZERS),
        ("schedules", SCHEDULES),
        ("initializers", INITIALIZERS),
        ("augmentations", AUGMENTATIONS),
        ("commands", SUMMARIES),
    ],
)
def test_each_kind_lists_its_table_and_says_what_each_is(
    kind: str, table: object, capsys: Captured
) -> None:
    entries = listed(kind, capsys)
    if kind == "initializers":
        assert "All weights equal to one number." in entries.pop("NUMBER")[0]
    assert list(entries) == list(table)  # type: ignore[call-overload]
    assert all(what for what, _ in entries.values())


def test_options_and_their_defaults_are_those_of_the_dataclass(capsys: Captured) -> None:
    absent = dataclasses.MISSING
    for name, (_, options) in listed("layers", capsys).items():
        fields = {
            field.name: field.default
            if field.default_factory is absent
            else field.default_factory()
            for field in dataclasses.fields(LAYERS[name])  # type: ignore[arg-type]
        }
        shown = dict(option.split("=") for option in options.split())
        assert list(shown) == list(fields)
        for key, text in shown.items():
            default = fields[key]
            expected = "…" if default is absent else str(default)
            assert text == {"None": "null"}.get(expected, expected)


def test_defaults_that_a_config_sets_are_those_a_run_gets(capsys: Captured) -> None:
    assert listed("optimizers", capsys)["sgd"][1] == (
        "weight_decay=0.0 decay_biases=true clip_value=null clip_norm=null l1=0.0"
        " max_norm=null momentum=0.9 nesterov=true"
    )
    assert listed("data", capsys)["npz"][1].startswith(
        "file=… task=null split=null seed=0 limit=null"
    )


def test_an_implementation_says_what_it_does_and_its_options_are_those_of_impl(
    capsys: Captured,
) -> None:
    what, options = listed("impls", capsys)["sg"]
    assert what == "One matrix product, or one reduction, per stride group."
    assert options == "threads=auto micro_batch=auto inference_micro_batch=auto tune=true fuse=true"


def test_regularizers_are_options_of_every_optimizer(capsys: Captured) -> None:
    assert main(["list", "regularizers"]) == 0
    shown = capsys.readouterr().out
    for name, words in (("weight_decay", "L2: "), ("l1", "L1: "), ("max_norm", "max-norm: ")):
        assert f"optimizer.{name}" in shown
        assert words in shown
        assert all(hasattr(OPTIMIZERS[each](), name) for each in OPTIMIZERS)
    assert "Decoupled, in its update, with adamw, lion, lamb." in shown


def test_models_have_the_comment_of_their_file(capsys: Captured) -> None:
    models = listed("models", capsys)
    assert models["cnn"][0] == "One convolution, one pooling, two dense layers."
    assert set(models) >= {"cnn", "flat", "original_cnn", "lenet5", "deep"}


def test_presets_of_augmentation_are_listed(capsys: Captured) -> None:
    presets = listed("augment", capsys)
    assert list(presets) == ["affine", "elastic", "mixup", "none", "strong"]
    assert presets["none"][0] == "Images as they are."


def test_optimizers_say_their_default_learning_rate(capsys: Captured) -> None:
    assert listed("optimizers", capsys)["lion"][0].endswith(" Default learning rate: 0.0001.")


def test_list_alone_lists_what_can_be_listed(capsys: Captured) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(KINDS)]] == list(KINDS)
    for kind in KINDS:
        assert main(["list", kind]) == 0


def test_an_unknown_kind_is_named(capsys: Captured) -> None:
    assert main(["list", "layer"]) == 2
    assert "there is no kind 'layer'. Did you mean 'layers'?" in capsys.readouterr().err


def test_a_question_ends_in_its_own_mark():
    out = succeed("list", "experiments")
    assert "How far do ten runs differ that differ in nothing but the seed?\n" in out
    assert "?." not in out
