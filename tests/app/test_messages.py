"""A list and settings in each other's place."""

from pathlib import Path

import pytest

from tests.commandline import cnnexp


@pytest.mark.parametrize(
    ("name", "text"), [("m", "model: [1, 2]\n"), ("o", "model:\n  layers: {a: 1}\n")]
)
def test_a_list_and_settings_are_mixed_up_in_a_file(name, text, tmp_path, monkeypatch):
    """The key is not known; it was left empty in the message, and the list asked for."""
    monkeypatch.chdir(tmp_path)
    Path("experiments").mkdir()
    Path(f"experiments/{name}.yaml").write_text(f"# @package _global_\n{text}")
    ended = cnnexp("--config-dir", ".", f"experiments={name}")
    assert (ended.code, ended.err) == (
        2,
        f"error: experiments/{name}.yaml: a list stands where there must be settings, as key: value"
        " (a mapping), or settings where there must be a list.\n",
    )


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
