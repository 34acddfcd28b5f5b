"""The page of reliability is what its files say, and every part runs."""

from __future__ import annotations

import pytest

from experiments.reliability import __main__, page
from experiments.reliability.__main__ import FOLDER
from experiments.reliability.child import HERE, Place
from experiments.reliability.defects import section, verdict
from experiments.reliability.reproduced import found


def test_the_page_is_made_from_the_files() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.made(FOLDER)


def tried(part: str, folder, *words: str):
    """Run a part, and return its rows as the page reads them."""
    assert __main__.main([part, "--output", str(folder), *words]) == 0
    return page.results.read(folder / f"{part}.csv")


def test_some_defects_are_mended(tmp_path) -> None:
    """Those that need one short process each."""
    (tmp_path / "place").mkdir()
    for one in found():
        if one.quick and not one.trained:
            said, right = one.try_it(Place(HERE, tmp_path / str(id(one))))
            assert right, (one.what, said)


@pytest.mark.long
def test_all_defects_are_mended(tmp_path) -> None:
    frame = tried("defects", tmp_path)
    wrong = frame[frame["mended"] == "no"]["what"]
    assert list(wrong) == [what for what in wrong if "10³⁷" in what]
    assert "float32 samples" in section(frame.assign(before="as it was"))


def test_a_reproduction_can_fail(tmp_path) -> None:
    place = Place(HERE, tmp_path)
    assert not place.python("-c", "import sys; sys.exit(2)", where=tmp_path).well
    assert (
        place.python("-c", "1 / 0").said == "exit 1, traceback: ZeroDivisionError: division by zero"
    )
    assert verdict({"before": False, "after": False}) == "no"


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "reason"), [("a = bytearray(5 << 30)", "memory"), ("while True: pass", "20 s")]
)
def test_a_child_is_stopped(tmp_path, code, reason) -> None:
    assert reason in Place(HERE, tmp_path).python("-c", code).stopped
