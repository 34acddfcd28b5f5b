"""The page of reliability is what its files say, and every part runs."""

from __future__ import annotations

from experiments.reliability import page
from experiments.reliability.__main__ import FOLDER


def test_the_page_is_made_from_the_files() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.made(FOLDER)
