"""The pictures of pages that show no CSV file: all of them are drawn again by one command."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from experiments import drawn, page_pictures
from experiments.tasks import PICTURES

BY_ITSELF = {"docs/pictures/live_page.gif"}  # by experiments.moving_picture: it needs a browser


def test_every_picture_of_the_release_check_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands are stood in for; what they would have drawn has to end in its place."""

    def run(*words: str, folder: Path) -> None:
        if words[2] == "inspect" and words[3] == "look":
            names = page_pictures.INSPECTED
            made = [folder / "look" / "inspect" / f"{name}.png" for name in names]
        else:
            made = [folder / word for word in words if word.endswith(".png")]
        for path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)

    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    monkeypatch.setattr(page_pictures, "run", run)
    monkeypatch.setattr(page_pictures, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(drawn, "FILE", tmp_path / "pictures.csv")
    monkeypatch.setattr(page_pictures.results, "refuse_changes", lambda folder: None)
    assert page_pictures.main(["augmentation"]) == 0
    assert drawn.noted().keys() == {"docs/pictures/augmentation.png"}
    assert page_pictures.main([]) == 0
    found = {str(path.relative_to(tmp_path)) for path in (tmp_path / "docs").rglob("*.png")}
    assert found == set(PICTURES) - BY_ITSELF == drawn.noted().keys()


def test_an_unknown_picture_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        page_pictures.main(["inspct"])
    assert "no picture is named 'inspct'. Pictures: stride_groups," in capsys.readouterr().err
