"""The pictures of pages that show no CSV file: all of them are drawn again by one command."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from experiments import page_pictures
from experiments.tasks import PICTURES

BY_ITSELF = {"docs/pictures/live_page.gif"}  # by experiments.moving_picture: it needs a browser


def test_every_picture_of_the_release_check_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands are stood in for; what they would have drawn has to end in its place."""

    def run(*words: str, folder: Path) -> None:
        if "experiments.augmented" in words:
            drawn = [tmp_path / "docs" / "pictures" / "augmentation.png"]
        elif words[2] == "inspect" and words[3] == "look":
            names = page_pictures.INSPECTED
            drawn = [folder / "look" / "inspect" / f"{name}.png" for name in names]
        else:
            drawn = [folder / word for word in words if word.endswith(".png")]
        for path in drawn:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)

    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    monkeypatch.setattr(page_pictures, "run", run)
    monkeypatch.setattr(page_pictures, "DOCS", tmp_path / "docs")
    assert page_pictures.main() == 0
    found = {str(path.relative_to(tmp_path)) for path in (tmp_path / "docs").rglob("*.png")}
    assert found == set(PICTURES) - BY_ITSELF
