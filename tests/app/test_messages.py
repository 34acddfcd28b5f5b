"""A list and settings in each other's place."""

from pathlib import Path

import pytest
from omegaconf.errors import ConfigTypeError

from cnnexp.app.compose import messages
from tests.commandline import cnnexp


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: [1, 2]", "model: must be settings, as key: value (a mapping), not a list."),
        ("model:\n  layers: {a: 1}", "model.layers: must be a list, not settings."),
    ],
)
def test_a_list_and_settings_are_mixed_up_in_a_file(text, reason):
    """The key was left empty in the message, and a list asked for where one was."""
    Path("experiments").mkdir()
    Path("experiments/m.yaml").write_text(f"# @package _global_\n{text}\n")
    ended = cnnexp("--config-dir", ".", "experiments=m")
    assert (ended.code, ended.err) == (2, f"error: experiments/m.yaml: {reason}\n")


def test_without_the_place_both_are_named():
    mixed = ConfigTypeError(f"{messages.MIXED}\n    full_key: ")
    assert messages._mixed_up(mixed).startswith("must be settings, as key: value (a mapping)")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("sweep=[1]", "must be settings, as key: value (a mapping), not a list."),
        ("model.layers={a: 1}", "must be a list, for example model.layers=[…]."),
    ],
)
def test_a_list_and_settings_are_mixed_up_on_the_command_line(word, reason):
    ended = cnnexp(word)
    assert (ended.code, ended.err) == (2, f"error: {word}: {reason}\n")


def test_a_text_with_a_comma_is_told_how_to_stay_one():
    ended = cnnexp("note=a baseline, of table 2")
    assert ended.code == 2
    assert "-m 'note=a baseline, of table 2'" in ended.err
    assert """For one text with a comma in it write 'note="a baseline, of table 2"'.""" in ended.err


def test_training_has_no_command():
    ended = cnnexp("train")
    assert ended.code == 2
    assert "Training has no command: python -m cnnexp epochs=3." in ended.err


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("tags=a,b", "For a list write 'tags=[a,b]'."),
        ("name=größe,b", """write 'name="größe,b"'."""),
        ("name=1.10,b", """write 'name="1.10,b"'."""),
    ],
)
def test_lists_and_texts_are_told_apart(word, advice):
    ended = cnnexp(word)
    assert ended.code == 2
    assert f"error: {word} gives several values" in ended.err
    assert advice in ended.err
