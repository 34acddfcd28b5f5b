"""What the README claims with badges and with its moving picture."""

from __future__ import annotations

import re
import tomllib

import pytest

from experiments import moving_picture
from tests.docs.pages import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_badges_are_true():
    badges = dict(re.findall(r"!\[(.*?)\]\(https://img\.shields\.io/badge/(.*?)-\w+\)", README))
    assert badges == {
        "Python 3.11 or newer": "python-3.11%20or%20newer",
        "licence: MIT": "licence-MIT",
        "types: mypy strict": "types-mypy%20strict",
    }
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert PROJECT["project"]["license"] == "MIT"
    assert PROJECT["tool"]["mypy"]["strict"]


def test_the_moving_picture_moves_and_is_small():
    pillow = pytest.importorskip("PIL.Image")
    path = ROOT / "docs" / "pictures" / "live_page.gif"
    assert f"]({path.relative_to(ROOT)})" in README
    assert path.stat().st_size < 1e6
    with pillow.open(path) as picture:
        assert picture.n_frames > 20


def test_a_moving_picture_has_its_frames_and_times(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    colours = ["white", "black", "red", "orange", "blue", "green", "grey"]
    size = (moving_picture.WIDTH, 20)
    frames = [(pillow.new("RGB", size, colour), 100 * k) for k, colour in enumerate(colours, 1)]
    moving_picture.save(tmp_path / "a.gif", frames)
    with pillow.open(tmp_path / "a.gif") as picture:
        assert (picture.n_frames, picture.size) == (7, size)
        picture.seek(6)
        assert picture.info["duration"] == 700


def test_it_is_short():
    assert len(README.splitlines()) < 180
