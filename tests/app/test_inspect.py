"""``inspect RUN``: where it writes, what it says, and mistakes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnexp.app.commands import inspect
from cnnexp.report.inside.plates import Plate
from cnnexp.runs.reading import load_run
from tests.commandline import cnnexp, succeed


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of a one."""
    pixels = np.full((40, 40), 255, np.uint8)
    pixels[8:32, 18:22] = 0
    Image.fromarray(pixels).save(tmp_path / "one.png")
    return tmp_path / "one.png"


@pytest.mark.long
def test_pictures_go_into_the_run_and_leave_the_rest_alone(
    digits_run: Path, picture: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(digits_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    shown = succeed("inspect", run, picture)
    folder = run / "inspect"
    assert shown == f"8 pictures in {folder}; all of them on one page: {folder}/index.html\n"
    assert "One.png: feature maps after conv1" in (folder / "index.html").read_text()
    assert all(path.read_bytes() == content for path, content in before.items())


def test_another_folder_can_be_chosen(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = Plate("only", "What it sees", "A title", "A caption.", b"PNG")
    monkeypatch.setattr(inspect, "plates_of", lambda run, specimens: [plate])
    succeed("inspect", digits_run, "--out", tmp_path / "new" / "out")
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == [
        "index.html",
        "only.png",
    ]
    assert not (digits_run / "inspect").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("absent", "absent: "),
        ("RUN no.png", "no.png: there is no such file."),
        ("RUN --out file", "--out file: is a file. Give the name of a folder."),
        ("RUN one.png one.png one.png one.png one.png one.png one.png", "at most 6 images"),
    ],
)
def test_mistakes_get_one_message(
    words: str,
    message: str,
    digits_run: Path,
    picture: Path,
) -> None:
    Path("file").touch()
    ended = cnnexp("inspect", *words.replace("RUN", str(digits_run)).split())
    assert ended.code == 2
    assert ended.err.startswith(f"error: {message}")
    assert ended.err.count("\n") == 1
    assert not (digits_run / "inspect").exists()


def test_the_other_thing_to_inspect_is_suggested() -> None:
    ended = cnnexp("inspect", "stride-grops", "--input", "4x4", "--filter", "2")
    assert ended.code == 2
    assert "there is no such run folder. Did you mean 'stride-groups'?" in ended.err


@pytest.mark.long
def test_the_page_says_whose_weights_it_shows(tmp_path):
    words = ("data.limit=60", "epochs=2", "best_weights=true", "schedule=constant")
    succeed(*words, f"hydra.run.dir={tmp_path / 'run'}")
    best = load_run(tmp_path / "run").results["best_epoch"]
    succeed("inspect", tmp_path / "run")
    page = (tmp_path / "run" / "inspect" / "index.html").read_text()
    assert f"with the weights of epoch {best} (finished)" in page
