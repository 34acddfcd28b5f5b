"""``inspect stride-groups``: its text, its picture, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commandline import cnnexp, succeed

COMMAND = ("inspect", "stride-groups")


def test_the_lists_are_printed() -> None:
    shown = succeed(*COMMAND, "--input", "4x4", "--filter", "2x2", "--stride", "1")
    assert "group 1: outputs 1, 3, 7, 9\n  A meets 1, 3, 9, 11\n" in shown


def test_a_picture_is_written(tmp_path: Path) -> None:
    path = tmp_path / "groups.png"
    ended = cnnexp(*COMMAND, "--input", 5, "--filter", 2, "--padding", "same", "--out", path)
    assert ended == (0, "", f"wrote {path}\n")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--input 4y4 --filter 2", "--input 4y4: must be written as 4x4: rows and columns, in pi"),
        ("--input 0x4 --filter 2", "--input 0x4: must be written as 4x4"),
        ("--input 4x4 --filter 2x3", "--filter 2x3: filters here are square. Write --filter 2."),
        ("--input 4x4 --filter 2 --stride 0", "--stride must be at least 1. Got 0."),
        ("--input 4x4 --filter 5", "a 5x5 window does not fit on an image of 4x4."),
        ("--input 4x4 --filter 2 --padding some", "--padding must be 'valid', 'same', a number"),
        ("--input 4x4 --filter 2 --out a.gif", "--out a.gif: the file's name must end in .png"),
        ("--input 4x4 --filter 2 --out no/a.png", "no/a.png: there is no folder no to write"),
    ],
)
def test_mistakes_get_one_message(words: str, message: str) -> None:
    ended = cnnexp(*COMMAND, *words.split())
    assert ended.code == 2
    assert ended.err.startswith(f"error: {message}")
    assert ended.err.count("\n") == 1
